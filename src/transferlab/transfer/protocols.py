"""Constructors of protocols for studies; importing them loads no torch."""

from __future__ import annotations

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
