"""Values that are not of the type that a field declares are found, wherever they lie in a dataclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest

from transferlab.typed import misfit


@dataclass(frozen=True)
class Inner:
    n: int
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    TAG: ClassVar[str] = "Outer"

    name: Any = "x"
    flip: Any = True
    word: Any = "a"
    parts: Any = ()
    of: Any = None
    either: Any = "x"
    knobs: Any = None


@dataclass(frozen=True)
class Declared(Outer):
    name: str = "x"
    flip: bool = True
    word: Literal["a", "b"] = "a"
    parts: Sequence[Inner] = ()
    of: Mapping[str | int, float] | None = None
    either: Inner | str = "x"
    knobs: Mapping[str, int] | None = None


FITTING = [
    Outer(),
    Outer(parts=[Inner(1), Inner(2, 1)]),
    Outer(of={"a": 1, 2: 0.5}),
    Outer(either=Inner(3)),
    Outer(word="c"),
]
MISFITS = {
    "bytes for text": (Outer(name=b"x"), "name", "b'x'", "text"),
    "half a letter": (Outer(name="\ud800"), "name", "'\\ud800'", "text"),
    "a word for a flag": (Outer(flip="no"), "flip", "'no'", "True or False"),
    "a number for a word": (Outer(word=3), "word", "3", "a Literal"),
    "text for a list": (Outer(parts="xy"), "parts", "'xy'", "a list, each item a Inner"),
    "a set for a list": (Outer(parts={1}), "parts", "{1}", "a list, each item a Inner"),
    "something else in a list": (Outer(parts=[Inner(1), 2]), "parts[1]", "2", "a Inner"),
    "a number in text": (Outer(parts=[Inner("1")]), "parts[0].n", "'1'", "a whole number"),  # type: ignore[arg-type]
    "half a number": (Outer(parts=[Inner(1.5)]), "parts[0].n", "1.5", "a whole number"),  # type: ignore[arg-type]
    "a flag for a number": (Outer(parts=[Inner(True)]), "parts[0].n", "True", "a whole number"),
    "no number": (Outer(parts=[Inner(1, float("nan"))]), "parts[0].share", "nan", "a number"),
    "no end": (Outer(parts=[Inner(1, float("inf"))]), "parts[0].share", "inf", "a number"),
    "no float": (Outer(parts=[Inner(10**400)]), "parts[0].n", "1000", "a whole number"),
    "a number too long to be written": (Outer(of={10**5000: 1.0}), "key of of", "this int", "text or a whole number"),
    "a key": (Outer(of={None: 1.0}), "key of of", "None", "text or a whole number"),
    "a value": (Outer(of={"a": "1"}), "of['a']", "'1'", "a number"),
    "neither": (Outer(either=3), "either", "3", "a Inner or text"),
    "inside one of two": (Outer(either=Inner(None)), "either.n", "None", "a whole number"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("value", FITTING)
def test_what_fits_is_left_alone(value: Outer) -> None:
    assert misfit(value, Declared) is None


@pytest.mark.parametrize("wrong", MISFITS)
def test_a_misfit_is_named_with_its_place_and_what_fits(wrong: str) -> None:
    value, place, shown, wanted = MISFITS[wrong]
    found = misfit(value, Declared)
    assert found is not None
    assert (found.place, found.wanted) == (place, wanted)
    assert found.shown.startswith(shown) and len(found.shown) <= 81


def test_settings_need_only_be_a_mapping() -> None:
    assert misfit(Outer(knobs={"a": "anything"}), Declared, frozenset({"knobs"})) is None
    found = misfit(Outer(knobs=["a"]), Declared, frozenset({"knobs"}))
    assert found is not None and found.place == "knobs"
