"""The option ``only``: some of a set's classes, so that what a study's source has not seen can be its target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.sources.listing import class_order

SHARE = 5  # one class of so many is held out


def is_held_out(name: str) -> bool:
    """Whether a class is one of the fifth that ``only=held-out`` keeps; it depends on its name alone."""
    return int(digest("held out", name), 16) % SHARE == 0


def chosen(options: Mapping[str, str]) -> Callable[[str], bool]:
    """Which classes the option ``only`` keeps: ``held-out``, ``kept`` (all others), or names with commas between them."""
    only = options.get("only", "")
    names = frozenset(only.split(","))
    rules: dict[str, Callable[[str], bool]] = {
        "": lambda _: True,
        "held-out": is_held_out,
        "kept": lambda name: not is_held_out(name),
    }
    return rules.get(only, lambda name: name in names)


def restricted(classes: Collection[str], options: Mapping[str, str], where: str) -> tuple[str, ...]:
    """The classes that the option keeps, in order.

    Raises:
        UserError: it names classes that there are not, or keeps none.
    """
    keeps = chosen(options)
    left = class_order(name for name in classes if keeps(name))
    only = options.get("only", "")
    absent = sorted(set(only.split(",")) - set(classes)) if only not in ("", "held-out", "kept") else []
    if absent or not left:
        told = f"there is no class {absent[0]!r}" if absent else "no class is left"
        raise UserError(told, f"{where}, only={only}", "write only=held-out, only=kept, or classes with commas between")
    return left
