from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.places365 import FORMAT

Open = Callable[..., Source]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]
Files = dict[str, "bytes | str"]
PATHS = ("/a/abbey", "/a/apartment_building/outdoor", "/b/bow_window/indoor", "/b/bow_window/outdoor")
CLASSES = ("abbey", "apartment_building/outdoor", "bow_window/indoor", "bow_window/outdoor")


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
        ({"places365_train_standard.txt": "/a/abbey/00000001.jpg 0\n"}, r"the class 0 .*in categories_places365.txt that is bow"),
        ({"places365_val.txt": "Places365_val_00000001.jpg 9\n"}, r"the class 9 .*categories_places365.txt has no such class"),
        ({"places365_val.txt": "Places365_val_00000001.jpg\n"}, r"line 1 of places365_val.txt has 1 columns"),
        ({"categories_places365.txt": "/a/abbey 1\n"}, r"does not number its classes from 0"),
        ({"categories_places365.txt": "abbey 0\n"}, r"categories_places365.txt has the line 'abbey'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_in_places365_is_named(
    change: dict[str, str | None], message: str, tmp_path: Path, write_tree: Write
) -> None:
    files = {name: content for name, content in {**places(), **change}.items() if content is not None}
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(write_tree(tmp_path, files)), {})
