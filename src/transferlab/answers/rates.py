"""Does the learning rate decide? The declared contrasts again with every condition at another rate, and each at its better one.

A condition's better rate is the one at which its networks have the higher accuracy on the source's validation images, on average
over seeds: one choice for each condition, because a single seed's accuracy would choose by its noise. No target has a part in it.
Each of the three sets of estimates is adjusted within itself as the study is, so that a verdict is held to the same standard at
every rate; together they are one family no more than a study and its repetition are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.contrast import Results, estimates
from transferlab.answers.estimate import Estimate
from transferlab.answers.noise import Alike
from transferlab.specs import Contrast


@dataclass(frozen=True)
class Preference:
    """Which of two rates a condition does better at.

    Args:
        condition: its name at the study's rate. again: at the other rate.
        own, other: its mean accuracy on the source's validation images at these, 0…1; None if no seed has both.
        n_seeds: seeds that have both.
    """

    condition: str
    again: str
    own: float | None
    other: float | None
    n_seeds: int

    @property
    def takes_other(self) -> bool:
        """Whether it does better at the other rate; not if the two are equal."""
        return self.own is not None and self.other is not None and self.other > self.own

    @property
    def chosen(self) -> str:
        """The name of the better one; "" if the accuracies are not known."""
        return "" if self.own is None else self.again if self.takes_other else self.condition


class Pair(NamedTuple):
    """A contrast as planned and at other rates, and the paired difference of the two; None if the networks are the same."""

    planned: Estimate
    then: Estimate
    change: Estimate | None

    @property
    def known(self) -> bool:
        """Whether there are two intervals to compare."""
        return self.planned.low is not None and self.then.low is not None

    @property
    def changes(self) -> bool:
        return self.known and self.planned.verdict.name != self.then.verdict.name

    @property
    def reverses(self) -> bool:
        """Whether the two claim opposite differences."""
        return self.changes and self.planned.verdict.direction * self.then.verdict.direction < 0


@dataclass(frozen=True)
class Rates:
    """A study's contrasts at two learning rates.

    Args:
        lr, other_lr: the study's rate and the other one. title: the other one in words, such as "at a tenth of the rate".
        other: with every condition at the other rate. better: with each at its better one. Both in the order of the estimates.
    """

    lr: float
    other_lr: float
    title: str
    preferences: tuple[Preference, ...]
    other: tuple[Pair, ...]
    better: tuple[Pair, ...]

    @property
    def reversed(self) -> tuple[Pair, ...]:
        """Contrasts that claim the opposite with each condition at its better rate.

        At a rate that validation prefers for no condition, networks may be trained too little for their ranking to mean anything.
        """
        return tuple(pair for pair in self.better if pair.reverses)


@dataclass(frozen=True, eq=False)
class Declared:
    """The declared contrasts with their results and estimates, and the study's conditions; see ``contrast.estimates``."""

    contrasts: Sequence[Contrast]
    results: Sequence[Results]
    apart: Sequence[Results]
    planned: Sequence[Estimate]
    alike: Alike = field(default_factory=Alike)


def prefer(condition: str, again: str, own: Mapping[int, float], other: Mapping[int, float]) -> Preference:
    """Compare a condition's accuracies on the source's validation images, by seed, at the study's rate and at another."""
    seeds = sorted(set(own) & set(other))
    if not seeds:
        return Preference(condition, again, None, None, 0)
    own_mean, other_mean = (sum(held[seed] for seed in seeds) / len(seeds) for held in (own, other))
    return Preference(condition, again, own_mean, other_mean, len(seeds))


def at_rates(declared: Declared, preferences: Sequence[Preference], lrs: tuple[float, float], title: str) -> Rates:
    """The declared contrasts at other rates, from results that hold the networks of all of them.

    Args:
        lrs: the study's rate and the other one.
    """
    everywhere = {p.condition: p.again for p in preferences}
    each = {p.condition: p.chosen for p in preferences}
    return Rates(*lrs, title, tuple(preferences), _pairs(declared, everywhere), _pairs(declared, each))


def _pairs(declared: Declared, names: Mapping[str, str]) -> tuple[Pair, ...]:
    """Each estimate with its counterpart.

    Args:
        names: condition to the one whose networks stand in its place; "" if none do.
    """
    results, apart = ([_renamed(each, names) for each in group] for group in (declared.results, declared.apart))
    alike = declared.alike
    if names.get(alike.reference, alike.reference) != alike.reference:
        alike = replace(alike, twin="")  # it has no repetition
    then = estimates(declared.contrasts, results, apart, alike)
    moved = [_change(contrast, names) for contrast in declared.contrasts]
    changes = estimates([c for c in moved if any(c.weights.values())], declared.results, declared.apart, alike)
    change_of = {(e.contrast.name, e.target): e for e in changes}
    return tuple(
        Pair(a, b, change_of.get((a.contrast.name, a.target))) for a, b in zip(declared.planned, then, strict=True)
    )


def _renamed(results: Results, names: Mapping[str, str]) -> Results:
    """The results with the scores of other networks in the place of each condition's own."""
    of = {name: names.get(name, name) for name in {**results.scores, **names}}
    again = results.score_of

    def score_of(name: str, seed: int, examples: NDArray[np.int64]) -> float:
        assert again is not None
        return again(of[name], seed, examples)

    return replace(
        results,
        scores={name: results.scores[other] for name, other in of.items() if other in results.scores},
        rows={name: results.rows[other] for name, other in of.items() if other in results.rows},
        score_of=None if again is None else score_of,
    )


def _change(contrast: Contrast, names: Mapping[str, str]) -> Contrast:
    """The contrast among other networks minus the contrast itself."""
    weights = {name: -weight for name, weight in contrast.weights.items()}
    for name, weight in contrast.weights.items():
        other = names.get(name, name)
        weights[other] = weights.get(other, 0.0) + weight
    return replace(contrast, weights=weights)
