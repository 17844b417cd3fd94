"""Tables of one box per image: ``key,x0,y0,x1,y1`` in whole pixels that count from 0, last row and column included."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.bounded import read_whole
from transferlab.images.format import existing
from transferlab.images.source import Box, Item, Objects, Unreadable
from transferlab.text import number_of

MAX_BYTES = 1 << 28  # of a table, also unpacked: 5 million rows
HUGE = 1_000_000  # no coordinate is as large
COLUMNS = ["key", "x0", "y0", "x1", "y1"]
Corners = tuple[int, int, int, int]


def read_tables(files: str, where: str) -> dict[str, Corners]:
    """Key to box, from files with commas between their names, each plain or gzipped.

    Raises:
        UserError: a file is missing, damaged or has other columns; a value is not a number, a key is repeated.
    """
    found: dict[str, Corners] = {}
    for name in files.split(","):
        for number, row in enumerate(_rows(existing(name, "boxes"), where), 2):
            try:
                key, *texts = row
                left, top, right, bottom = map(int, texts)
                if not all(abs(value) < HUGE for value in (left, top, right, bottom)):
                    raise ValueError("no coordinate is as large")
            except ValueError as error:
                raise UserError(
                    f"line {number} of {name} is {','.join(row)[:200]!r}",
                    where,
                    "a key and four whole numbers were expected",
                ) from error
            if key in found:
                raise UserError(f"line {number} of {name} gives {key} a second box", where, "give every image one box")
            found[key] = left, top, right, bottom
    return found


def _rows(file: Path, where: str) -> Iterator[list[str]]:
    try:
        data = read_whole(file, MAX_BYTES, where)
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as unpacked:
                data = unpacked.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"unpacked it has more than {MAX_BYTES:,} bytes")
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = next(rows, None)
        if header is None:
            raise ValueError("it is empty")
        if [name.strip().lower() for name in header] != COLUMNS:
            raise UserError(
                f"{file} has the columns {','.join(header)[:200]}", where, f"{','.join(COLUMNS)} were expected"
            )
        yield from rows
    except (OSError, EOFError, zlib.error, csv.Error, ValueError) as error:
        raise UserError(
            f"{file} cannot be read: {error}", where, "a CSV in UTF-8 was expected, plain or gzipped"
        ) from error


def has_area(box: Corners) -> bool:
    """Whether a box is more than a line."""
    return box[2] != box[0] and box[3] != box[1]


def located(item: Item, box: Corners | None, size: tuple[int, int] | None, key: str) -> Item:
    """An image of one class as an image with the box of that object.

    Args:
        box: None if the table has no row for the image.
        size: width and height in pixels of the image that the box was drawn on, if known.
    """
    label = item.label if isinstance(item.label, str) else item.label[0]
    if box is None:
        missing = Unreadable(f"without a box (the table has no row for {key})")
        return replace(item, data=missing, label=(label,), objects=Objects(None, ()))
    left, top, right, bottom = box
    one = Box(label, left, top, right + 1, bottom + 1)
    return replace(item, label=(label,), objects=Objects(size, (one,), reduced=size is not None))


def note_on_area(boxes: Iterable[Corners]) -> list[str]:
    """A note that says how many boxes have no area, if any."""
    n_flat = sum(not has_area(box) for box in boxes)
    one, several = "image is left out because its box has no area", "images are left out because their box has no area"
    return [number_of(n_flat, one, several)] if n_flat else []


def note_on_surplus(boxes: Mapping[str, Corners], used: Set[str]) -> list[str]:
    """A note on the rows of the tables whose keys are those of no image, if any."""
    surplus = [key for key in boxes if key not in used]
    what = number_of(len(surplus), "box belongs to no image that is used", "boxes belong to no image that is used")
    return [f"{what}, for example that of {surplus[0]}"] if surplus else []
