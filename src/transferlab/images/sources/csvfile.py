"""``csv:PATH``: a table of path,label[,split]; relative paths start at the table's folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source
from transferlab.images.sources.listing import class_order, content_of, existing, split_of


def read(path: str, options: Mapping[str, str]) -> Source:
    """Rows of path,label[,split] below a header of these names.

    Option ``multi_label=yes``: a label holds class names with "|" between them, or nothing.

    Raises:
        UserError: no table, other columns, an empty label, a path twice, an unknown split.
    """
    table, where = existing(path, "csv"), f"csv:{path}"
    several = options.get("multi_label", "no") == "yes"
    rows = _rows(table, where)
    labels = [_label(row["label"], several=several) for row in rows]
    empty = [row["path"] for row, label in zip(rows, labels, strict=True) if label == ""]
    if empty:
        raise UserError(f"{empty[0]!r} has no label", where, "name a class in every row, or add multi_label=yes")
    files = [table.parent / row["path"] for row in rows]
    splits = [split_of(row.get("split") or "", where) for row in rows]
    facts = [[str(f), *_stamp(f), row["label"], s] for f, row, s in zip(files, rows, splits, strict=True)]
    return Source(
        name=table.stem,
        classes=class_order(n for label in labels for n in ((label,) if isinstance(label, str) else label)),
        fingerprint=digest("csv", several, facts),
        items=partial(_items, [row["path"] for row in rows], files, labels, splits),
        n_images=len(rows),
        multi_label=several,
    )


def _items(
    keys: list[str], files: list[Path], labels: list[str | tuple[str, ...]], splits: list[str | None]
) -> Iterator[Item]:
    for key, file, label, split in zip(keys, files, labels, splits, strict=True):
        yield Item(key, content_of(file), label, split)


def _rows(table: Path, where: str) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            columns = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"the table cannot be read: {error}", where, "save it as CSV in UTF-8") from error
    if not {"path", "label"} <= columns:
        raise UserError(
            "the table has no columns path and label", where, "give it the header path,label or path,label,split"
        )
    if not rows:
        raise UserError("the table has no rows", where, "add one for each image")
    short = [number for number, row in enumerate(rows, 2) if row["path"] is None or row["label"] is None]
    if short:
        raise UserError(f"row {short[0]} has fewer cells than the header", where, "give path and label")
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        if row["path"] in seen:
            raise UserError(f"row {number} names {row['path']!r} a second time", where, "give every image one row")
        seen.add(row["path"])
    return rows


def _label(text: str, *, several: bool) -> str | tuple[str, ...]:
    if not several:
        return text.strip()
    return tuple(dict.fromkeys(part.strip() for part in text.split("|") if part.strip()))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return (-1, -1)  # a missing image is listed with the bad ones
    return stat.st_size, stat.st_mtime_ns
