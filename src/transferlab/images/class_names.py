"""What class names themselves say: two that are one name, two that nearly are, and numbers that may be ImageNet's."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

IMAGENET = 1000  # classes of ImageNet-1k
SHOWN = 5  # pairs that are named
MISSING = frozenset({"nan", "na", "n/a", "none", "null", "nil", "undefined", "?", "-1", "-1.0"})
_DECIMAL = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")


def remarks_on(classes: Sequence[str], *, have_wnids: bool) -> list[str]:
    """Notes on names that differ only in what people overlook, and on numbers without names."""
    notes: list[str] = []
    blanks, letters, numbers = (_alike(classes, form) for form in (_plain, _letters, _number))
    if blanks:
        notes.append(f"the classes {_told(blanks, ascii)} differ only in blanks or in their Unicode form")
    if equal := [pair for pair in numbers if pair not in blanks]:
        notes.append(f"the classes {_told(equal, repr)} are one number")
    if others := [pair for pair in letters if pair not in blanks and pair not in numbers]:
        notes.append(f"the classes {_told(others, repr)} differ only in capitals or signs between words")
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


def _alike(classes: Sequence[str], form: Callable[[str], str]) -> list[tuple[str, str]]:
    """Every name that has the form of an earlier one, after that one."""
    first: dict[str, str] = {}
    found = [(first.setdefault(form(name), name), name) for name in classes]
    return [(other, name) for other, name in found if other != name]


def _told(pairs: Sequence[tuple[str, str]], show: Callable[[str], str]) -> str:
    more = f" (and {len(pairs) - SHOWN} more such pairs)" if len(pairs) > SHOWN else ""
    return ", ".join(f"{show(first)} and {show(second)}" for first, second in pairs[:SHOWN]) + more
