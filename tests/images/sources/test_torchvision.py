from __future__ import annotations

import gzip
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from transferlab.errors import UserError
from transferlab.images.source import Source, at_hand
from transferlab.images.sources.torchvision import FORMAT

RANDOM = np.random.Generator(np.random.PCG64(0))


def opened(name: str, root: Path) -> Source:
    return FORMAT.open(name, {"root": str(root)})


def rows(n: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (n, 3072), np.uint8)


def dump(path: Path, held: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(held, protocol=2))


def cifar100(root: Path) -> dict[str, np.ndarray]:
    data = {"train": rows(4), "test": rows(2)}
    for split, fine, coarse in (("train", [0, 1, 2, 0], [1, 0, 1, 1]), ("test", [2, 1], [1, 0])):
        held = {"data": data[split], "fine_labels": fine, "coarse_labels": coarse}
        dump(root / "cifar-100-python" / split, held)
    names = {"fine_label_names": ["apple", "bear", "pear"], "coarse_label_names": ["beasts", "fruit"]}
    dump(root / "cifar-100-python" / "meta", names)
    return data


def test_cifar100_comes_with_its_superclasses(tmp_path: Path) -> None:
    data = cifar100(tmp_path)
    source = opened("CIFAR100", tmp_path)
    assert [(i.label, i.split) for i in source.items()] == [
        ("apple", "train"), ("bear", "train"), ("pear", "train"), ("apple", "train"), ("pear", "test"), ("bear", "test")
    ]  # fmt: skip
    assert source.taxonomy is not None and source.taxonomy.leaves_under("group:fruit") == ("apple", "pear")
    expected = np.concatenate([data["train"], data["test"]]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert (np.stack([np.asarray(i.data) for i in source.items()]) == expected).all()


def test_cifar10_joins_its_batches_in_order(tmp_path: Path) -> None:
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        dump(tmp_path / "cifar-10-batches-py" / name, {"data": rows(2), "labels": [number, 9]})
    dump(tmp_path / "cifar-10-batches-py" / "batches.meta", {"label_names": [f"c{i}" for i in range(10)]})
    source = opened("cifar10", tmp_path)
    assert [i.label for i in source.items()][::2] == ["c0", "c1", "c2", "c3", "c4", "c5"]
    assert [i.split for i in source.items()] == ["train"] * 10 + ["test"] * 2
    assert opened("cifar10", tmp_path / "cifar-10-batches-py").fingerprint == source.fingerprint


def of_python_2(pixels: np.ndarray) -> bytes:
    """A batch as Python 2 wrote the genuine files: texts are byte strings, numpy has its old names."""
    raw = pixels.tobytes()
    return (
        b"\x80\x02}q\x00(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + b"K" + bytes([len(pixels)]) + b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", len(raw)) + raw
        + b"tbU\x0bfine_labels](K\x00K\x01eU\rcoarse_labels](K\x00K\x00eu."
    )  # fmt: skip


def test_files_written_by_python_2_are_read(tmp_path: Path) -> None:
    cifar100(tmp_path)
    pixels = rows(2)
    assert (pickle.loads(of_python_2(pixels), encoding="latin1")["data"] == pixels).all()  # noqa: S301
    (tmp_path / "cifar-100-python" / "test").write_bytes(of_python_2(pixels))
    (tmp_path / "cifar-100-python" / "train").write_bytes(of_python_2(pixels))
    dump(tmp_path / "cifar-100-python" / "meta", {"fine_label_names": ["a", "b"], "coarse_label_names": ["all things"]})
    found = [np.asarray(i.data) for i in opened("cifar100", tmp_path).items()]
    assert (np.stack(found[:2]) == pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)).all()


class Malice:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "held",
    [
        lambda mark: {"data": Malice(mark)}, lambda mark: Malice(mark), lambda mark: np.array([Malice(mark)]),
        lambda mark: {"data": np.zeros((1, 3072)), "fine_labels": [0], "coarse_labels": [0]}, lambda mark: [],
        lambda mark: {"data": "text", "fine_labels": [0], "coarse_labels": [0]}, lambda mark: {},
    ],
)  # fmt: skip
def test_a_hostile_pickle_is_refused_and_runs_nothing(held: Callable[[Path], Any], tmp_path: Path) -> None:
    cifar100(tmp_path)
    (tmp_path / "cifar-100-python" / "train").write_bytes(pickle.dumps(held(tmp_path / "mark"), protocol=2))
    with pytest.raises(UserError, match="the files are damaged"):
        opened("cifar100", tmp_path)
    assert not (tmp_path / "mark").exists()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_plain_and_compressed(name: str, packed: bool, tmp_path: Path) -> None:
    folder = tmp_path / name / "raw"
    folder.mkdir(parents=True)
    images = {"train": RANDOM.integers(0, 256, (3, 28, 28), np.uint8), "t10k": RANDOM.integers(0, 256, (2, 28, 28))}
    for part, labels in (("train", [5, 0, 9]), ("t10k", [1, 2])):
        for kind, array in (("images-idx3", images[part]), ("labels-idx1", np.array(labels))):
            file = folder / f"{part}-{kind}-ubyte{'.gz' if packed else ''}"
            file.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    source = opened(name, tmp_path)
    items = list(source.items())
    assert [source.classes.index(str(i.label)) for i in items] == [5, 0, 9, 1, 2] and len(source.classes) == 10
    assert (np.asarray(items[0].data) == images["train"][0]).all()
    assert [i.split for i in items] == ["train"] * 3 + ["test"] * 2


