"""What class names themselves say: two that are one name, two that nearly are, and numbers that may be ImageNet's."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

IMAGENET = 1000  # classes of ImageNet-1k


def remarks_on(classes: Sequence[str], *, have_wnids: bool) -> list[str]:
    """Notes on names that differ only in what people overlook, and on numbers without names."""
    notes: list[str] = []
    if same := _alike(classes, _plain):
        notes.append(f"the classes {same[0]!a} and {same[1]!a} differ only in blanks or in their Unicode form")
    elif same := _alike(classes, _letters):
        notes.append(f"the classes {same[0]!r} and {same[1]!r} differ only in capitals or signs between words")
    if not have_wnids and len(classes) == IMAGENET and set(classes) == set(map(str, range(IMAGENET))):
        notes.append("the classes are the numbers 0 to 999; if they are ImageNet-1k's, ?classes=imagenet-1k gives them names "
                     "(formats hf and wds)")  # fmt: skip
    return notes


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _letters(name: str) -> str:
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
