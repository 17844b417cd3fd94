"""WordNet inside: the table against its sources, the paper's label sets leaf by leaf, words and their senses."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.taxonomy import classlists, wordnet
from transferlab.taxonomy.tree import Taxonomy, from_plain

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
FILES = Path("/usr/share/wordnet")

needs_shared = pytest.mark.skipif(
    not (SHARED / "data" / "wordnet").is_dir(), reason="the shared WordNet relation is not here"
)

# Labels, effective labels, largest share in percent, largest label; for depths 17 to 0 and passes 1 to 3.
CUTS = [
    (999, 998.61, 0.2, "n02101861"), (977, 959.58, 0.7, "n02101108"), (918, 786.88, 2.6, "n02092468"),
    (877, 651.83, 6.3, "n02087122"), (820, 503.61, 11.8, "n02084071"), (753, 404.91, 13.0, "n02083346"),
    (694, 309.56, 15.8, "n02075296"), (596, 198.43, 21.2, "n01886756"), (486, 129.62, 21.8, "n01861778"),
    (345, 60.00, 33.7, "n01471682"), (206, 34.31, 33.7, "n01466257"), (79, 12.23, 39.8, "n00015388"),
    (36, 5.16, 40.7, "n00004475"), (17, 2.80, 52.2, "n00021939"), (9, 1.34, 94.6, "n00003553"),
    (5, 1.23, 95.5, "n00002684"), (2, 1.02, 99.7, "n00001930"), (1, 1.00, 100.0, "n00001740"),
]  # fmt: skip
MERGES = [(127, 27.32, 21.8, "n01861778"), (10, 1.28, 95.5, "n00002684"), (2, 1.02, 99.7, "n00001930")]


@pytest.fixture(scope="module")
def imagenet() -> Taxonomy:
    return classlists.taxonomy("imagenet-1k")


@pytest.mark.skipif(not (FILES / "data.noun").is_file(), reason="WordNet's files are not in /usr/share/wordnet")
def test_the_table_is_what_its_script_makes_of_wordnets_files() -> None:
    script = runpy.run_path(str(ROOT / "tools" / "build_wordnet.py"))
    made = script["columns"](FILES)
    held = wordnet.table()
    assert script["table"](made) == script["table"](script["columns"](FILES))
    assert made["words"] == held.words and made["senses"] == held.senses
    numbers = {"offsets": held.offsets, "parents": held.parents}
    for name, kept in numbers.items():
        again = wordnet._numbers(made[name])
        assert (again.cumsum() if name == "offsets" else again).tolist() == kept
    assert len(held.offsets) == 82_115
    assert len(wordnet.FILE.read_bytes()) < 1_000_000


def test_the_label_sets_of_imagenet_have_the_papers_numbers(imagenet: Taxonomy) -> None:
    assert len(imagenet.leaves) == 1000 and imagenet.leaves[0] == "n01440764" and imagenet.max_depth == 18
    assert imagenet.names["n01440764"] == "tench, Tinca tinca"
    made = [imagenet.cut(d) for d in range(17, -1, -1)] + [imagenet.merge_up(p) for p in (1, 2, 3)]
    for labels, (n, effective, share, largest) in zip(made, CUTS + MERGES, strict=True):
        facts, sizes = labels.to_dict(), labels.sizes()
        assert facts["n_labels"] == n
        assert round(facts["effective_labels"], 2) == effective
        assert round(sizes.max() / 10, 1) == share
        assert labels.labels[sizes.argmax()] == largest
    with pytest.raises(UserError, match="from 1 to 4"):
        imagenet.merge_up(5)


def published() -> tuple[dict[str, set[str]], dict[str, str]]:
    """Hypernyms and names out of files that are not ours."""
    folder = SHARED / "data" / "wordnet"
    above: dict[str, set[str]] = {}
    for line in (folder / "is_a.txt").read_text().splitlines():
        parent, child = line.split()
        above.setdefault(child, set()).add(parent)
    return above, dict(line.split("\t")[:2] for line in (folder / "names.txt").read_text().splitlines())


@needs_shared
def test_hypernyms_and_names_agree_with_an_independent_list() -> None:
    above, names = published()
    assert len(names) == 1860
    for node, name in names.items():
        assert set(wordnet.parents(node)) == above.get(node, set())
        assert ", ".join(wordnet.lemmas(node)) == name


@needs_shared
def test_every_leaf_of_every_label_set_agrees_with_the_rules_written_down_naively(imagenet: Taxonomy) -> None:
    above, names = published()

    def first_parent(node: str) -> str | None:
        return min(above.get(node, ()), key=lambda p: names[p].split(",")[0].lower().replace(" ", "_"), default=None)

    def chain(node: str) -> list[str]:
        up = first_parent(node)
        return [node] if up is None else [node, *chain(up)]

    assert all(tuple(chain(leaf)) == imagenet.chain(leaf) for leaf in imagenet.leaves)
    wnids = (SHARED / "reference" / "imagenet1k_synsets.txt").read_text().split()
    assert tuple(wnids) == imagenet.leaves

    def said(labels: dict[str, str]) -> list[str]:
        return [labels[leaf] for leaf in wnids]

    labels = {leaf: leaf for leaf in wnids}
    for depth in range(18, -1, -1):  # the deepest level is moved up by one, again and again
        labels = {leaf: chain(at)[1] if len(chain(at)) - 1 > depth else at for leaf, at in labels.items()}
        cut = imagenet.cut(depth)
        assert [cut.labels[i] for i in cut.of_leaf] == said(labels)
    labels = {leaf: leaf for leaf in wnids}
    for n_passes in (1, 2, 3):
        up = {leaf: str(first_parent(at)) for leaf, at in labels.items()}
        labels = {leaf: next(n for n in reversed(chain(at)) if n in set(up.values())) for leaf, at in up.items()}
        merged = imagenet.merge_up(n_passes)
        assert [merged.labels[i] for i in merged.of_leaf] == said(labels)


def test_tiny_imagenets_and_cifar100s_label_sets() -> None:
    tiny = classlists.taxonomy("tiny-imagenet")
    counts = [len(tiny.cut(d).labels) for d in range(17, -1, -1)]
    assert counts == [200, 199, 199, 192, 188, 185, 177, 159, 134, 107, 73, 37, 18, 8, 4, 2, 1, 1]
    assert [len(tiny.merge_up(p).labels) for p in (1, 2, 3)] == [88, 6, 1]
    effective = [round(tiny.cut(d).to_dict()["effective_labels"], 1) for d in (14, 10, 6, 3)]
    assert effective == [186.9, 117.2, 14.2, 1.5]
    cifar = classlists.taxonomy("cifar-100")
    counts = [len(cifar.cut(d).labels) for d in range(14, -1, -1)]
    assert counts == [100, 97, 92, 82, 67, 55, 46, 34, 25, 17, 13, 8, 6, 2, 1]
    assert [len(cifar.merge_up(p).labels) for p in (1, 2, 3)] == [43, 6, 2]
    assert cifar.leaves[:3] == ("apple", "aquarium_fish", "baby") and cifar.synsets["apple"] == "n07739125"


@needs_shared
def test_the_shipped_lists_are_the_shared_ones() -> None:
    assert list(classlists.read("tiny-imagenet")) == (SHARED / "data/tiny_imagenet/wnids.txt").read_text().split()
    for name, file, column in (("cifar-100", "cifar100_synsets.csv", 1), ("pascal-voc", "pascal_synsets.csv", 0)):
        rows = [line.split(",") for line in (SHARED / "reference" / file).read_text().splitlines()[1:]]
        wnid = 3 if column else 1
        assert classlists.read(name) == {row[column]: row[wnid] for row in rows}
        assert all(wordnet.name(row[wnid]) == row[wnid + 1] for row in rows)


def test_a_class_above_another_keeps_itself_until_the_cut_reaches_it() -> None:
    """Rule 8, in CIFAR-100: dolphin is under whale."""
    cifar = classlists.taxonomy("cifar-100")
    assert "whale" in cifar.chain("dolphin")
    assert cifar.leaves_under("whale") == ("dolphin", "whale")
    depth = cifar.depth("whale")
    label = {d: dict(zip(cifar.leaves, (cifar.cut(d).labels[i] for i in cifar.cut(d).of_leaf), strict=True))
             for d in (depth - 1, depth, depth + 1)}  # fmt: skip
    assert label[depth + 1]["whale"] == "whale" != label[depth + 1]["dolphin"]
    assert label[depth]["whale"] == label[depth]["dolphin"] == "whale"
    assert label[depth - 1]["whale"] == label[depth - 1]["dolphin"] != "whale"
    again = from_plain(cifar.to_plain())
    assert again.to_plain() == cifar.to_plain() and again.synsets == cifar.synsets
    assert "synsets" not in classlists.taxonomy("imagenet-1k").to_plain()


def test_hypernyms_stand_in_the_order_of_their_full_names() -> None:
    """Rule 3; the first word alone does not decide in four synsets, and file order is another one."""
    held, same = wordnet.table(), 0
    for row in range(len(held.offsets)):
        if held.borders[row + 1] - held.borders[row] > 1:
            names = [wordnet.name(up) for up in wordnet.parents(f"n{held.offsets[row]:08d}")]
            assert names == sorted(names)
            same += names[0].rsplit(".n.", 1)[0] == names[1].rsplit(".n.", 1)[0]
    assert same == 4


def test_synsets_are_found_by_wnid_name_and_word() -> None:
    assert wordnet.find("n02084071") == wordnet.find("dog.n.01") == wordnet.find("Domestic_Dog.n.01") == "n02084071"
    assert wordnet.find("Carassius auratus") == wordnet.find("goldfish") == "n01443537"
    assert wordnet.name("n01887787") == "cow.n.02"
    assert wordnet.senses("crane")[3:] == ("n03126707", "n02012849")
    assert wordnet.senses("qwertz") == () and not wordnet.known("n00000001") and not wordnet.known("dog")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("crane", r"'crane' has 5 senses .*crane\.n\.04 \(n03126707: crane; a kind of lifting device\), crane\.n\.05"),
        ("dgo", "no noun of WordNet 3.0 is called 'dgo'.* did you mean dog"),
        ("goldfihs", "did you mean goldfish"),
        ("dog.n.99", r"'dog' has no sense 99 .*dog\.n\.01"),
        ("dog.v.01", "is called 'dog.v.01'"),
        ("n０２０８４０７１", "is called"),
        ("n00000001", "no noun .* the wnid 'n00000001'"),
        ("n99999999", "other versions have other offsets"),
        ("", "name a noun"),
    ],
)
def test_what_names_no_one_synset_is_told_with_what_is_near(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        wordnet.find(text)


def over(*wnids: str) -> Taxonomy:
    return wordnet.above({wnid: wnid for wnid in wnids})


def test_any_nouns_make_a_taxonomy_and_what_has_nothing_above_it_does_not() -> None:
    made = over("n02084071", "n02121620", wordnet.ENTITY)
    assert made.leaves_under(wordnet.ENTITY) == made.leaves
    assert made.chain("n02084071")[1] == "n02083346" and made.root == wordnet.ENTITY
    assert {"n01317541", "n02083346"} <= made.ancestors("n02084071")  # domestic animal is above by another path
    with pytest.raises(UserError, match="no hypernym"):
        over("n02084071", wordnet.find("Albert Einstein"))
    with pytest.raises(UserError, match="no classes"):
        over()
    with pytest.raises(UserError, match="'n00000002'"):
        over("n00000002")


@pytest.mark.parametrize("damage", [b"", b"another file\n[]\n", b"half"])
def test_a_damaged_table_is_told(damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = wordnet.FILE.read_bytes()
    broken = tmp_path / "wordnet.table"
    broken.write_bytes(whole[: len(whole) // 2] if damage == b"half" else damage)
    monkeypatch.setattr(wordnet, "FILE", broken)
    wordnet.table.cache_clear()
    with pytest.raises(UserError, match=r"wordnet\.table.*install"):
        wordnet.find("dog.n.01")
    wordnet.table.cache_clear()
