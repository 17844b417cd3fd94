"""``csv:PATH``: a table with the columns path, label and, optionally, split; paths are relative to the table's folder."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Format, Request, switch
from transferlab.images.source import Source
from transferlab.images.sources.listing import classes_of, items_of_files, split_of


def read(request: Request) -> Source:
    """One row for each image.

    With ``multi_label=yes`` a label holds any number of class names, with "|" between them.

    Raises:
        UserError: the table cannot be read or has other columns; an empty label, a repeated path, an unknown split.
    """
    table, where, several = request.path, request.where, request.says("multi_label")
    rows = _rows(table, where)
    labels = [_label(row["label"], several=several) for row in rows]
    empty = [row["path"] for row, label in zip(rows, labels, strict=True) if label == ""]
    if empty:
        raise UserError(f"{empty[0]!r} has no label", where, "give every row a class, or add multi_label=yes")
    files = [table.parent / row["path"] for row in rows]
    splits = [split_of(row.get("split") or "", where) for row in rows]
    facts = [[str(f), *_stamp(f), row["label"], s] for f, row, s in zip(files, rows, splits, strict=True)]
    return Source(
        name=table.stem,
        classes=classes_of(labels),
        fingerprint=digest("csv", several, facts),
        items=partial(items_of_files, list(zip([row["path"] for row in rows], files, labels, splits, strict=True))),
        n_images=len(rows),
        multi_label=several,
    )


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
        raise UserError("the table has no rows", where, "add a row for each image")
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        if row["path"] is None or row["label"] is None:
            raise UserError(f"row {number} has fewer cells than the header", where, "give path and label")
        if row["path"] in seen:
            raise UserError(f"row {number} repeats {row['path']!r}", where, "give every image one row")
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
        return (-1, -1)  # a missing image is reported with the unusable ones
    return stat.st_size, stat.st_mtime_ns


FORMAT = Format(
    name="csv", title="CSV table", explained="a table with the columns path, label and, optionally, split",
    path="the table", tasks=("classes", "labels"), read=read,
    parameters={"multi_label": switch("labels hold any number of classes, with a bar between them")},
)  # fmt: skip
