"""The option ``only``: keep some classes of a set, so that classes the source has not seen can be a target."""

from __future__ import annotations

from collections.abc import Callable, Collection

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Text
from transferlab.images.sources.listing import class_order

SHARE = 5  # one class in so many is held out
ONLY = Text(means="`held-out` keeps a fifth of the classes, `kept` the others, and `A,B` those named")


def is_held_out(name: str) -> bool:
    """Whether a class belongs to the fifth that ``only=held-out`` keeps; it depends on its name alone."""
    return int(digest("held out", name), 16) % SHARE == 0


def chosen(only: str) -> Callable[[str], bool]:
    """Which classes ``only`` keeps: ``held-out``, ``kept`` (all others), names with commas between them; "" keeps all."""
    names = frozenset(only.split(","))
    rules: dict[str, Callable[[str], bool]] = {
        "": lambda _: True,
        "held-out": is_held_out,
        "kept": lambda name: not is_held_out(name),
    }
    return rules.get(only, lambda name: name in names)


def restricted(classes: Collection[str], only: str, where: str) -> tuple[str, ...]:
    """The classes that ``only`` keeps, in class-index order.

    Raises:
        UserError: it names classes that do not exist, or keeps none.
    """
    keeps = chosen(only)
    left = class_order(name for name in classes if keeps(name))
    absent = sorted(set(only.split(",")) - set(classes)) if only not in ("", "held-out", "kept") else []
    if absent or not left:
        what = f"there is no class {absent[0]!r}" if absent else "no class is left"
        raise UserError(what, f"{where}, only={only}", "write only=held-out, only=kept, or classes with commas between")
    return left
