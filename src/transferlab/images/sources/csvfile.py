"""``csv:PATH``: a table of path,label[,split]; paths are relative to the table's folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read(path: str, options: Mapping[str, str]) -> Source:
    """Rows of path,label[,split] below a header of these names; option ``multi_label=yes`` splits labels at "|".

    Raises:
        UserError: no such file, columns or splits that are not understood, a missing image file.
    """
    table = Path(path)
    where = f"csv:{path}"
    if not table.is_file():
        raise UserError("there is no such table", where, "check the path")
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "label"} <= set(rows[0]):
        raise UserError(
            "the table has no columns path and label", where, "give it the header path,label or path,label,split"
        )
    several = options.get("multi_label") == "yes"
    unknown = sorted({row["split"] for row in rows if "split" in row and row["split"].lower() not in SPLITS})
    if unknown:
        raise UserError(f"there is no split {unknown[0]!r}", where, "splits are train, val and test")
    missing = [row["path"] for row in rows if not (table.parent / row["path"]).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(rows)} images are not there, for example {missing[0]!r}", where,
            "paths are relative to the table's folder",
        )  # fmt: skip
    labels = [tuple(part for part in row["label"].split("|") if part) for row in rows]
    classes = sorted({name for found in labels for name in found}) if several else sorted({r["label"] for r in rows})
    if not several and "" in classes:
        raise UserError("some images have an empty label", where, "give each a label, or leave them out")
    stats = [(table.parent / row["path"]).stat() for row in rows]

    def items() -> Iterator[Item]:
        for row, found in zip(rows, labels, strict=True):
            data = (table.parent / row["path"]).read_bytes()
            split = SPLITS[row["split"].lower()] if "split" in row else None
            yield Item(row["path"], data, found if several else row["label"], split)

    stamp = [[*row.values(), s.st_size, s.st_mtime_ns] for row, s in zip(rows, stats, strict=True)]
    return Source(
        name=table.stem, classes=classes, fingerprint=digest("csv", several, stamp), items=items, n_images=len(rows),
        multi_label=several,
    )  # fmt: skip
