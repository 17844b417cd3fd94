"""Tables: four formats that agree, and texts that no spreadsheet or terminal obeys."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.outcomes.table import as_csv, as_json, as_text, write_rows

ROWS: list[dict[str, str | int | float | None]] = [
    {"condition": "60 images", "seed": 0, "value": 0.1234567890123, "key": "ab"},
    {"condition": "x,y\n\"z\"", "seed": 12, "value": 1.0, "key": "cd"},
    {"condition": "=1+1", "seed": 3, "value": None, "key": "ef"},
]  # fmt: skip
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)


ODD = (
    "a\udc80\0b\u202e\x1b[2J\x85\u2028"  # half a letter, a null character, a turned direction, the terminal's commands
)


def visible(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def written(form: Any, folder: Path) -> Path:
    path = folder / f"table.{form}"
    write_rows(ROWS, form, path)
    return path


def test_the_formats_agree(tmp_path: Path) -> None:
    from pyarrow import parquet

    assert json.loads(written("json", tmp_path).read_text()) == ROWS
    assert parquet.read_table(written("parquet", tmp_path)).to_pylist() == ROWS
    lines = list(csv.DictReader(io.StringIO(written("csv", tmp_path).read_text(), newline="")))
    for row, line in zip(ROWS, lines, strict=True):
        assert line["condition"].removeprefix("'") == row["condition"]
        assert (int(line["seed"]), line["key"]) == (row["seed"], row["key"])
        assert line["value"] == ("" if row["value"] is None else repr(row["value"]))
    shown = written("text", tmp_path).read_text().splitlines()
    assert shown[0].split() == list(ROWS[0])
    assert [line.split()[-1] for line in shown[1:]] == ["ab", "cd", "ef"]
    assert "0.123457" in shown[1]


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_standard_output_has_what_the_file_has(form: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(ROWS, form, None)
    assert capsys.readouterr().out == written(form, tmp_path).read_text()


def test_parquet_needs_a_file() -> None:
    with pytest.raises(UserError, match="--out"):
        write_rows(ROWS, "parquet", None)


def test_no_rows_make_an_empty_table_in_every_format(tmp_path: Path) -> None:
    from pyarrow import parquet

    assert (as_text([]), as_csv([]), as_json([])) == (
        "no cell has been computed yet: see transferlab run --help\n",
        "",
        "[]\n",
    )
    write_rows([], "parquet", tmp_path / "empty")
    assert parquet.read_table(tmp_path / "empty").num_rows == 0


@given(st.lists(WORDS, min_size=1, max_size=4), st.sampled_from("=+-@\t\r"))
def test_no_text_of_a_csv_is_a_formula_and_none_is_lost(words: list[str], sign: str) -> None:
    texts = [*words, *(sign + word for word in words)]
    lines = list(csv.reader(io.StringIO(as_csv([{"name": text, "value": -0.5} for text in texts]), newline="")))
    assert lines[0] == ["name", "value"]
    for text, (cell, value) in zip(texts, lines[1:], strict=True):
        assert cell[:1] not in tuple("=+-@\t\r")
        assert cell.removeprefix("'") in (visible(text), visible(text).removeprefix("'"))
        assert value == "-0.5"


@given(WORDS)
def test_no_text_moves_the_cursor_or_breaks_a_line(word: str) -> None:
    shown = as_text([{"name": f"a{word}", "value": 1}])
    assert shown.count("\n") == 2
    assert all(c.isprintable() for c in shown.replace("\n", ""))


@pytest.mark.parametrize("form", ["text", "csv", "json", "parquet"])
def test_no_format_fails_on_odd_text_or_writes_it_raw(form: Any, tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_rows([{"name": ODD, "value": float("nan")}, {"name": f"={ODD}", "value": 1.0}], form, path)
    if form == "parquet":
        from pyarrow import parquet

        assert parquet.read_table(path).to_pylist()[0]["name"] == ODD.replace("\udc80", "�")
        return
    text = path.read_text()
    assert all(c.isprintable() or c == "\n" for c in text)
    if form == "json":
        assert json.loads(text)[0] == {"name": ODD.replace("\udc80", "�"), "value": None}
