from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.cifar100 import FORMAT

Open = Callable[..., Source]
FINE, COARSE = ["apple", "bear", "pear"], ["beasts", "fruit"]
ROWS = {"train": [(1, 0), (0, 1), (1, 2), (1, 0)], "test": [(1, 2), (0, 1)]}  # superclass, class


def binary(folder: Path) -> dict[str, np.ndarray]:
    """The binary version; a pixel tells its colour, row and column."""
    folder.mkdir(parents=True)
    random = np.random.Generator(np.random.PCG64(0))
    images = {split: random.integers(0, 256, (len(rows), 3, 32, 32), np.uint8) for split, rows in ROWS.items()}
    for split, rows in ROWS.items():
        labels = np.array(rows, np.uint8)
        (folder / f"{split}.bin").write_bytes(
            np.concatenate([labels, images[split].reshape(len(rows), -1)], 1).tobytes()
        )
    (folder / "fine_label_names.txt").write_text("\n".join(FINE) + "\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(COARSE) + "\n")
    return images


@pytest.mark.parametrize("inside", [True, False])
def test_the_binary_version_is_read_with_its_superclasses(inside: bool, tmp_path: Path, opened: Open) -> None:
    folder = tmp_path / "cifar-100-binary"
    images = binary(folder)
    source = opened("cifar100", folder if inside else tmp_path)
    items = list(source.items())
    assert [(i.label, i.split) for i in items] == [
        (FINE[fine], split) for split, rows in ROWS.items() for _, fine in rows
    ]
    assert (np.asarray(items[0].data) == images["train"][0].transpose(1, 2, 0)).all()
    assert source.taxonomy is not None and source.taxonomy.leaves_under("group:fruit") == ("apple", "pear")
    assert source.name == "cifar100"


def test_both_versions_give_the_same(tmp_path: Path, opened: Open) -> None:
    images = binary(tmp_path / "cifar-100-binary")
    folder = tmp_path / "other" / "cifar-100-python"
    folder.mkdir(parents=True)
    for split, rows in ROWS.items():
        held = {"data": images[split].reshape(len(rows), -1), "fine_labels": [b for _, b in rows],
                "coarse_labels": [a for a, _ in rows]}  # fmt: skip
        (folder / split).write_bytes(pickle.dumps(held, protocol=2))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": FINE, "coarse_label_names": COARSE}, protocol=2))
    one, other = opened("cifar100", tmp_path), opened("cifar100", tmp_path / "other")
    for a, b in zip(one.items(), other.items(), strict=True):
        assert (a.key, a.label, a.split) == (b.key, b.label, b.split)
        assert (np.asarray(a.data) == np.asarray(b.data)).all()
    assert one.taxonomy is not None and other.taxonomy is not None
    assert one.taxonomy.to_plain() == other.taxonomy.to_plain()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train.bin", lambda whole: whole[:-1], r"train.bin has 12,295 bytes, which is not a multiple of 3,074"),
        ("test.bin", lambda whole: b"", r"test.bin has 0 bytes"),
        ("test.bin", lambda whole: bytes([2]) + whole[1:], r"test.bin has labels outside the 2 and 3 names"),
        ("test.bin", lambda whole: bytes([0, 0]) + whole[2:], r"a class is in two superclasses"),
        ("fine_label_names.txt", lambda whole: whole[:6], r"train.bin has labels outside the 2 and 1 names"),
        ("fine_label_names.txt", lambda whole: b"\xff", r"the files are damaged.*codec"),
        ("fine_label_names.txt", None, r"fine_label_names.txt is not there"),
        ("test.bin", None, r"test.bin is not there"),
        ("train.bin", None, r"neither cifar-100-binary/train.bin nor cifar-100-python/meta"),
    ],
)  # fmt: skip
def test_files_that_are_not_whole_are_named(
    name: str, change: Callable[[bytes], bytes] | None, message: str, tmp_path: Path
) -> None:
    binary(tmp_path / "cifar-100-binary")
    file = tmp_path / "cifar-100-binary" / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(tmp_path), {})
