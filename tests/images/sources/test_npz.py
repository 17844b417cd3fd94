from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.images.sources.npz import FORMAT

IMAGES = np.arange(5 * 4 * 6 * 3, dtype=np.uint8).reshape(5, 4, 6, 3)
LABELS = np.array([2, 0, 10, 0, 2])


def saved(folder: Path, compressed: bool = False, **arrays: Any) -> str:
    (np.savez_compressed if compressed else np.savez)(folder / "set.npz", **arrays)
    return str(folder / "set.npz")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., 0].copy()])
def test_arrays_come_back_one_by_one(compressed: bool, images: np.ndarray, tmp_path: Path) -> None:
    source = FORMAT.open(saved(tmp_path, compressed, images=images, labels=LABELS), {})
    assert source.classes == ("0", "2", "10") and source.n_images == 5 and source.name == "set"
    for item, image, label in zip(source.items(), images, LABELS, strict=True):
        assert (item.data == image).all() and item.label == str(label) and item.split is None


def test_names_and_splits_are_taken_from_their_arrays(tmp_path: Path) -> None:
    path = saved(tmp_path, images=IMAGES, labels=np.array([0, 1, 1, 0, 1], np.uint8), names=np.array(["cat", "dog"]),
                 split=np.array(["train", "val", "test", "valid", "train"]))  # fmt: skip
    source = FORMAT.open(path, {})
    assert [i.label for i in source.items()] == ["cat", "dog", "dog", "cat", "dog"]
    assert [i.split for i in source.items()] == ["train", "val", "test", "val", "train"]


def test_labels_may_be_texts(tmp_path: Path) -> None:
    assert FORMAT.open(saved(tmp_path, images=IMAGES, labels=np.array(list("ababa"))), {}).classes == ("a", "b")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES}, "must hold the arrays images and labels"), ({"labels": LABELS}, "must hold the arrays"),
        ({"images": IMAGES.astype(np.float32), "labels": LABELS}, r"float32 \[5, 4, 6, 3\]"),
        ({"images": IMAGES[..., :2].copy(), "labels": LABELS}, r"uint8 \[5, 4, 6, 2\]"),
        ({"images": np.asfortranarray(IMAGES), "labels": LABELS}, "Fortran order"),
        ({"images": IMAGES, "labels": LABELS[:4]}, "5 images, 4 labels"),
        ({"images": IMAGES, "labels": LABELS.astype(float)}, "labels are float64"),
        ({"images": IMAGES, "labels": LABELS, "names": np.array(["a"])}, "labels go from 0 to 10"),
        ({"images": IMAGES, "labels": LABELS - 1, "names": np.array(list("abcdefghijklm"))}, "labels go from -1"),
        ({"images": IMAGES, "labels": LABELS, "split": np.array(["train"] * 4 + ["?"])}, "no split"),
        ({"images": IMAGES, "labels": np.array([{}] * 5)}, "cannot be read"),
        ({"images": np.array([{}] * 5), "labels": LABELS}, r"images are object"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_used_are_told(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        FORMAT.open(saved(tmp_path, **arrays), {})


def test_what_is_no_npz_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", IMAGES)
    (tmp_path / "text.npz").write_text("hello")
    for name in ("plain.npy", "text.npz"):
        with pytest.raises(UserError, match="cannot be read"):
            FORMAT.open(str(tmp_path / name), {})


def test_pixels_damaged_after_listing_are_told(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, images=IMAGES, labels=LABELS))
    source = FORMAT.open(str(path), {})
    path.write_bytes(path.read_bytes().replace(IMAGES[2].tobytes(), bytes(IMAGES[2].size)))
    with pytest.raises(UserError, match="cannot be read"):
        list(source.items())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": LABELS % 2, "names": np.array(["cat", "cat"])}, "2 names are not different"),
        ({"labels": LABELS % 2, "names": np.array([["cat", "dog"], ["a", "b"]])}, "4 names are not different texts in a row"),
        ({"labels": np.array(list("ababa")), "names": np.array(["a", "c"])}, "'b' is no name of a class"),
        ({"labels": np.array(["a", "", "a", "b", "b"])}, "'' is no name of a class"),
        ({"labels": LABELS, "split": np.array([["train"]] * 5)}, r"splits are \[5, 1\]"),
    ],
)  # fmt: skip
def test_names_and_splits_that_do_not_fit_the_labels_are_told(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        FORMAT.open(saved(tmp_path, images=IMAGES, **arrays), {})


def test_a_single_array_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", IMAGES)
    with pytest.raises(UserError, match="this is not a file of several"):
        FORMAT.open(str(tmp_path / "set.npy"), {})
