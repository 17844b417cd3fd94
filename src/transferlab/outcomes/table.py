"""Writes tables as text, CSV, JSON or Parquet, safe to print and to open in a spreadsheet."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from transferlab.errors import UserError
from transferlab.outcomes.files import write_atomically
from transferlab.text import csv_text, json_text, printable, well_formed

Rows = Sequence[Mapping[str, str | int | float | None]]
Format = Literal["text", "csv", "json", "parquet"]


def write_rows(rows: Rows, form: Format, out: Path | None) -> None:
    """Write rows with equal columns to a file or to standard output.

    Raises:
        UserError: Parquet without ``out`` or without pyarrow.
    """
    if form == "parquet":
        if out is None:
            raise UserError("Parquet cannot be printed", "--format parquet", "name a file with --out")
        write_atomically(out, _parquet(rows))
        return
    text = {"text": as_text, "csv": as_csv, "json": as_json}[form](rows)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomically(out, text.encode())


def as_text(rows: Rows) -> str:
    """Aligned columns."""
    if not rows:
        return "no cell has been computed yet: see transferlab run --help\n"
    columns = list(rows[0])
    cells = [columns, *([printable(_shown(row[c])) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() + "\n" for line in cells)


def as_csv(rows: Rows) -> str:
    """CSV in which no text can be taken for a formula."""
    return csv_text([*([list(rows[0])] if rows else []), *(list(row.values()) for row in rows)])


def as_json(rows: Rows) -> str:
    """A list of objects."""
    return json_text([dict(row) for row in rows])


def _parquet(rows: Rows) -> bytes:
    try:
        pyarrow, parquet = (cast(Any, import_module(name)) for name in ("pyarrow", "pyarrow.parquet"))
    except ImportError as error:
        raise UserError("Parquet needs pyarrow", "--format parquet", "pip install 'transferlab[hf]'") from error
    clean = [{name: well_formed(v) if isinstance(v, str) else v for name, v in row.items()} for row in rows]
    held = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(clean), held)
    return held.getvalue()


def _shown(value: str | int | float | None) -> str:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
