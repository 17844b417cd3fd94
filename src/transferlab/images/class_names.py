"""What class names themselves say: two that are one name, two that nearly are, and numbers that may be ImageNet's."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

IMAGENET = 1000  # classes of ImageNet-1k
MISSING = frozenset({"nan", "na", "n/a", "none", "null", "nil", "undefined", "?", "-1", "-1.0"})
_DECIMAL = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")


def remarks_on(classes: Sequence[str], *, have_wnids: bool) -> list[str]:
    """Notes on names that differ only in what people overlook, and on numbers without names."""
    notes: list[str] = []
    if same := _alike(classes, _plain):
        notes.append(f"the classes {same[0]!a} and {same[1]!a} differ only in blanks or in their Unicode form")
    elif same := _alike(classes, _number):
        notes.append(f"the classes {same[0]!r} and {same[1]!r} are one number")
    elif same := _alike(classes, _letters):
        notes.append(f"the classes {same[0]!r} and {same[1]!r} differ only in capitals or signs between words")
    if missing := [name for name in classes if name.strip().lower() in MISSING]:
        notes.append(f"the class {missing[0]!r} may stand for labels that are missing")
    if not have_wnids and len(classes) == IMAGENET and set(classes) == set(map(str, range(IMAGENET))):
        notes.append("the classes are the numbers 0 to 999; if they are ImageNet-1k's, ?classes=imagenet-1k gives them names "
                     "(formats hf and wds)")  # fmt: skip
    return notes


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _number(name: str) -> str:
    """The value of a number, and any other name as it is."""
    return str(float(name)) if _DECIMAL.fullmatch(name) else name


def _letters(name: str) -> str:
    if _DECIMAL.fullmatch(name):
        return name
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c not in " _-") or folded


def _alike(classes: Sequence[str], form: Callable[[str], str]) -> tuple[str, str] | None:
    """The first two different names with the same form."""
    first: dict[str, str] = {}
    for name in classes:
        other = first.setdefault(form(name), name)
        if other != name:
            return other, name
    return None
