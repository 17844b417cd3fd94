"""Definitions check what a study gives them, and tables find them, ours and those from outside."""

from __future__ import annotations

import pytest

from transferlab.definitions import Brought, Definition, Parameter, Table
from transferlab.errors import UserError

CAKE = Definition(
    name="cake",
    parameters={
        "eggs": Parameter(means="eggs", default=3, low=1, high=12, whole=True),
        "sugar": Parameter(means="sugar, g", low=0),
        "icing": Parameter(means="icing", default="none", words=("none", "all")),
        "slices": Parameter(means="slices", required=True, low=1, whole=True, words=("all",)),
        "guests": Parameter(means="who eats", names=True),
    },
)


def test_settings_are_the_given_ones_over_the_defaults() -> None:
    assert CAKE.settings({"slices": 4}) == {"eggs": 3, "icing": "none", "slices": 4}
    held = CAKE.settings({"slices": "all", "sugar": 0.5, "guests": ["a", "b"]})
    assert held == {"eggs": 3, "sugar": 0.5, "icing": "none", "slices": "all", "guests": ("a", "b")}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "cake needs slices"),
        ({"slices": 0}, "slices = 0 is impossible (cake): choose a whole number from 1 up or all."),
        ({"slices": 4, "eggs": 13}, "choose a whole number from 1 to 12"),
        ({"slices": 4, "eggs": 2.5}, "eggs = 2.5"),
        ({"slices": 4, "eggs": True}, "eggs = True"),
        ({"slices": 4, "sugar": "much"}, "choose a number from 0 up"),
        ({"slices": 4, "icing": "some"}, "choose none or all"),
        ({"slices": 4, "guests": "ab"}, "choose a list of names"),
        ({"slices": 4, "egs": 2}, "cake has no setting 'egs' (cake): its settings are: eggs, sugar"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(given: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as refused:
        CAKE.settings(given)
    assert says in str(refused.value)


def test_a_setting_of_none_is_the_default() -> None:
    assert CAKE.settings({"slices": 4, "eggs": None}) == CAKE.settings({"slices": 4})


def test_a_parameter_takes_words_beside_numbers_that_have_no_least_value() -> None:
    workers = Parameter(means="workers", words=("auto",), whole=True)
    assert workers.allows("auto") and workers.allows(3) and workers.allowed == "a whole number or auto"
    assert Parameter(means="share", high=5).allowed == "a number up to 5"
    assert not Parameter(means="precision", words=("auto", "fp32")).allows(3)


def test_a_table_finds_ours_and_what_is_brought_and_names_what_comes_close() -> None:
    table = Table("cake", Definition, [CAKE])
    pie = Definition(name="pie")
    table.bring(pie, Brought("my.py", "c0de"))
    table.bring(pie, Brought("my.py", "c0de"))
    assert list(table) == ["cake", "pie"]
    assert table.find("pie", "study") is pie
    assert (table.brought("cake"), table.brought("pie")) == (None, Brought("my.py", "c0de"))
    with pytest.raises(UserError, match="did you mean cake"):
        table.find("cak", "study")


def test_a_second_definition_of_one_name_is_refused() -> None:
    table = Table("cake", Definition, [CAKE])
    with pytest.raises(UserError, match="transferlab already has"):
        table.bring(Definition(name="cake"), Brought("my.py", ""))
    table.bring(Definition(name="pie"), Brought("my.py", ""))
    with pytest.raises(UserError, match=r"my\.py already has"):
        table.bring(Definition(name="pie"), Brought("other.py", ""))
    with pytest.raises(ValueError, match="share a name"):
        Table("cake", Definition, [CAKE, CAKE])
