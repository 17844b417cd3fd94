from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.images.format import COMMON, Format
from transferlab.images.source import Item, Source
from transferlab.images.sources import SOURCES
from transferlab.images.spec import Spec, open_source, parse_spec, taxonomy_of
from transferlab.taxonomy import classlists


def folders(root: Path, png: Callable[..., bytes], classes: tuple[str, ...] = ("bat", "cat", "dog")) -> Path:
    for c, name in enumerate(classes):
        for number in range(3):
            file = root / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(c * 10 + number))
    return root


def test_a_spec_is_a_format_a_path_and_options() -> None:
    spec = parse_spec("csv:some/table.csv?multi_label=yes&taxonomy=tree.csv")
    assert (spec.format.name, spec.path) == ("csv", "some/table.csv")
    assert spec.options == {"multi_label": "yes", "taxonomy": "tree.csv"}


@pytest.mark.parametrize("text", ["toy", "digits", "toy?task=unseen"])
def test_some_formats_need_no_path(text: str) -> None:
    assert parse_spec(text).path == ""


def test_a_path_may_hold_colons() -> None:
    assert parse_spec("imagefolder:C:/photos").path == "C:/photos"
    assert parse_spec("torchvision:cifar10?root=D:/sets").options == {"root": "D:/sets"}


