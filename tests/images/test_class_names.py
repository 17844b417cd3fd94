"""Class names that nearly are one name, and bare numbers, are remarked."""

from __future__ import annotations

import pytest

from transferlab.images.class_names import remarks_on


@pytest.mark.parametrize("other", ["cafe\u0301", " caf\u00e9", "caf\u00e9\u00a0"])
def test_names_that_only_look_different_to_a_computer_are_remarked(other: str) -> None:
    (note,) = remarks_on(["bar", "caf\u00e9", other], have_wnids=False)
    assert "differ only in blanks or in their Unicode form" in note and "caf\\xe9" in note


def test_letters_of_both_cases_are_classes_with_a_remark() -> None:
    assert remarks_on(["a", "A"], have_wnids=False) == [
        "the classes 'a' and 'A' differ only in capitals or signs between words"
    ]
    assert len(remarks_on(["golden retriever", "golden_retriever"], have_wnids=False)) == 1
    assert remarks_on(["-", "_", "cat"], have_wnids=False) == []


def test_every_kind_of_likeness_is_told_and_what_is_not_named_is_counted() -> None:
    blanks, letters = remarks_on(["a ", "a", "Dog", "dog", "X", "x"], have_wnids=False)
    assert blanks.startswith("the classes 'a ' and 'a' differ")
    assert letters.startswith("the classes 'Dog' and 'dog', 'X' and 'x' differ")
    (many,) = remarks_on([form for i in range(9) for form in (f"class {i}", f"Class {i}")], have_wnids=False)
    assert "(and 4 more such pairs)" in many


def test_a_thousand_numbers_may_be_imagenet() -> None:
    numbers = list(map(str, range(1000)))
    assert "?classes=imagenet-1k" in remarks_on(numbers, have_wnids=False)[0]
    assert remarks_on(numbers[:999], have_wnids=False) == [] == remarks_on(numbers, have_wnids=True)


@pytest.mark.parametrize("other", ["01", "1.0"])
def test_numbers_of_one_value_are_remarked(other: str) -> None:
    assert remarks_on(["1", "2", other], have_wnids=False) == [f"the classes '1' and {other!r} are one number"]
    assert remarks_on(["1", "10", "1.5"], have_wnids=False) == []


@pytest.mark.parametrize("name", ["nan", "NA", "-1", " None"])
def test_words_for_missing_labels_are_remarked(name: str) -> None:
    (note,) = remarks_on(["1", "2", name], have_wnids=False)
    assert "may stand for labels that are missing" in note
