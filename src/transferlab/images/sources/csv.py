"""``csv:PATH``: a table with the columns path, label and, optionally, split; paths are relative to the table's folder."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.format import Format, Request, switch
from transferlab.images.source import Source
from transferlab.images.sources.listing import IMAGE_SUFFIXES, classes_of, digest_of_rows, items_of_files, stamp
from transferlab.images.sources.split_names import WORDS, given, names_split, split_of, words_of
from transferlab.text import number_of

COLUMNS = ("path", "label", "split")
MOST_BYTES = 1 << 28


def read(request: Request) -> Source:
    """One row for each image. Commas, semicolons or tabs stand between cells; the header's capitals and blanks do not count.

    With ``multi_label=yes`` a label holds any number of class names, with "|" between them.

    Raises:
        UserError: the table cannot be read or lacks a column; a row with too many or too few cells, an empty label, a
            repeated path, an unknown split.
    """
    table, where, several = request.path, request.where, request.says("multi_label")
    columns, rows = _rows(table, where)
    labels = [_label(row["label"], several=several) for row in rows]
    empty = [row["path"] for row, label in zip(rows, labels, strict=True) if label == ""]
    if empty:
        raise UserError(f"{empty[0]!r} has no label", where, "give every row a class, or add multi_label=yes")
    files = [table.parent / row["path"] for row in rows]
    splits = [split_of(row.get("split", ""), where) for row in rows]
    facts = [[str(f), *_stamp(f), row["label"], s] for f, row, s in zip(files, rows, splits, strict=True)]
    return Source(
        name=table.stem,
        classes=classes_of(labels),
        fingerprint=digest_of_rows("csv", several, rows=facts),
        items=partial(items_of_files, list(zip([row["path"] for row in rows], files, labels, splits, strict=True))),
        n_images=len(rows),
        multi_label=several,
        stated="by the column split" if "split" in columns else "",
        notes=[
            *_notes(columns, [row["path"] for row in rows], splits, where),
            *_on_labels([row["label"] for row in rows], several=several),
            *_other_tables(table),
            *_beside(files),
        ],
    )


def _notes(columns: Sequence[str], paths: Sequence[str], splits: Sequence[str | None], where: str) -> list[str]:
    """Notes on columns that are not used, and on splits that the paths state."""
    notes: list[str] = []
    if unused := [name for name in columns if name not in COLUMNS]:
        notes.append(f"the columns {', '.join(map(repr, unused))} were not used")
    try:
        found = given(paths, where)
    except UserError as error:
        return (
            notes if "split" in columns else [*notes, f"{error.what}; there is no column split, so they do not count"]
        )
    if found.how and "split" not in columns:
        notes.append(f"the paths state splits {found.how}, which do not count without a column split")
    elif other := [
        path for path, one, two in zip(paths, splits, found.splits, strict=True) if one and two and one != two
    ]:
        notes.append(f"the column split counts; {len(other):,} paths state another split, for example {other[0]!r}")
    return notes


def _on_labels(labels: Sequence[str], *, several: bool) -> list[str]:
    """A note where labels look as if they held several classes that the bar does not separate."""
    if any("|" in label for label in labels):
        some = next(label for label in labels if "|" in label)
        return [] if several else [f"the label {some!r} is one class; multi_label=yes would read several"]
    some = next((label for label in labels if any(sign in label for sign in ",;")), None)
    if not several or some is None:
        return []
    return [f"no label has a bar, so each is one class, for example {some!r}; several classes need a bar between them"]


def _other_tables(table: Path) -> list[str]:
    """A note on tables in the same folder whose names differ in the split alone, and which are not read."""
    if not names_split(table.stem):
        return []
    rest = [word for word in words_of(table.stem) if word not in WORDS]
    with contextlib.suppress(OSError):
        others = sorted(
            file.name for file in table.parent.iterdir()
            if file.suffix == table.suffix and file != table and names_split(file.stem)
            and [word for word in words_of(file.stem) if word not in WORDS] == rest
        )  # fmt: skip
        if others:
            return [f"only {table.name} was read, not {', '.join(others[:3])} beside it; join them with a column split"]
    return []


def _beside(files: Sequence[Path]) -> list[str]:
    """A note on images in the folders of the listed ones that the table does not list."""
    listed, others = {os.path.normpath(file) for file in files}, list[str]()
    for folder in sorted({Path(file).parent for file in listed}):
        # A folder that is missing or closed is told with its images, which cannot be read.
        with contextlib.suppress(OSError, ValueError), os.scandir(folder) as entries:
            others += sorted(
                entry.name for entry in entries
                if not entry.name.startswith(".") and entry.name[entry.name.rfind(".") :].lower() in IMAGE_SUFFIXES
                and os.path.normpath(entry) not in listed and entry.is_file()
            )  # fmt: skip
    one, several = (
        "image beside the listed ones is not in the table",
        "images beside the listed ones are not in the table",
    )
    return [f"{number_of(len(others), one, several)}, for example {others[0]}"] if others else []


def _rows(table: Path, where: str) -> tuple[list[str], list[dict[str, str]]]:
    """The columns in lower case, and the rows; empty lines are left out."""
    held, separator = _cells(table, where)
    columns = [name.strip().lower() for name in held[0]] if held else []
    if not {"path", "label"} <= set(columns):
        raise UserError(
            f"the table has no columns path and label; it has {', '.join(columns) or 'none'}", where,
            "give it the header path,label or path,label,split",
        )  # fmt: skip
    if twice := [name for name in COLUMNS if columns.count(name) > 1]:
        raise UserError(f"the table has two columns {twice[0]!r}", where, "rename or remove one")
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for number, cells in enumerate(held[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            few = "fewer" if len(cells) < len(columns) else "more"
            raise UserError(
                f"row {number} has {few} cells than the header: {separator.join(cells)[:80]!r}", where,
                f"give it {len(columns)} cells; put a cell that contains {separator!r} between quotation marks",
            )  # fmt: skip
        row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        file = os.path.normpath(row["path"])  # "./a.jpg" is "a.jpg"
        if not row["path"]:
            raise UserError(f"row {number} has no path", where, "give it the path of its image")
        if file in seen:
            raise UserError(f"row {number} repeats {row['path']!r}", where, "give every image one row")
        seen.add(file)
        rows.append(row)
    if not rows:
        raise UserError("the table has no rows", where, "add a row for each image")
    return columns, rows


def _cells(table: Path, where: str) -> tuple[list[list[str]], str]:
    """The cells of all rows, and the sign between them."""
    if table.is_dir():
        raise UserError("this is a folder", where, f"give the table itself, such as csv:{table}/labels.csv")
    held: list[list[str]] = []
    try:
        if table.stat().st_size > MOST_BYTES:
            raise UserError(f"the table has more than {MOST_BYTES:,} bytes", where, "is this the table?")
        text = table.read_bytes().decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            held.append(row)  # so that an error can say after which row it came
    except csv.Error as error:
        raise UserError(
            f"the table cannot be read after row {len(held)}: {error}", where,
            "close every quotation mark, and keep cells below 131,072 characters",
        ) from error  # fmt: skip
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the table cannot be read: {error}", where, "save it as CSV in UTF-8") from error
    return held, separator


def _label(text: str, *, several: bool) -> str | tuple[str, ...]:
    if not several:
        return text
    return tuple(dict.fromkeys(part.strip() for part in text.split("|") if part.strip()))


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        return stamp(file.stat())
    except (OSError, ValueError):
        return (-1, -1)  # a missing image is reported with the unusable ones


FORMAT = Format(
    name="csv", title="CSV table", explained="a table with the columns path, label and, optionally, split",
    path="the table", tasks=("classes", "labels"), read=read,
    parameters={"multi_label": switch("labels hold any number of classes, with a bar between them")},
)  # fmt: skip
