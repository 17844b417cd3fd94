"""``npz:PATH``: arrays ``images`` uint8 [n, h, w] or [n, h, w, 3], ``labels`` [n]; optionally ``split`` [n], ``names`` [c]."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.bounded import MAX_PIXELS
from transferlab.images.format import Format, Request
from transferlab.images.source import Item, Source
from transferlab.images.sources.listing import class_order, fingerprint
from transferlab.images.sources.split_names import split_of

USED = {"images", "labels", "split", "names"}
MOST_BYTES = 1 << 28  # of labels, splits and names
_DAMAGED = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


def read(request: Request) -> Source:
    """Labels are texts, or whole numbers: indices of ``names`` if there is that array.

    The images are read one after another, never all at once; pickled arrays are refused.

    Raises:
        UserError: an array is missing, has another shape or type, or is pickled or damaged.
    """
    file, where = request.path, request.where
    if not zipfile.is_zipfile(file):
        raise UserError(
            "the arrays cannot be read: this is not a file of several", where, "save images and labels with numpy.savez"
        )
    try:
        # Opened here, because numpy leaves a damaged file open.
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as held:
            _must_be_small(held.zip.infolist(), where)
            arrays = {name: held[name] for name in held.files if name != "images"}
            found = ["images", *arrays] if "images" in held.files else list(arrays)
        if not {"images", "labels"} <= set(found):
            raise UserError(f"the file holds {', '.join(found)}", where, "it must hold the arrays images and labels")
        with zipfile.ZipFile(file) as archive, archive.open("images.npy") as member:
            shape = _header(member, where)
    except (*_DAMAGED, AttributeError, TypeError) as error:
        raise UserError(f"the arrays cannot be read: {error}", where, "save them with numpy.savez") from error
    labels = _names(arrays["labels"], arrays.get("names"), where)
    if "split" in arrays and arrays["split"].ndim != 1:
        raise UserError(f"splits are {list(arrays['split'].shape)}", where, "give one to each image, [n]")
    splits: list[str | None] = [None] * len(labels)
    if "split" in arrays:
        splits = [split_of(word, where) for word in _texts(arrays["split"])]
    if not len(labels) == len(splits) == shape[0]:
        raise UserError(
            f"there are {shape[0]} images, {len(labels)} labels and {len(splits)} splits", where, "give one to each"
        )
    return Source(
        name=file.stem,
        classes=class_order(labels),
        fingerprint=digest("npz", fingerprint([file], file.parent)),
        items=partial(_items, file, labels, splits, where),
        n_images=len(labels),
        stated="by the array split" if "split" in arrays else "",
        notes=[f"the arrays {', '.join(unused)} were not used"] if (unused := sorted(set(arrays) - USED)) else [],
    )


def _must_be_small(members: Sequence[zipfile.ZipInfo], where: str) -> None:
    """Refuse arrays beside the images that would fill the memory."""
    for member in members:
        if member.filename != "images.npy" and member.file_size > MOST_BYTES:
            raise UserError(
                f"the array {member.filename.removesuffix('.npy')} has {member.file_size:,} bytes", where,
                f"give less than {MOST_BYTES:,}: labels are one number or text an image",
            )  # fmt: skip


def _items(file: Path, labels: list[str], splits: list[str | None], where: str) -> Iterator[Item]:
    try:
        with zipfile.ZipFile(file) as archive, archive.open("images.npy") as member:
            shape = _header(member, where)[1:]
            n_bytes = int(np.prod(shape))
            for number, (label, split) in enumerate(zip(labels, splits, strict=True)):
                data = member.read(n_bytes)
                if len(data) != n_bytes:
                    raise UserError("the array images is cut short", where, "save it again")
                yield Item(f"{number:07d}", np.frombuffer(data, np.uint8).reshape(shape), label, split)
    except _DAMAGED as error:
        raise UserError(f"the arrays cannot be read: {error}", where, "save them again") from error


def _header(member: IO[bytes], where: str) -> tuple[int, ...]:
    """The shape in the header of an array."""
    version = npy.read_magic(member)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(member)
    fits = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if dtype != np.uint8 or not fits or fortran or not all(shape):
        raise UserError(
            f"images are {dtype} {list(shape)}{' in Fortran order' if fortran else ''}", where,
            "they must be uint8 [n, h, w] or [n, h, w, 3] in C order",
        )  # fmt: skip
    if shape[1] * shape[2] > MAX_PIXELS:
        raise UserError(f"images of {shape[2]}x{shape[1]} have too many pixels", where, f"keep below {MAX_PIXELS:,}")
    return shape


def _names(labels: NDArray[Any], names: NDArray[Any] | None, where: str) -> list[str]:
    if labels.ndim != 1 or labels.dtype.kind not in "iuUS":
        raise UserError(f"labels are {labels.dtype} {list(labels.shape)}", where, "give whole numbers or texts, [n]")
    texts = _texts(names) if names is not None else []
    if names is not None and (names.ndim != 1 or len(set(texts)) < len(texts)):
        raise UserError(
            f"the {len(texts)} names are not different texts in a row", where, "give each class a name of its own"
        )
    if labels.dtype.kind in "US":
        found = _texts(labels)
        if unknown := sorted(set(found) - set(texts)) if names is not None else [""] * ("" in found):
            raise UserError(
                f"the label {unknown[0]!r} is no name of a class", where, "correct the labels, or the names"
            )
        return found
    if names is None:
        return [str(label) for label in labels.tolist()]
    if labels.size and not 0 <= labels.min() <= labels.max() < len(names):
        raise UserError(f"labels go from {labels.min()} to {labels.max()}, names are {len(names)}", where,
                        "labels are indices of names, from 0")  # fmt: skip
    return [texts[label] for label in labels.tolist()]


def _texts(array: NDArray[Any]) -> list[str]:
    """The elements as texts; bytes are UTF-8, and those that are not become escapes."""
    found: list[Any] = array.ravel().tolist()
    return [each.decode("utf-8", "backslashreplace") if isinstance(each, bytes) else str(each) for each in found]


FORMAT = Format(
    name="npz", title="NumPy archive", explained="the arrays images, labels and, optionally, split and names",
    path="a file that `numpy.savez` wrote", read=read,
)  # fmt: skip
