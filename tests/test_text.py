"""Text that leaves: nothing obeys it, numbers stay numbers, and what is odd is visible."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transferlab.text import csv_text, json_text, listed, number_of, printable, well_formed

ANY = st.text(st.characters(), max_size=20)


@given(ANY)
def test_whatever_is_shown_is_printable_and_printable_text_is_as_it_was(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()
    assert len(printable(text)) == len(text)


def test_a_number_stands_before_its_singular_or_plural() -> None:
    assert [number_of(n, "image") for n in (0, 1, 1200)] == ["0 images", "1 image", "1,200 images"]
    assert [number_of(n, "class is", "classes are") for n in (1, 2)] == ["1 class is", "2 classes are"]


def test_letters_of_every_script_are_left_alone() -> None:
    assert printable("Größe 猫 кот 🐈") == "Größe 猫 кот 🐈"


@given(ANY)
def test_what_is_well_formed_can_be_written_as_utf_8(text: str) -> None:
    assert well_formed(text).encode().decode() == well_formed(text)


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_cell_that_begins_like_a_formula_is_mere_text(sign: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_text([[sign + "1+1"]]), newline=""))
    assert cell.startswith("'") and cell.endswith("1+1")


def test_numbers_stay_numbers() -> None:
    assert csv_text([[-1.5, -3, None, "a-1"]]) == "-1.5,-3,,a-1\n"


def test_a_spreadsheet_that_divides_at_semicolons_finds_no_formula_either() -> None:
    assert csv_text([["a;=1+1", 0.5]]) == '"a;=1+1",0.5\n'


@given(st.lists(st.lists(ANY, min_size=2, max_size=3), max_size=3))
def test_rows_and_cells_of_a_csv_are_as_many_as_were_given(rows: list[list[str]]) -> None:
    found = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert [len(row) for row in found] == [len(row) for row in rows]
    assert all(c.isprintable() or c == "\n" for row in found for cell in row for c in cell)


@given(ANY)
def test_json_is_ascii_and_loses_only_halves_of_letters(text: str) -> None:
    written = json_text({text: [text, float("inf")]})
    assert written.isascii() and all(c.isprintable() or c == "\n" for c in written)
    assert json.loads(written) == {well_formed(text): [well_formed(text), None]}


def test_words_are_listed_as_in_a_sentence() -> None:
    assert [listed(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