def test_a_path_that_is_there_may_hold_a_question_mark(tmp_path: Path) -> None:
    (tmp_path / "cats?dogs=1").mkdir()
    spec = parse_spec(f"imagefolder:{tmp_path}/cats?dogs=1")
    assert spec.path.endswith("cats?dogs=1") and not spec.options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("imagefodler:x", "did you mean imagefolder"), ("ImageFolder:x", "did you mean imagefolder"),
        ("", "no image format ''"), ("zebra:x", "known are"), ("wds", "wds needs a path"), ("wds:", "needs a path"),
        ("pack:", "needs a path"), ("toy?task", "has no value"), ("toy?task=", "has no value"),
        ("toy?=a", "has no value"), ("toy?task=a&task=b", "given twice"), ("imagefolder:" + "x" * 5000 + "?a", "no value"),
        ("imagefolder:a\0b?c", "no value"), ("torchvision:cifar10", r"needs the option root.*add \?root="),
        ("toy:x", "toy takes no path"), ("toy?task=unsen", "task=unsen is not valid.*classes or unseen"),
        ("toy?seed=one", "seed=one is not valid.*a whole number"), ("digits?size=7", "size=7 is not valid.*from 8 to 1024"),
    ],
)  # fmt: skip
def test_what_is_no_spec_is_told_with_a_remedy(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_spec(text)


def test_a_bare_folder_gets_its_format_as_advice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write imagefolder:"):
        parse_spec(str(tmp_path))


@given(st.text(max_size=40))
def test_any_text_is_a_spec_or_a_user_error(text: str) -> None:
    try:
        assert parse_spec(text).format in SOURCES.values()
    except UserError as error:
        assert error.remedy


@pytest.mark.parametrize("form", [name for name in SOURCES if SOURCES[name].path and not SOURCES[name].root])
def test_every_format_says_when_nothing_is_there(form: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        parse_spec(f"{form}:{tmp_path}/absent").check_there()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("form", [name for name, form in SOURCES.items() if form.path and not form.root])
def test_no_format_waits_for_a_pipe_or_reads_a_device(form: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(UserError, match="a pipe, a device or made up by the system"):
            parse_spec(f"{form}:{tmp_path / name}").check_there()


def test_a_name_of_torchvision_is_no_path_but_its_root_must_be_there(tmp_path: Path) -> None:
    parse_spec(f"torchvision:cifar10?root={tmp_path}").check_there()
    with pytest.raises(UserError, match="no such file or folder"):
        parse_spec(f"torchvision:cifar10?root={tmp_path}/absent").check_there()


@pytest.mark.parametrize("form", list(SOURCES))
def test_every_format_names_its_options(form: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no option 'colour'") as caught:
        parse_spec(f"{form}:{tmp_path}?colour=red")
    for option in SOURCES[form].options:
        assert option in str(caught.value)


def test_options_that_every_format_takes_are_taken_by_all_but_packs() -> None:
    assert {name for name, form in SOURCES.items() if set(COMMON) <= set(form.options)} == {*SOURCES} - {"pack"}


def test_a_taxonomy_file_goes_above_any_source(tmp_path: Path, png: Callable[..., bytes]) -> None:
    root = folders(tmp_path / "photos", png)
    (tmp_path / "tree.csv").write_text("child,parent\ncat,pet\ndog,pet\nbat,wild\npet,animal\nwild,animal\n")
    source = open_source(parse_spec(f"imagefolder:{root}?taxonomy={tmp_path}/tree.csv"))
    assert source.taxonomy is not None and source.taxonomy.leaves_under("pet") == ("cat", "dog")


def test_prune_and_join_roots_are_handed_on(tmp_path: Path, png: Callable[..., bytes]) -> None:
    root = folders(tmp_path / "photos", png)
    (tmp_path / "tree.csv").write_text("child,parent\ncat,pet\ndog,pet\nbat,wild\nlynx,wild\n")
    text = f"imagefolder:{root}?taxonomy={tmp_path}/tree.csv"
    with pytest.raises(UserError, match="prune=yes"):
        open_source(parse_spec(text))
    with pytest.raises(UserError, match="join_roots=yes"):
        open_source(parse_spec(f"{text}&prune=yes"))
    source = open_source(parse_spec(f"{text}&prune=yes&join_roots=yes"))
    assert source.taxonomy is not None and source.taxonomy.max_depth == 2


def test_wordnet_goes_above_classes_that_it_knows(tmp_path: Path, png: Callable[..., bytes]) -> None:
    root = folders(tmp_path / "photos", png, ("pets/beagle", "pets/n02123045", "wild/zebra"))
    source = open_source(parse_spec(f"imagefolder:{root}?taxonomy=wordnet"))
    assert source.taxonomy is not None and source.taxonomy.leaves == tuple(source.classes)
    assert source.taxonomy.leaves_under("n02075296") == ("pets/beagle", "pets/n02123045")  # carnivores
    assert source.taxonomy.names["pets/n02123045"] == "tabby, tabby cat"
    assert source.notes[-1] == "classes placed in WordNet 3.0: 2 by their only noun sense, 1 by wnid"
    bare = folders(tmp_path / "bare", png, ("beagle", "n02123045"))
    assert taxonomy_of(f"imagefolder:{bare}?taxonomy=wordnet").leaves_under("n02075296") == ("beagle", "n02123045")


def test_cifar100s_class_names_get_their_shipped_synsets(tmp_path: Path, png: Callable[..., bytes]) -> None:
    names = [name for name in classlists.read("cifar-100") if name != "worm"]
    taxonomy = taxonomy_of(f"imagefolder:{folders(tmp_path, png, tuple(names))}?taxonomy=wordnet")
    assert taxonomy.synsets["mouse"] == "n02330245" and taxonomy.names["mouse"] == "mouse"
    assert len(taxonomy.cut(4).labels) == 13


def test_classes_that_wordnet_cannot_place_are_told_with_the_way_to_map_them(
    tmp_path: Path, png: Callable[..., bytes]
) -> None:
    root = folders(tmp_path / "photos", png, ("bat", "zebra"))
    text = f"imagefolder:{root}?taxonomy=wordnet"
    with pytest.raises(UserError, match=r"1 of 2 .*'bat' has 5 senses: bat\.n\.01 .*class,wnid") as told:
        open_source(parse_spec(text))
    assert told.value.where == text
    (tmp_path / "map.csv").write_text("class,wnid\nbat,bat.n.01\n")
    assert "bat" in taxonomy_of(f"imagefolder:{root}?taxonomy={tmp_path}/map.csv").leaves_under("n01886756")
    with pytest.raises(UserError, match="leave them out with wordnet"):
        open_source(parse_spec(f"{text}&prune=yes"))


@pytest.mark.parametrize("name", classlists.LISTS)
def test_well_known_class_lists_are_taxonomies_by_name(name: str) -> None:
    assert taxonomy_of(name).leaves == tuple(classlists.read(name))


def test_prune_without_a_taxonomy_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="add taxonomy=FILE"):
        open_source(parse_spec("digits?prune=yes"))


def test_resplit_is_noted_and_must_be_yes_or_no() -> None:
    assert open_source(parse_spec("digits?resplit=yes")).resplit
    assert not open_source(parse_spec("digits")).resplit
    with pytest.raises(UserError, match="resplit=perhaps is not valid.*choose yes or no"):
        open_source(parse_spec("digits?resplit=perhaps"))


def test_a_pack_is_not_decoded_again(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="decoded already"):
        open_source(parse_spec(f"pack:{tmp_path}"))


def test_the_taxonomy_of_a_spec_is_flat_where_there_is_none(tmp_path: Path, png: Callable[..., bytes]) -> None:
    assert taxonomy_of("digits").is_flat
    assert not taxonomy_of(f"imagefolder:{folders(tmp_path, png, ('a/x', 'a/y', 'b/z'))}").is_flat


def test_what_no_reader_foresaw_is_a_paragraph_with_its_place() -> None:
    def items() -> Iterator[Item]:
        yield Item("cat/1.png", np.zeros((2, 2), np.uint8), "cat", None)
        raise AttributeError("no such thing\nat all")

    for read, message in (
        (lambda _: {}["gone"], r"cannot be read \(KeyError in images/format.py, line \d+: 'gone'\) \(odd\): .*please report this"),
        (lambda _: Source("odd", ("cat", "dog"), "1", items), r"read after cat/1.png \(AttributeError .*: no such thing at all\)"),
    ):  # fmt: skip
        form = Format(name="odd", title="Odd", explained="made here", read=read)
        with pytest.raises(UserError, match=message):
            list(open_source(Spec("odd", form, "", {})).items())


OUTSIDE = """
from transferlab.definitions import Brought
from transferlab.images.format import Format
from transferlab.images.source import Source
from transferlab.images.sources import SOURCES
from transferlab.images.spec import open_source, parse_spec
form = Format(name="mine", title="Mine", explained="made here", read=lambda request: Source("made", ("a", "b"), "1", list))
SOURCES.bring(form, Brought("study.py", "1"))
print(open_source(parse_spec("mine?name=ours")).name)
"""


def test_a_format_from_outside_is_named_in_a_spec() -> None:
    done = subprocess.run([sys.executable, "-c", OUTSIDE], capture_output=True, text=True, check=False)
    assert done.stdout == "ours\n", done.stderr
