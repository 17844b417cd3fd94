"""How classes find their synsets: by id, by a shipped list, by a file, by their only sense; and how nodes are named."""

from __future__ import annotations

import pytest

from transferlab.errors import UserError
from transferlab.taxonomy import classlists, wordnet
from transferlab.taxonomy.tree import build


def test_a_class_list_is_known_by_its_names_and_a_small_part_of_one_is_not() -> None:
    cifar = list(classlists.read("cifar-100"))
    found = classlists.find([name.replace("_", " ").title() for name in cifar])
    assert list(found.synsets.values()) == list(classlists.read("cifar-100").values())
    assert found.sentence == "classes placed in WordNet 3.0: 100 by the list of cifar-100"
    assert not classlists.find(cifar[:50]).missing
    few = classlists.find(["mouse", "keyboard"])  # of a shop's photographs, perhaps
    assert list(few.missing) == ["mouse", "keyboard"] and not few.synsets


def test_wnids_single_senses_and_what_is_given_each_count() -> None:
    names = {"g": "goldfish, Carassius auratus", "c": "crane, Grus"}
    found = classlists.find(["n02084071", "animal/zebra", "g", "hat", "c"], names, {"hat": "hat.n.01"})
    assert dict(found.synsets) == {
        "n02084071": "n02084071", "animal/zebra": "n02391049", "g": "n01443537", "hat": "n03497657", "c": "n09295455",
    }  # fmt: skip
    assert found.sentence.endswith("1 by wnid, 3 by their only noun sense, 1 by your file")


def test_classes_without_one_synset_are_told_with_the_reason_and_the_way_out() -> None:
    with pytest.raises(UserError, match=r"2 of 3 .*'hat' has 2 senses: hat\.n\.01 .*called 'outwear'.*class,wnid"):
        classlists.above(["hat", "zebra", "outwear"])
    with pytest.raises(UserError, match="and 2 more"):
        classlists.above([f"nonsense {i}" for i in range(7)])
    with pytest.raises(UserError, match="class 'hat': 'dog' has no sense 77"):
        classlists.above(["hat"], None, {"hat": "dog.n.77"})
    with pytest.raises(UserError, match=r"'sofa' and 'lounge' are both sofa\.n\.01"):
        classlists.above(["sofa", "lounge"], None, {"sofa": "sofa.n.01", "lounge": "sofa.n.01"})
    with pytest.raises(UserError, match="is that of another synset"):
        classlists.above(["n02083346", "zebra"], None, {"n02083346": "dog.n.01"})


def test_a_class_takes_its_synsets_place_under_its_own_name() -> None:
    taxonomy, how = classlists.above(["my/zebra", "horse"], None, {"horse": "horse.n.01"})
    assert taxonomy.parents["my/zebra"] == wordnet.parents("n02391049")
    assert taxonomy.names["my/zebra"] == "zebra" and "n02391049" not in taxonomy.parents
    assert taxonomy.synsets == {"my/zebra": "n02391049", "horse": "n02374451"}
    assert "1 by your file" in how
    assert taxonomy.restricted(["horse"]).synsets == {"horse": "n02374451"}


def test_nodes_are_named_by_id_synset_word_or_list() -> None:
    cifar = classlists.taxonomy("cifar-100")
    assert classlists.nodes(cifar, "whale") == classlists.nodes(cifar, "whale.n.02") == ("whale",)
    assert classlists.nodes(cifar, "n02062744") == ("whale",)
    assert classlists.nodes(cifar, "placental") == ("n01886756",)
    assert classlists.nodes(cifar, "zebra") == ()  # a synset above no class
    voc = {leaf for node in classlists.nodes(cifar, "pascal-voc") for leaf in cifar.leaves_under(node)}
    assert len(voc) == 21 and {"bus", "couch", "girl", "oak_tree", "tulip"} < voc
    with pytest.raises(UserError, match="7 senses"):
        classlists.nodes(classlists.taxonomy("imagenet-1k"), "dog")
    other = build([("pug", "dog"), ("cat", "animal"), ("dog", "animal")], ["pug", "cat"])
    assert classlists.nodes(other, "dog") == ("dog",)
    with pytest.raises(UserError, match="no node 'dig'.*did you mean 'dog'"):
        classlists.nodes(other, "dig")


def test_pascals_classes_take_229_of_imagenets_and_29_of_tiny_imagenets() -> None:
    per_class = {"dog": 118, "bird": 59, "car": 10, "bottle": 7, "cat": 7, "boat": 6, "chair": 4, "bus": 3, "person": 3,
                 "bicycle": 2, "pottedplant": 2, "cow": 0}  # fmt: skip
    imagenet = classlists.taxonomy("imagenet-1k")
    found: set[str] = set()
    for name, wnid in classlists.read("pascal-voc").items():
        leaves = {leaf for node in classlists.nodes(imagenet, wnid) for leaf in imagenet.leaves_under(node)}
        assert len(leaves) == per_class.get(name, 1)
        found |= leaves
    assert len(found) == 229
    tiny = classlists.taxonomy("tiny-imagenet")
    assert len({leaf for node in classlists.nodes(tiny, "pascal-voc") for leaf in tiny.leaves_under(node)}) == 29
    assert sorted(found & set(tiny.leaves)) == sorted(
        leaf for leaf in tiny.leaves if any(leaf in tiny.leaves_under(n) for n in classlists.nodes(tiny, "pascal-voc"))
    )
