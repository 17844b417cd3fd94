from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.scenes import read_places365, read_sun397

Open = Callable[..., Source]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]
Files = dict[str, "bytes | str"]
PATHS = ("/a/abbey", "/a/apartment_building/outdoor", "/b/bow_window/indoor", "/b/bow_window/outdoor")
CLASSES = ("abbey", "apartment_building/outdoor", "bow_window/indoor", "bow_window/outdoor")


def sun(lists: str = "Partitions/", images: str = "SUN397/") -> Files:
    files: Files = {f"{lists}ClassName.txt": "\n".join(PATHS)}
    for number in range(1, 11):
        for word, first in (("Training", 0), ("Testing", 2)):
            lines = [f"{path}/sun_{(number + first + k) % 13:02d}.jpg" for path in PATHS for k in range(2)]
            files[f"{lists}{word}_{number:02d}.txt"] = "\n".join(lines) + "\n"
    for path in PATHS:
        files |= {f"{images}{path[1:]}/sun_{k:02d}.jpg": f"{path} {k}" for k in range(13)}
    return files


@pytest.mark.parametrize(("lists", "images"), [("Partitions/", "SUN397/"), ("", ""), ("SUN397/", "SUN397/")])
def test_a_partition_of_sun397_names_its_images(
    lists: str, images: str, tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    root = write_tree(tmp_path, sun(lists, images))
    source = opened("sun397", root)
    assert tuple(source.classes) == CLASSES
    assert source.taxonomy is not None and source.taxonomy.leaves_under("bow_window") == CLASSES[2:]
    assert [(i.key, i.label, i.split) for i in source.items()][2] == (
        f"{images}a/apartment_building/outdoor/sun_01.jpg", CLASSES[1], "train"
    )  # fmt: skip
    assert [[i.split for i in source.items()].count(s) for s in ("train", "test")] == [8, 8]
    tenth = opened("sun397", root, partition="10")
    assert tenth.fingerprint != source.fingerprint
    assert next(iter(tenth.items())).key == f"{images}a/abbey/sun_10.jpg"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SUN397/a/abbey/sun_04.jpg": None}, r"1 of the 8 files that Partitions/Testing_01.txt names.*abbey/sun_04.jpg"),
        ({"Partitions/Testing_01.txt": None}, r"Testing_01.txt is not there.*Partitions.zip"),
        ({"Partitions/ClassName.txt": None}, r"ClassName.txt is not there"),
        ({"Partitions/ClassName.txt": "\n".join(PATHS[:3])}, r"Training_01.txt has images of bow_window/outdoor, which"),
        ({"Partitions/ClassName.txt": "/a/abbey\n/a/\n"}, r"ClassName.txt has the line '/a/'"),
        ({"Partitions/Training_01.txt": "/a/abbey/sun_01.jpg\n"}, r"names 0 images of apartment_building/outdoor and 1 of"),
        ({"Partitions/Training_01.txt": "abbey 1\n"}, r"Training_01.txt has the line 'abbey 1'"),
        ({"Partitions/Training_01.txt": "\n".join(f"{p}/sun_01.jpg\n" * 2 for p in PATHS)}, r"sun_01.jpg 2 times"),
    ],
)  # fmt: skip
def test_what_does_not_fit_in_sun397_is_named(
    change: dict[str, str | None], message: str, tmp_path: Path, write_tree: Write
) -> None:
    files = {name: content for name, content in {**sun(), **change}.items() if content is not None}
    with pytest.raises(UserError, match=message):
        read_sun397(str(write_tree(tmp_path, files)), {})


@pytest.mark.parametrize("number", ["0", "11", "01", "one"])
def test_there_are_ten_partitions(number: str, tmp_path: Path, write_tree: Write) -> None:
    with pytest.raises(UserError, match=rf"there is no partition {number}.*from 1 to 10"):
        read_sun397(str(write_tree(tmp_path, sun())), {"partition": number})


def places(train: str = "data_256/", val: str = "val_256/") -> Files:
    # The file's order is not that of the places: these have the last word.
    names = {path: place for place, path in enumerate(reversed(PATHS))}
    return {
        "categories_places365.txt": "".join(f"{path} {place}\n" for path, place in names.items()),
        "places365_train_standard.txt": "".join(f"{p}/0000000{k}.jpg {n}\n" for p, n in names.items() for k in (1, 2)),
        "places365_val.txt": "Places365_val_00000001.jpg 3\nPlaces365_val_00000002.jpg 0\n",
        **{f"{train}{path[1:]}/0000000{k}.jpg": f"{path} {k}" for path in PATHS for k in (1, 2)},
        **{f"{val}Places365_val_0000000{k}.jpg": f"val {k}" for k in (1, 2)},
        "test_256/Places365_test_00000001.jpg": "no label",
    }


@pytest.mark.parametrize("folders", [("data_256/", "val_256/"), ("data_large_standard/", "val_large/")])
def test_places365_is_read_by_its_lists(
    folders: tuple[str, str], tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    source = opened("places365", write_tree(tmp_path, places(*folders)))
    assert tuple(source.classes) == tuple(reversed(CLASSES))
    assert source.taxonomy is not None and set(source.taxonomy.leaves_under("bow_window")) == set(CLASSES[2:])
    found = [(i.key, i.label, i.split) for i in source.items()]
    assert found[0] == (f"{folders[0]}b/bow_window/outdoor/00000001.jpg", CLASSES[-1], "train")
    assert [(label, split) for _, label, split in found[8:]] == [("abbey", "val"), ("bow_window/outdoor", "val")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_256/Places365_val_00000002.jpg": None}, r"places365_val.txt names are not there.*val_00000002.jpg"),
        ({"data_256/a/abbey/00000001.jpg": None}, r"1 of the 8 files that places365_train_standard.txt names"),
        ({"places365_train_standard.txt": None}, r"places365_train_standard.txt is not there.*filelist_places365"),
        ({"places365_train_standard.txt": "/a/abbey/00000001.jpg 0\n"}, r"the class 0 .*categories_places365.txt says bow"),
        ({"places365_val.txt": "Places365_val_00000001.jpg 9\n"}, r"the class 9 .*says nothing of it"),
        ({"places365_val.txt": "Places365_val_00000001.jpg\n"}, r"line 1 of places365_val.txt has 1 columns"),
        ({"categories_places365.txt": "/a/abbey 1\n"}, r"does not number its classes from 0 on"),
        ({"categories_places365.txt": "abbey 0\n"}, r"categories_places365.txt has the line 'abbey'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_in_places365_is_named(
    change: dict[str, str | None], message: str, tmp_path: Path, write_tree: Write
) -> None:
    files = {name: content for name, content in {**places(), **change}.items() if content is not None}
    with pytest.raises(UserError, match=message):
        read_places365(str(write_tree(tmp_path, files)), {})
