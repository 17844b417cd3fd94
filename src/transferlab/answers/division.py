"""What should I collect next: more classes, or more images of each? The best ratio of the two at one budget of images.

Zhang et al. (2023, "On the trade-off of intra-/inter-class diversity for supervised pre-training") find that the best
ratio classes / images per class is the same at every budget, so that the ratio found at a small budget predicts the best
division of a larger one. Here a parabola in the logarithm of the ratio is fitted to each seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.intervals import LEAST_SEEDS, Interval, of_seeds, student

Floats = NDArray[np.float64]
LEAST_RATIOS = 3
Kind = Literal["best", "more classes", "more images", "flat", "cannot"]


@dataclass(frozen=True)
class Way:
    """One way to spend a budget: a number of classes, and of images in each."""

    classes: int
    images: int

    @property
    def budget(self) -> int:
        return self.classes * self.images

    @property
    def ratio(self) -> float:
        return self.classes / self.images


@dataclass(frozen=True)
class Verified:
    """The predicted ratio tested at a larger budget: the measured way nearest to it, against the best of the others."""

    budget: float
    nearest: Way
    other: Way
    difference: Interval
    n_seeds: int


@dataclass(frozen=True, eq=False)
class Division:
    """The best division of one budget, on one target or on the mean of several.

    Args:
        ways: by ascending ratio. means: float [m], their mean scores, 0…1.
        kind: ``best``: the best ratio lies inside the measured range; ``more classes``, ``more images``: the more the better,
            throughout that range; ``flat``: no significant optimum; ``cannot``: too few ratios or seeds.
        ratio, low, high: for ``best``, the best ratio and its 95 % interval, which may extend beyond the measured range.
        within: for ``flat``, the largest difference that any two ways may have, 0…1.
        parabola: constant, slope and curvature of the mean score over log2 of the ratio, from the middle of the ways.
        verified: the test of the ratio at a larger budget, if one was measured.
    """

    target: str
    budget: float
    ways: tuple[Way, ...]
    means: Floats
    n_seeds: int
    kind: Kind
    ratio: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    within: float = float("nan")
    parabola: tuple[float, float, float] = (float("nan"), float("nan"), float("nan"))
    verified: Verified | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether there were enough ratios and seeds to fit a parabola."""
        return not np.isnan(self.parabola[0])

    @property
    def has_best(self) -> bool:
        """Whether the best ratio lies inside the measured range."""
        return not np.isnan(self.ratio)

    def best_at(self, budget: float) -> tuple[float, float]:
        """The number of classes, and of images in each, that the best ratio implies at a budget of images."""
        return (budget * self.ratio) ** 0.5, (budget / self.ratio) ** 0.5


def divide(target: str, ways: Sequence[Way], scores: Floats) -> Division:
    """Fit a parabola to each seed and find where the mean of their slopes is 0, with its interval.

    The interval contains the ratios at which the slope, one value per seed, does not differ significantly from 0 (Fieller's
    set, by Student's t). It is bounded if the curvature is significant; otherwise no best ratio is named.

    Args:
        ways: [m] of about one budget. scores: float [K, m], 0…1.
    """
    order = sorted(range(len(ways)), key=lambda i: ways[i].ratio)
    ways, scores = [ways[i] for i in order], scores[:, order]
    budget = float(np.mean([way.budget for way in ways]))
    means = scores.mean(0) if len(scores) else np.full(len(ways), np.nan)
    found = Division(target, budget, tuple(ways), means, len(scores), "cannot")
    if len(scores) < LEAST_SEEDS or len({way.ratio for way in ways}) < LEAST_RATIOS:
        return found
    places = np.log2([way.ratio for way in ways])
    middle = float(places.mean())
    fits = np.asarray(np.polynomial.polynomial.polyfit(places - middle, scores.T, 2), float)  # [3, K], ascending powers
    found = replace(found, parabola=(float(fits[0].mean()), float(fits[1].mean()), float(fits[2].mean())))
    first, last = (of_seeds(fits[1] + 2 * fits[2] * (end - middle)) for end in (places[0], places[-1]))
    curvature = of_seeds(fits[2])
    assert curvature.high is not None and first.low is not None and first.high is not None
    assert last.low is not None and last.high is not None
    if first.low > 0 and last.low > 0:
        return replace(found, kind="more classes")
    if first.high < 0 and last.high < 0:
        return replace(found, kind="more images")
    vertex = -float(fits[1].mean()) / (2 * curvature.value) if curvature.high < 0 else float("nan")
    if not places[0] <= vertex + middle <= places[-1]:
        return replace(found, kind="flat", within=_apart(scores))
    low, high = (2 ** (middle + end) for end in _level_between(fits))
    return replace(found, kind="best", ratio=2 ** (middle + vertex), low=low, high=high)


def verify(division: Division, ways: Sequence[Way], scores: Floats) -> Verified:
    """Compare, at a larger budget, the way nearest to the predicted ratio with the best of the others.

    Args:
        ways: [m] of about one budget, two at least. scores: float [K, m].
    """
    nearest = int(np.argmin([abs(np.log(way.ratio / division.ratio)) for way in ways]))
    means = scores.mean(0)
    others = [i for i in range(len(ways)) if i != nearest]
    best = max(others, key=lambda i: means[i])
    budget = float(np.mean([way.budget for way in ways]))
    difference = of_seeds(scores[:, nearest] - scores[:, best])
    return Verified(budget, ways[nearest], ways[best], difference, len(scores))


def budgets(ways: Mapping[str, Way]) -> list[list[str]]:
    """Conditions grouped by budget, ascending; budgets within 10 % count as equal, since classes and images are whole numbers."""
    groups: list[list[str]] = []
    for name in sorted(ways, key=lambda name: ways[name].budget):
        if groups and ways[name].budget <= 1.1 * ways[groups[-1][0]].budget:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def _level_between(fits: Floats) -> tuple[float, float]:
    """Where the mean slope b + 2 a p does not differ significantly from 0: between the roots of a parabola."""
    n = fits.shape[1]
    reach = student(0.975, n - 1) ** 2 / n
    slope, curvature = fits[1].mean(), fits[2].mean()
    spread = np.cov(fits[1:])
    square = 4 * (curvature**2 - reach * spread[1, 1])
    linear = 4 * (slope * curvature - reach * spread[0, 1])
    constant = slope**2 - reach * spread[0, 0]
    low, high = np.sort(np.roots([square, linear, constant]).real)
    return float(low), float(high)


def _apart(scores: Floats) -> float:
    """The largest difference that any two ways may have: the outermost limit of all pairs, adjusted for their number."""
    pairs = list(combinations(range(scores.shape[1]), 2))
    intervals = [of_seeds(scores[:, a] - scores[:, b], confidence=1 - 0.05 / len(pairs)) for a, b in pairs]
    return max(max(abs(each.low or 0.0), abs(each.high or 0.0)) for each in intervals)
