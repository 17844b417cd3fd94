"""Finds values in dataclasses that are not of the type that their field declares, which Python does not check."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

MOST = 1e300  # numbers are smaller: there are no infinite ones, and each whole one is a float
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "True or False", type(None): "None"}


class Misfit(NamedTuple):
    """A value that is not of its field's type: where it is (``recipe.batch``), and both the value and the type in words."""

    place: str
    shown: str
    wanted: str


Part = tuple[object, Any, str]  # a value, its type, its place


def misfit(value: object, of: type, settings: frozenset[str] = frozenset()) -> Misfit | None:
    """The first misfit in the fields of a dataclass, also within lists, mappings and dataclasses; None if all fit.

    Numbers must be finite. ``bool`` is no number here, and text is no list.

    Args:
        of: the class whose fields are looked at: the value's own, or a base of it.
        settings: names of fields that map names to values that something else checks.
    """
    return next((found for part in _fields(value, of, "", settings) if (found := _misfit(*part, settings))), None)


def _misfit(value: object, hint: Any, place: str, settings: frozenset[str]) -> Misfit | None:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, types.UnionType):
        fitting = [each for each in inner if _is(value, get_origin(each) or each)]
        if len(fitting) != 1:
            return None if fitting else Misfit(place, _shown(value), _words(hint))
        return _misfit(value, fitting[0], place, settings)
    if not _is(value, kind) or (
        kind is tuple and inner[-1] is not Ellipsis and len(cast("Sequence[object]", value)) != len(inner)
    ):
        return Misfit(place, _shown(value), _words(hint))
    parts = _parts(value, kind, inner, place, settings)
    return next((found for part in parts if (found := _misfit(*part, settings))), None)


def _parts(value: object, kind: Any, inner: tuple[Any, ...], place: str, settings: frozenset[str]) -> Iterator[Part]:
    if dataclasses.is_dataclass(kind):
        yield from _fields(value, cast("type", kind), f"{place}.", settings)
    elif kind is Mapping:
        for key, item in cast("Mapping[object, object]", value).items():
            yield key, inner[0], f"key of {place}"  # before the next line, which shows it
            yield item, inner[1], f"{place}[{key!r:.40}]"
    elif kind in (Sequence, tuple):
        items = cast("Sequence[object]", value)
        hints = inner if kind is tuple and inner[-1] is not Ellipsis else inner[:1] * len(items)
        for number, (item, hint) in enumerate(zip(items, hints, strict=True)):
            yield item, hint, f"{place}[{number}]"


def _fields(value: object, of: type, before: str, settings: frozenset[str]) -> Iterator[Part]:
    for name, hint in _hints(of).items():
        if get_origin(hint) is not ClassVar:
            yield getattr(value, name), Mapping[str, Any] if name in settings else hint, f"{before}{name}"


_hints = cache(get_type_hints)  # looking them up takes longer than all the rest


def _is(value: object, kind: Any) -> bool:
    """Whether a value is of a type, its parts aside."""
    if kind is Any:
        return True
    if kind is Literal:  # the field's own check says which words are known
        return isinstance(value, str)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool) and abs(value) < MOST
    if kind in (Sequence, tuple):
        return isinstance(value, (list, tuple))
    if kind is str and isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)  # halves of letters, which no file can hold
    return isinstance(value, kind)


def _words(hint: Any) -> str:
    """A type in words."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_words, inner)))
    if kind in (Sequence, tuple):
        return f"a list, each item {_words(inner[0])}"
    if kind is Mapping:
        return f"a dict, each value {_words(inner[1])}"
    return WORDS.get(kind) or f"a {kind.__name__}"


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  (a number of 5,000 digits, for example)
        text = f"this {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}…"
