"""The 1000 classes of ImageNet-1k, and integer labels that are indices of a class list."""

from __future__ import annotations

from transferlab.definitions import Parameter
from transferlab.errors import UserError
from transferlab.taxonomy import classlists

CLASSES = Parameter(means="the class list that integer labels are indices of", words=("imagenet-1k",))


def imagenet1k_wnids() -> tuple[str, ...]:
    """The 1000 wnids in the order of the usual class index, which is ascending."""
    return tuple(classlists.read("imagenet-1k").values())


def named(label: str, names: tuple[str, ...] | None, where: str) -> str:
    """The class at a label's index in a list of names, if there is one; raises UserError if it is not an index."""
    if names is None:
        return label
    if not (label.isascii() and label.isdigit() and int(label) < len(names)):
        raise UserError(
            f"the label {label!r} is not an index of the class list", where, f"indices are 0 to {len(names) - 1}"
        )
    return names[int(label)]
