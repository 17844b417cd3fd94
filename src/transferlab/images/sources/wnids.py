"""The 1000 classes of ImageNet-1k, and integer labels that count in their order."""

from __future__ import annotations

from collections.abc import Mapping

from transferlab.errors import UserError
from transferlab.taxonomy import classlists


def imagenet1k_wnids() -> tuple[str, ...]:
    """The 1000 wnids in the order of the usual class index, which is ascending."""
    return tuple(classlists.read("imagenet-1k").values())


def class_names(options: Mapping[str, str], where: str) -> tuple[str, ...] | None:
    """What integer labels stand for by the option ``classes``; None without it.

    Raises:
        UserError: another value than ``imagenet-1k``.
    """
    if "classes" not in options:
        return None
    if options["classes"] != "imagenet-1k":
        raise UserError(f"there is no class list {options['classes']!r}", where, "the one list is classes=imagenet-1k")
    return imagenet1k_wnids()


def named(label: str, names: tuple[str, ...] | None, where: str) -> str:
    """A label, or the class that it counts to in a list of names.

    Raises:
        UserError: names are given and the label is no place in them.
    """
    if names is None:
        return label
    if not (label.isascii() and label.isdigit() and int(label) < len(names)):
        raise UserError(
            f"the label {label!r} is no place in the list of classes", where, f"places go from 0 to {len(names) - 1}"
        )
    return names[int(label)]
