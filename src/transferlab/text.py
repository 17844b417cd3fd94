"""Text that leaves the program: names come from files, and no terminal, spreadsheet or page may obey them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

INSTEAD = "�"
# What a spreadsheet takes for the beginning of a formula, also in the wide forms that some of them accept.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
QUOTED = frozenset('",;\n')  # in cells that need quotation marks


def printable(text: str, keep: str = "") -> str:
    """Text in which control, direction and other invisible characters are visible as �; those of ``keep`` stay."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else INSTEAD for c in text)


def number_of(n: int, one: str, several: str = "") -> str:
    """A number with what follows it, in the singular or plural: "1 image is", "1,200 images are".

    Args:
        several: the plural; without it, the singular and an s.
    """
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: "a", "a and b", "a, b and c"; "" if there are none."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def well_formed(text: str) -> str:
    """Text without halves of letters (lone surrogates), which no file in UTF-8 can hold."""
    return "".join(INSTEAD if "\ud800" <= c <= "\udfff" else c for c in text)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV that no spreadsheet runs: text that begins like a formula gets an apostrophe; numbers stay numbers."""
    return "".join(",".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: object) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = ("'" if value.startswith(FORMULA) else "") + printable(value, keep="\n")
    # Where decimals have a comma, spreadsheets divide at semicolons: what follows one might be a formula.
    return '"' + text.replace('"', '""') + '"' if QUOTED & set(text) else text


def json_text(value: object, default: Callable[[object], object] | None = None) -> str:
    """Data as JSON in ASCII, where every odd character is written as its number; NaN and infinity become null.

    Args:
        default: makes plain data of what is none, as for ``json.dumps``.
    """
    return (
        json.dumps(_plain(value), indent=1, allow_nan=False, default=default and (lambda v: _plain(default(v)))) + "\n"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return value
