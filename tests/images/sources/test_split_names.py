"""Folders within splits that are no classes, or are the classes twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.sources.imagefolder import FORMAT

Png = Callable[..., bytes]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]


def test_the_same_classes_twice_within_splits_are_an_error_unless_the_splits_are_chosen(
    tmp_path: Path, png: Png, write_tree: Write
) -> None:
    names = [f"{split}/{part}/{c}/1.png" for split in ("train", "test") for part in ("images", "masks") for c in "ab"]
    root = str(write_tree(tmp_path, {name: png(n) for n, name in enumerate(names)}))
    with pytest.raises(UserError, match=r"images, masks hold the same 2 classes.*[?]splits=test,train"):
        FORMAT.open(root, {})
    source = FORMAT.open(root, {"splits": "test,train"})
    assert source.classes == ("images/a", "images/b", "masks/a", "masks/b") and source.n_images == 8


def test_a_test_set_in_a_folder_that_is_no_class_is_an_error(tmp_path: Path, png: Png, write_tree: Write) -> None:
    names = ("Final_Training/Images/0/1.png", "Final_Training/Images/1/2.png", "Final_Test/Images/3.png")
    root = str(write_tree(tmp_path, {name: png(n) for n, name in enumerate(names)}))
    with pytest.raises(UserError, match=r"test images, such as 'Images', is a class .*[?]splits=Final_Training"):
        FORMAT.open(root, {})
    assert {item.split for item in FORMAT.open(root, {"splits": "Final_Training"}).items()} == {"train"}
