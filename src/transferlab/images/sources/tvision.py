"""``torchvision:NAME?root=PATH``: sets in the layouts that torchvision downloads, read without running any of their code.

torchvision loads CIFAR by pickle; here only plain containers, texts and numpy arrays come out of such files.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source
from transferlab.taxonomy.tree import Taxonomy, build

ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"),
    ("numpy", "dtype"), ("_codecs", "encode"),
}  # fmt: skip
OTHERS = {"mnist": "MNIST", "fashionmnist": "FashionMNIST", "kmnist": "KMNIST", "svhn": "SVHN", "stl10": "STL10"}


def read(path: str, options: Mapping[str, str]) -> Source:
    """``cifar10`` and ``cifar100`` (with its 20 superclasses), ``mnist``, ``fashionmnist``, ``kmnist``, ``svhn``, ``stl10``.

    Nothing is downloaded: ``root`` is the folder that torchvision has put the set into.

    Raises:
        UserError: an unknown set, no root, files that are not there.
    """
    name, where = path.lower(), f"torchvision:{path}"
    if name not in ("cifar10", "cifar100", *OTHERS):
        raise UserError(f"the set {path!r} is not known", where, f"known are cifar10, cifar100, {', '.join(OTHERS)}")
    root = Path(options.get("root", "."))
    if not root.is_dir():
        raise UserError("there is no such folder", f"{where}?root={root}", "give ?root=PATH, the folder of the set")
    if name in OTHERS:
        images, labels, names, taxonomy = _of_torchvision(OTHERS[name], root, where)
    else:
        images, labels, names, taxonomy = _cifar(name, root, where)

    def items() -> Iterator[Item]:
        for split in ("train", "test"):
            for i, (image, label) in enumerate(zip(images[split], labels[split], strict=True)):
                yield Item(f"{split}/{i:06d}", image, names[int(label)], split)

    stamp = [digest(images[split], labels[split]) for split in ("train", "test")]
    return Source(
        name=name, classes=names, fingerprint=digest(name, stamp), items=items, taxonomy=taxonomy,
        n_images=sum(map(len, labels.values())),
    )  # fmt: skip


Arrays = dict[str, NDArray[Any]]


def _cifar(name: str, root: Path, where: str) -> tuple[Arrays, Arrays, list[str], Taxonomy | None]:
    folder = root / ("cifar-100-python" if name == "cifar100" else "cifar-10-batches-py")
    folder = folder if folder.is_dir() else root
    files = {"train": ["train"], "test": ["test"]}
    if name == "cifar10":
        files = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
    absent = [part for parts in files.values() for part in parts if not (folder / part).is_file()]
    if absent:
        raise UserError(f"{absent[0]} is not there", f"{where}?root={root}", "give the folder with the python version")
    meta = _plain_pickle(folder / ("meta" if name == "cifar100" else "batches.meta"))
    images: Arrays = {}
    labels: Arrays = {}
    coarse: NDArray[Any] = np.zeros(0, np.int64)
    for split, parts in files.items():
        held = [_plain_pickle(folder / part) for part in parts]
        pixels = np.concatenate([np.asarray(h["data"], np.uint8) for h in held])
        images[split] = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels[split] = np.concatenate([np.asarray(h["fine_labels" if name == "cifar100" else "labels"]) for h in held])
        if name == "cifar100" and split == "train":
            coarse = np.asarray(held[0]["coarse_labels"])
    if name == "cifar10":
        return images, labels, [str(n) for n in meta["label_names"]], None
    names, groups = [str(n) for n in meta["fine_label_names"]], [str(n) for n in meta["coarse_label_names"]]
    group_of = dict(zip(labels["train"].tolist(), coarse.tolist(), strict=True))
    edges = [(names[fine], f"group:{groups[group_of[fine]]}") for fine in sorted(group_of)]
    edges += [(f"group:{group}", "all") for group in groups]
    return images, labels, names, build(edges, names, {f"group:{g}": g for g in groups})


def _of_torchvision(name: str, root: Path, where: str) -> tuple[Arrays, Arrays, list[str], None]:
    from torchvision import datasets

    make = cast(Any, getattr(datasets, name))
    images: Arrays = {}
    labels: Arrays = {}
    names: list[str] = [str(i) for i in range(10)]
    for split in ("train", "test"):
        choice = {"split": split} if name in ("SVHN", "STL10") else {"train": split == "train"}
        try:
            held = make(root=str(root), download=False, **choice)
        except RuntimeError as error:
            raise UserError(str(error), f"{where}?root={root}", "put the set's files there first") from error
        pixels = np.asarray(held.data)
        images[split] = pixels.transpose(0, 2, 3, 1) if pixels.ndim == 4 else pixels
        labels[split] = np.asarray(held.labels if name in ("SVHN", "STL10") else held.targets)
        names = [str(n) for n in held.classes] if name not in ("SVHN",) else names
    return images, labels, names, None


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every name but those that numpy arrays are made of, so that loading runs no foreign code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not plain data")
        return super().find_class(module, name)


def _plain_pickle(path: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load())
    except (pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"the file cannot be read safely: {error}", str(path), "download the set again") from error
