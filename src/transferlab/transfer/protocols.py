"""Constructors of protocols for studies; importing them loads no torch."""

from __future__ import annotations

from transferlab.errors import UserError
from transferlab.specs import Protocol


def probe(shots: int | None = None) -> Protocol:
    """Multinomial logistic regression on frozen features; the penalty is chosen on validation.

    Args:
        shots: training and validation examples per class together; None is the whole target.
    """
    return Protocol("probe", shots)


def knn(k: int | None = None, shots: int | None = None) -> Protocol:
    """Cosine nearest neighbours on frozen features; k is chosen on validation unless given."""
    return Protocol("knn", shots, {} if k is None else {"k": k})


def finetune(shots: int | None = None, examples: int = 60_000, lr: float = 0.02) -> Protocol:
    """All layers with a new head, at a fixed number of examples seen; validation chooses among lr and lr / 4."""
    return Protocol("finetune", shots, {"examples": examples, "lr": lr})


def refit(shots: int | None = None) -> Protocol:
    """A new last layer on frozen features, for all the source's own classes; only for the target ``source``.

    Where the features of all its images can be held it is ``probe``; where not, it is fitted in passes over them.
    """
    return Protocol("refit", shots)


def induction(*, cut: int | None = None, merge: int | None = None, shots: int | None = None) -> Protocol:
    """The source's classes by nearest neighbours, freely and within coarse labels, and the coarse labels themselves.

    Measured of every network of a study, whatever labels it was trained on; only for the target ``source``.

    Args:
        cut: coarse labels are the taxonomy's, cut at this depth. merge: or merged in this many passes.

    Raises:
        UserError: neither is given, or both.
    """
    knobs = {rule: n for rule, n in (("cut", cut), ("merge", merge)) if n is not None}
    if len(knobs) != 1:
        raise UserError("induction needs one rule that makes coarse labels", f"induction(cut={cut}, merge={merge})",
                        "write induction(cut=DEPTH) or induction(merge=PASSES)")  # fmt: skip
    return Protocol("induction", shots, knobs)
