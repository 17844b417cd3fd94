"""Small data sets that are arrays, as torchvision keeps them: CIFAR, MNIST and its relatives, SVHN, STL-10."""

from __future__ import annotations

import gzip
import io
import math
import pickle
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source
from transferlab.images.sources.listing import fingerprint
from transferlab.taxonomy.tree import Taxonomy, build

MOST_BYTES = 1 << 28  # of a file, unpacked; the largest of these data sets, STL-10's test images, has 221 million
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images [n, h, w] or [n, h, w, 3], labels [n]
DIGITS = tuple("0123456789")
FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
STL = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def read_arrays(name: str, root: Path, where: str) -> Source:
    """The source of one of ARRAYS or OTHERS; raises UserError if a file is missing or damaged."""
    files, load = ARRAYS[name] if name in ARRAYS else OTHERS[name]
    folder = next((f for f in (root / files[0].rpartition("/")[0], root) if f.is_dir()), root)
    names = [file.rpartition("/")[2] for file in files]
    paths = [next((p for p in (folder / n, folder / f"{n}.gz") if p.is_file()), folder / n) for n in names]
    if absent := [path for path in paths if not path.is_file()]:
        raise UserError(f"{absent[0].name} is not there", f"{where}?root={root}", "give the folder with its files")
    try:
        parts, classes, taxonomy = load(paths)
        if any(len(x) != len(y) for x, y in parts):
            raise ValueError("images and labels differ in number")
        if any(len(y) and not 0 <= y.min() <= y.max() < len(classes) for _, y in parts):
            raise ValueError("labels outside the classes of the data set")
    except (ValueError, LookupError, TypeError, EOFError, OSError, zlib.error, pickle.UnpicklingError) as error:
        raise UserError(f"the files are damaged: {error}", f"{where}?root={root}", "get them again") from error
    return Source(
        name=name,
        classes=classes,
        fingerprint=digest(name, fingerprint(paths, folder)),
        items=partial(_items, parts, classes),
        taxonomy=taxonomy,
        n_images=sum(len(labels) for _, labels in parts),
    )


def _items(parts: tuple[Part, Part], classes: tuple[str, ...]) -> Iterator[Item]:
    for split, (images, labels) in zip(("train", "test"), parts, strict=True):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield Item(f"{split}/{number:06d}", image, classes[int(label)], split)


Loaded = tuple[tuple[Part, Part], tuple[str, ...], Taxonomy | None]


def _cifar10(paths: list[Path]) -> Loaded:
    batches = [_plain_pickle(path) for path in paths[:-1]]
    meta = _plain_pickle(paths[-1])
    images, labels = [_chw(batch["data"]) for batch in batches], [_whole(batch["labels"]) for batch in batches]
    train = np.concatenate(images[:-1]), np.concatenate(labels[:-1])
    return (train, (images[-1], labels[-1])), _texts(meta["label_names"]), None


def _cifar100(paths: list[Path]) -> Loaded:
    train, test, meta = [_plain_pickle(path) for path in paths]
    parts = [(_chw(part["data"]), _whole(part["fine_labels"])) for part in (train, test)]
    fine, coarse = _texts(meta["fine_label_names"]), _texts(meta["coarse_label_names"])
    pairs: set[tuple[int, int]] = {*zip(train["fine_labels"], train["coarse_labels"], strict=True)}
    return (parts[0], parts[1]), fine, _superclasses(pairs, fine, coarse)