def test_a_short_idx_file_is_told(tmp_path: Path) -> None:
    test_idx_files_are_read_plain_and_compressed("MNIST", False, tmp_path)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="the files are damaged"):
        opened("mnist", tmp_path)


def test_svhn_counts_its_zero_as_ten(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (32, 32, 3, 3), np.uint8)
    for split in ("train", "test"):
        savemat(tmp_path / f"{split}_32x32.mat", {"X": pixels, "y": np.array([[10], [1], [9]], np.uint8)})
    items = list(opened("svhn", tmp_path).items())
    assert [i.label for i in items] == ["0", "1", "9"] * 2
    assert (np.asarray(items[1].data) == pixels[..., 1]).all()


def test_stl10_is_stored_by_columns_and_counts_from_one(tmp_path: Path) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    image = RANDOM.integers(0, 256, (96, 96, 3), np.uint8)
    for split in ("train", "test"):
        (folder / f"{split}_X.bin").write_bytes(np.stack([image.transpose(2, 1, 0)] * 2).tobytes())
        (folder / f"{split}_y.bin").write_bytes(bytes([1, 10]))
    items = list(opened("stl10", tmp_path).items())
    assert [i.label for i in items][:2] == ["airplane", "truck"]
    assert (np.asarray(items[0].data) == image).all()


def test_sets_of_files_are_found_by_torchvision_and_decoded_by_us(tmp_path: Path, png: Callable[..., bytes]) -> None:
    meta, images = tmp_path / "food-101" / "meta", tmp_path / "food-101" / "images"
    meta.mkdir(parents=True)
    for number, (split, names) in enumerate((("train", ["pie/1", "soup/2"]), ("test", ["soup/3", "pie/4"]))):
        held: dict[str, list[str]] = {}
        for name in names:
            held.setdefault(name.split("/")[0], []).append(name)
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            (images / f"{name}.jpg").write_bytes(png(number))
        (meta / f"{split}.json").write_text(json.dumps(held))
    source = opened("food101", tmp_path)
    found = {(Path(i.key).stem, i.label, i.split): at_hand(i.data) for i in source.items()}
    assert set(found) == {("1", "pie", "train"), ("2", "soup", "train"), ("3", "soup", "test"), ("4", "pie", "test")}
    assert found["1", "pie", "train"] == png(0)


def test_sets_without_splits_have_none(tmp_path: Path, png: Callable[..., bytes]) -> None:
    for name in ("Forest", "River"):
        file = tmp_path / "eurosat" / "2750" / name / "1.jpg"
        file.parent.mkdir(parents=True)
        file.write_bytes(png())
    assert [(i.label, i.split) for i in opened("eurosat", tmp_path).items()] == [("Forest", None), ("River", None)]


@pytest.mark.parametrize("label", [0, 11])
def test_labels_outside_of_the_classes_are_told(label: int, tmp_path: Path) -> None:
    test_stl10_is_stored_by_columns_and_counts_from_one(tmp_path)
    (tmp_path / "stl10_binary" / "test_y.bin").write_bytes(bytes([1, label]))
    with pytest.raises(UserError, match="labels outside"):
        opened("stl10", tmp_path)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="known are cifar10, cifar100"):
        opened("imagenet22k", tmp_path)
    with pytest.raises(UserError, match="torchvision needs the option root.*add [?]root="):
        FORMAT.open("cifar10", {})
    with pytest.raises(UserError, match="no such file or folder"):
        opened("cifar10", tmp_path / "absent")
    with pytest.raises(UserError, match="data_batch_1 is not there"):
        opened("cifar10", tmp_path)
    with pytest.raises(UserError, match="torchvision cannot read it"):
        opened("food101", tmp_path)
