"""Networks of one recipe trained together; a member's result equals its solo run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from transferlab.engine.batches import Examples, Place
from transferlab.engine.fit import Fitted, Hooks, TrainingFailed, fit
from transferlab.specs import Recipe


@dataclass(frozen=True, eq=False)
class Member:
    """One network of a cohort: what it sees, its seed, and what it tells."""

    examples: Examples
    seed: int
    validation: Examples | None = None
    hooks: Hooks = field(default_factory=Hooks)


def fit_cohort(members: Sequence[Member], recipe: Recipe, place: Place) -> Iterator[Fitted | TrainingFailed]:
    """Train the members, in order; a member that fails yields its failure and the rest goes on."""
    for member in members:
        try:
            yield fit(member.examples, recipe, member.seed, place, validation=member.validation, hooks=member.hooks)
        except TrainingFailed as failure:
            yield failure
