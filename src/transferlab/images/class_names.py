"""What class names themselves say: two that are one name, two that nearly are, and numbers that may be ImageNet's."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

IMAGENET = 1000  # classes of ImageNet-1k
SHOWN = 5  # pairs that are named


def remarks_on(classes: Sequence[str], *, have_wnids: bool) -> list[str]:
    """Notes on names that differ only in what people overlook, and on numbers without names."""
    notes: list[str] = []
    blanks, letters = _alike(classes, _plain), _alike(classes, _letters)
    if blanks:
        notes.append(f"the classes {_told(blanks, ascii)} differ only in blanks or in their Unicode form")
    if others := [pair for pair in letters if pair not in blanks]:
        notes.append(f"the classes {_told(others, repr)} differ only in capitals or signs between words")
    if not have_wnids and len(classes) == IMAGENET and set(classes) == set(map(str, range(IMAGENET))):
        notes.append("the classes are the numbers 0 to 999; if they are ImageNet-1k's, ?classes=imagenet-1k gives them names "
                     "(formats hf and wds)")  # fmt: skip
    return notes


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _letters(name: str) -> str:
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