def _cifar100_binary(paths: list[Path]) -> Loaded:
    """Each row has a byte for the superclass, one for the class, and the pixels by colour, row and column."""
    fine, coarse = (_texts(_content(path).decode().split()) for path in paths[2:])
    parts: list[Part] = []
    pairs: set[tuple[int, int]] = set()
    for path in paths[:2]:
        held = np.frombuffer(_content(path), np.uint8)
        if not len(held) or len(held) % 3074:
            raise ValueError(f"{path.name} has {len(held):,} bytes, which is not a multiple of 3,074")
        rows = held.reshape(-1, 3074)
        if rows[:, 0].max() >= len(coarse) or rows[:, 1].max() >= len(fine):
            raise ValueError(f"{path.name} has labels outside the {len(coarse)} and {len(fine)} names")
        parts.append(
            (np.ascontiguousarray(rows[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), _whole(rows[:, 1]))
        )
        pairs |= {(int(b), int(a)) for a, b in np.unique(rows[:, :2], axis=0)}
    return (parts[0], parts[1]), fine, _superclasses(pairs, fine, coarse)


def _superclasses(pairs: set[tuple[int, int]], fine: tuple[str, ...], coarse: tuple[str, ...]) -> Taxonomy:
    """CIFAR-100's taxonomy, from pairs of fine and coarse label."""
    if len({a for a, _ in pairs}) < len(pairs):
        raise ValueError("a class is in two superclasses")
    edges = [(fine[a], f"group:{coarse[b]}") for a, b in sorted(pairs)]
    edges += [(f"group:{coarse[b]}", "all") for b in sorted({b for _, b in pairs})]
    return build(edges, fine, {f"group:{group}": group for group in coarse})


def _mnist(classes: tuple[str, ...], paths: list[Path]) -> Loaded:
    arrays = [_idx(path) for path in paths]
    return ((arrays[0], _whole(arrays[1])), (arrays[2], _whole(arrays[3]))), classes, None


def _svhn(paths: list[Path]) -> Loaded:
    from scipy.io import loadmat, whosmat

    for path in paths:  # before anything is unpacked
        if sum(math.prod(shape) for _, shape, _ in whosmat(path)) > MOST_BYTES:
            raise ValueError(f"{path.name} unpacks to more than {MOST_BYTES:,} bytes")
    held = [cast("dict[str, NDArray[Any]]", loadmat(path)) for path in paths]
    # The digit 0 has the label 10.
    parts = [(np.ascontiguousarray(m["X"].transpose(3, 0, 1, 2)), _whole(m["y"].ravel()) % 10) for m in held]
    return (parts[0], parts[1]), DIGITS, None


def _stl10(paths: list[Path]) -> Loaded:
    def part(images: Path, labels: Path) -> Part:
        # This format stores columns before rows; labels start at 1.
        pixels = np.frombuffer(_content(images), np.uint8).reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
        return np.ascontiguousarray(pixels), _whole(np.frombuffer(_content(labels), np.uint8)) - 1

    return (part(paths[0], paths[1]), part(paths[2], paths[3])), STL, None


_IDX = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
_BINARY = ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt")
ARRAYS: dict[str, tuple[tuple[str, ...], Callable[[list[Path]], Loaded]]] = {
    "cifar10": (tuple(f"cifar-10-batches-py/{name}" for name in _BATCHES), _cifar10),
    "cifar100": (tuple(f"cifar-100-python/{name}" for name in ("train", "test", "meta")), _cifar100),
    "mnist": (tuple(f"MNIST/raw/{name}" for name in _IDX), partial(_mnist, DIGITS)),
    "fashionmnist": (tuple(f"FashionMNIST/raw/{name}" for name in _IDX), partial(_mnist, FASHION)),
    "kmnist": (tuple(f"KMNIST/raw/{name}" for name in _IDX), partial(_mnist, KUZUSHIJI)),
    "svhn": (("train_32x32.mat", "test_32x32.mat"), _svhn),
    "stl10": (tuple(f"stl10_binary/{s}_{k}.bin" for s in ("train", "test") for k in ("X", "y")), _stl10),
}

# Data sets that torchvision has no name for.
OTHERS: dict[str, tuple[tuple[str, ...], Callable[[list[Path]], Loaded]]] = {
    "cifar100-binary": (tuple(f"cifar-100-binary/{name}" for name in _BINARY), _cifar100_binary)
}


def _chw(rows: Any) -> NDArray[np.uint8]:
    if not isinstance(rows, _Array):
        raise ValueError("the pixels are not an array")
    return np.ascontiguousarray(rows.values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _whole(values: Any) -> NDArray[np.int64]:
    return np.asarray(values).astype(np.int64)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def _idx(path: Path) -> NDArray[np.uint8]:
    """An array in idx format: two zero bytes, type (8 is uint8), number of axes, the axes as big-endian int32."""
    data = _content(path)
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} is not in idx format")
    n_axes = data[3]
    shape = np.frombuffer(data, ">i4", n_axes, 4).tolist()
    return np.frombuffer(data, np.uint8, math.prod(shape), 4 + 4 * n_axes).reshape(shape)


def _content(path: Path) -> bytes:
    """A file's bytes, unpacked if it is gzipped; raises ValueError if they are too many."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path.name} has more than {MOST_BYTES:,} bytes")
    return data


class _Array:
    """Replaces numpy's array in a pickle: it reads the state itself, so that no other code runs."""

    def __init__(self, *arguments: Any) -> None:
        self.values = np.zeros(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, _, data = state
        raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
        if not isinstance(dtype, _Dtype) or dtype.name != "u1":
            raise pickle.UnpicklingError("an array whose type is not uint8")
        self.values = np.frombuffer(raw, np.uint8).reshape([int(n) for n in shape])


class _Dtype:
    """Replaces numpy's dtype in a pickle."""

    def __init__(self, name: Any, *arguments: Any) -> None:
        self.name = str(name)

    def __setstate__(self, state: Any) -> None:
        pass  # the byte order, which does not matter for uint8


def _encode(text: Any, encoding: Any) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding!r}")
    return str(text).encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _PlainUnpickler(pickle.Unpickler):
    """Every name in the pickle becomes one of our replacements or an error: no other code runs, not even numpy's."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"the file asks for {module}.{name}")
        return _STAND_INS[module, name]


def _plain_pickle(path: Path) -> dict[str, Any]:
    held = _PlainUnpickler(io.BytesIO(_content(path)), encoding="latin1").load()
    if not isinstance(held, dict):
        raise pickle.UnpicklingError(f"{path.name} has no table")
    return cast("dict[str, Any]", held)
