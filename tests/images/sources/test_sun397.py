from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.sun397 import FORMAT

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
        ({"Partitions/Testing_01.txt": sun()["Partitions/Training_01.txt"]}, r"Testing_01.txt names .*training list named"),
        ({"Partitions/Training_01.txt": "abbey 1\n"}, r"Training_01.txt has the line 'abbey 1'"),
        ({"Partitions/Training_01.txt": "\n".join(f"{p}/sun_01.jpg\n" * 2 for p in PATHS)}, r"sun_01.jpg 2 times"),
    ],
)  # fmt: skip
def test_what_does_not_fit_in_sun397_is_named(
    change: dict[str, str | bytes | None], message: str, tmp_path: Path, write_tree: Write
) -> None:
    files = {name: content for name, content in {**sun(), **change}.items() if content is not None}
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(write_tree(tmp_path, files)), {})


@pytest.mark.parametrize("number", ["0", "11", "01", "one"])
def test_there_are_ten_partitions(number: str, tmp_path: Path, write_tree: Write) -> None:
    with pytest.raises(UserError, match=rf"partition={number} is not valid.*from 1 to 10"):
        FORMAT.open(str(write_tree(tmp_path, sun())), {"partition": number})
