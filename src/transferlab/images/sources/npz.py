"""``npz:PATH``: arrays images uint8 [n,h,w] or [n,h,w,3] and labels [n], optionally split [n] and names [c]."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source

SPLITS = ("train", "val", "test")


def read(path: str, options: Mapping[str, str]) -> Source:
    """Labels are integers or texts; split holds the texts train, val and test; nothing pickled is read.

    Raises:
        UserError: no such file, arrays that are missing, of other shapes, or pickled.
    """
    file, where = Path(path), f"npz:{path}"
    if not file.is_file():
        raise UserError("there is no such file", where, "check the path")
    try:
        with np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"the arrays cannot be read: {error}", where, "save them with numpy.savez, no objects"
        ) from error
    if not {"images", "labels"} <= set(arrays):
        raise UserError(f"the file holds {', '.join(arrays)}", where, "it must hold the arrays images and labels")
    images, labels = arrays["images"], arrays["labels"]
    right_shape = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not right_shape or labels.shape != images.shape[:1]:
        raise UserError(
            f"images are {images.dtype} {list(images.shape)}, labels {list(labels.shape)}", where,
            "images must be uint8 [n,h,w] or [n,h,w,3] and labels [n]",
        )  # fmt: skip
    names = [str(label) for label in labels]
    if labels.dtype.kind in "iu":
        width = len(str(int(labels.max(initial=0))))
        names = [str(int(label)).zfill(width) for label in labels]
        if "names" in arrays:
            names = [str(arrays["names"][int(label)]) for label in labels]
    split = [str(s) for s in arrays["split"]] if "split" in arrays else [None] * len(names)
    if any(s is not None and s not in SPLITS for s in split):
        raise UserError("split holds other words than train, val and test", where, "rename them")

    def items() -> Iterator[Item]:
        for i, image in enumerate(images):
            yield Item(f"{i:07d}", image, names[i], split[i])

    return Source(
        name=file.stem, classes=sorted(set(names)), fingerprint=digest("npz", images, names, split), items=items,
        n_images=len(names),
    )  # fmt: skip
