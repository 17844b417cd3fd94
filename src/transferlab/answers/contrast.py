"""From contrasts and results to estimates: intervals, Holm's adjustment, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.estimate import FURTHER, LEVEL, MEAN, PRIMARY, SINGLE, Estimate
from transferlab.answers.intervals import (
    LEAST_SEEDS,
    LEAST_UNITS_OF_BOOTSTRAP,
    Interval,
    Spread,
    bootstrap,
    example_variance_of,
    holm,
    interval,
    of_seeds,
    redrawn_too,
    seeds_to_decide,
)
from transferlab.answers.noise import Alike, moderated, pooled
from transferlab.answers.verdicts import CANNOT_TELL, verdict_on
from transferlab.specs import Contrast

Floats = NDArray[np.float64]
NOBODY = Alike()
HALF_WEIGHT = 1000  # test images that give half of the weight that endlessly many would
LEAST_ROOM = 0.02  # two points


@dataclass(frozen=True, eq=False)
class Results:
    """One target's results in one metric.

    Args:
        scores: condition to seed to score, 0…1.
        rows: condition to seed to per-example results, float or bool [e], whose weighted mean is the score; empty if the metric
            is not a mean over examples.
        weights: float [e], summing to 1; None means equal weights.
        score_of: the score of a condition and seed on resampled examples, int [e]; for metrics that are not means over examples.
        n_examples: e.
        folds: of how many folds the examples are the union, each predicted by a fit to the others; 0 without folds.
    """

    target: str
    metric: str
    scores: Mapping[str, Mapping[int, float]]
    rows: Mapping[str, Mapping[int, NDArray[np.float64] | NDArray[np.bool_]]]
    weights: NDArray[np.float64] | None = None
    score_of: Callable[[str, int, NDArray[np.int64]], float] | None = None
    n_examples: int = 0
    folds: int = 0


def shares(n_examples: Sequence[int]) -> Floats:
    """The weight of each target in a mean over targets, float64 [T], from its number of test images: n / (n + 1,000), scaled to sum to 1.

    A test set of a few hundred images measures a difference several times less precisely than one of thousands; with equal weights it
    alone would set the width of the mean's interval. The numbers are known before any network is trained. Where one is not known (0),
    all weights are equal.
    """
    sizes = np.array(n_examples, float)
    weights = sizes / (sizes + HALF_WEIGHT) if sizes.all() else np.ones(len(sizes))
    return weights / weights.sum()


def estimates(
    contrasts: Sequence[Contrast], results: Sequence[Results], apart: Sequence[Results] = (), alike: Alike = NOBODY
) -> tuple[Estimate, ...]:
    """Every contrast on the mean over targets and on each target, with Holm's adjustment within each family.

    The first contrast, on the mean or on the only target, is the primary one and stands alone. The other contrasts there are one family,
    and all contrasts on the single targets of several are another.

    Args:
        apart: targets that are left out of the mean.
        alike: conditions whose spread over seeds is pooled.
    """
    found: list[Estimate] = []
    for i, contrast in enumerate(contrasts):
        if results:
            found.append(replace(estimate(contrast, results, alike), family=FURTHER if i else PRIMARY))
        singles = [*(results if len(results) > 1 else ()), *apart]
        found += [replace(estimate(contrast, [each], alike), family=SINGLE) for each in singles]
    return tuple(_judged(e) for e in _adjusted(found))


def estimate(
    contrast: Contrast, results: Sequence[Results], alike: Alike = NOBODY, confidence: float = 0.95
) -> Estimate:
    """One contrast on one target, or on the weighted mean over several: one value per seed, then the interval.

    Only seeds that have every condition on every target are used; the others are counted as missing.
    """
    wanted = [name for name, weight in contrast.weights.items() if weight]
    seeds: list[set[int]] = [set(each.scores.get(name, {})) for each in results for name in wanted]
    whole: list[int] = sorted(seeds[0].intersection(*seeds))
    n_missing = len(seeds[0].union(*seeds)) - len(whole)
    first = results[0]
    target = first.target if len(results) == 1 else MEAN
    if not whole:
        return Estimate(contrast, target, first.metric, float("nan"), None, None, "these test images", 0, n_missing,
                        "no seed has every condition", CANNOT_TELL)  # fmt: skip
    weights = shares([each.n_examples for each in results])
    drawn = _Drawn(
        contrast,
        whole,
        alike.draws(wanted),
        _over_targets(results, weights),
        [name for name in wanted if alike.has(name)],
    )
    variances = [_example_variance(drawn, each) for each in results]
    crossed = all(variance is not None for variance in variances)
    added = float(sum(w**2 * (v or 0.0) for w, v in zip(weights, variances, strict=True))) if crossed else 0.0
    found, method = (
        _interval(drawn, added, confidence),
        f"over {len(whole)} seeds" + (" and the test images" if crossed else ""),
    )
    if not crossed and len(whole) >= LEAST_UNITS_OF_BOOTSTRAP and all(each.rows or each.score_of for each in results):
        found, crossed = _redrawn(contrast, results, whole, confidence), True
        method = f"percentile bootstrap over {len(whole)} seeds and the test images"
    metric = first.metric if len({each.metric for each in results}) == 1 else "score"
    return Estimate(
        contrast, target, metric, found.value, found.low, found.high, "images like these" if crossed else "these test images",
        len(whole), n_missing, method, verdict_on(found, contrast.margin), found.p_value, interval=found,
    )  # fmt: skip


def best_against(
    conditions: Sequence[str], base: str, results: Sequence[Results], alike: Alike = NOBODY
) -> Estimate | None:
    """The condition with the highest mean score against another network, its interval adjusted for the choice (Bonferroni).

    None if no seed has both.
    """
    confidence = 1 - LEVEL / max(1, len(conditions))
    tried = [
        estimate(Contrast(f"{name} against {base}", {name: 1.0, base: -1.0}, 0.0), results, alike, confidence)
        for name in conditions
    ]
    return max((e for e in tried if e.n_seeds), key=lambda e: (e.low is not None, e.value), default=None)


def saturated(results: Results, conditions: Sequence[str]) -> bool:
    """Whether the mean score of every condition leaves less than ``LEAST_ROOM`` to be gained, so that no difference can be seen.

    It depends on all conditions alike, and therefore favours none.
    """
    means = [float(np.mean(list(of.values()))) for name in conditions if (of := results.scores.get(name))]
    return bool(means) and 1 - min(means) < LEAST_ROOM


Scores = Mapping[str, Mapping[int, float]]


def _over_targets(results: Sequence[Results], weights: Floats) -> Scores:
    """The weighted mean over targets of each network that has them all: condition to seed to score."""
    names = [name for name in results[0].scores if all(name in each.scores for each in results)]
    return {
        name: {
            seed: float(sum(w * each.scores[name][seed] for w, each in zip(weights, results, strict=True)))
            for seed in sorted(set(results[0].scores[name]).intersection(*(each.scores[name] for each in results)))
        }
        for name in names
    }


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A contrast with the networks that it compares.

    Args:
        seeds: those that have every condition. draws: condition to the names under which it has networks.
        scores: condition to seed to score, of these and of the other conditions whose spread is pooled.
        pooled: those of the contrast's conditions whose spread is; the others are judged by their own.
    """

    contrast: Contrast
    seeds: Sequence[int]
    draws: Mapping[str, Sequence[str]]
    scores: Scores
    pooled: Sequence[str]

    def networks(self, condition: str, seed: int) -> list[str]:
        """The names of a condition's networks of a seed."""
        return [name for name in self.draws[condition] if seed in self.scores.get(name, {})]

    def of(self, value: Callable[[str, int], Any], names: Sequence[str] = ()) -> list[Any]:
        """The contrast of each seed, from a value for each name and seed; of these conditions alone if any are named."""
        weights = {name: w for name, w in self.contrast.weights.items() if w and (not names or name in names)}
        networks = {(name, seed): self.networks(name, seed) for name in weights for seed in self.seeds}
        return [
            sum(w / len(networks[name, seed]) * sum(value(each, seed) for each in networks[name, seed])
                for name, w in weights.items())
            for seed in self.seeds
        ]  # fmt: skip

    def scores_of(self, names: Sequence[str] = ()) -> Floats:
        """The contrast's score of each seed, float64 [K]; of these conditions alone if any are named."""
        return np.array(self.of(lambda name, seed: self.scores[name][seed], names))


def _interval(drawn: _Drawn, added: float, confidence: float) -> Interval:
    """The interval of the mean over seeds, from the variance of the conditions that scatter alike and that of the others.

    Networks of a seed have little in common; where they do, both variances hold it, and the interval is a little too wide.
    """
    per_seed, n = drawn.scores_of(), len(drawn.seeds)
    if n < LEAST_SEEDS or not drawn.pooled:
        return of_seeds(per_seed, added, confidence)
    spreads = [_of_conditions(drawn)]
    if others := [name for name, w in drawn.contrast.weights.items() if w and name not in drawn.pooled]:
        spreads.append(Spread(float(drawn.scores_of(others).var(ddof=1)) / n, n - 1))
    return interval(float(per_seed.mean()), spreads, added, confidence)


def _of_conditions(drawn: _Drawn) -> Spread:
    """The variance of the mean over seeds of the contrast's pooled part, moderated by that of all conditions."""
    n = len(drawn.seeds)
    every = {seed for of in drawn.scores.values() for seed in of}
    apart = {name for name, w in drawn.contrast.weights.items() if w} - {*drawn.pooled}
    cells = {
        condition: {
            seed: [drawn.scores[name][seed] for name in networks]
            for seed in every
            if (networks := drawn.networks(condition, seed))
        }
        for condition in drawn.draws
        if condition not in apart
    }
    share = sum(
        drawn.contrast.weights[name] ** 2 / len(drawn.networks(name, seed))
        for name in drawn.pooled
        for seed in drawn.seeds
    )
    return moderated(float(drawn.scores_of(drawn.pooled).var(ddof=1)) / n, n, pooled(cells), share / n**2)


def _example_variance(drawn: _Drawn, results: Results) -> float | None:
    """The variance that new test images would add; None if the metric is not a mean over examples."""
    rows = results.rows
    if not rows:
        return None
    n = len(next(iter(next(iter(rows.values())).values())))
    scale = np.ones(n) if results.weights is None else results.weights * n
    parts = drawn.of(lambda name, seed: rows[name][seed].astype(float))
    return example_variance_of(np.stack(parts) * scale) * redrawn_too(results.folds)


def _redrawn(contrast: Contrast, results: Sequence[Results], seeds: Sequence[int], confidence: float) -> Interval:
    weighted = [(name, w) for name, w in contrast.weights.items() if w]

    def score(each: Results, name: str, seed: int, examples: NDArray[np.int64]) -> float:
        if each.score_of is not None:
            return each.score_of(name, seed, examples)
        rows = each.rows[name][seed][examples]
        return float(np.average(rows, weights=None if each.weights is None else each.weights[examples]))

    def statistic(drawn: NDArray[np.int64], examples: Sequence[NDArray[np.int64]]) -> float:
        unique, counts = np.unique(drawn, return_counts=True)
        per_seed = [
            sum(of * sum(w * score(each, name, seeds[k], rows) for name, w in weighted)
                for of, each, rows in zip(parts, results, examples, strict=True))
            for k in map(int, unique)
        ]  # fmt: skip
        return float(np.average(per_seed, weights=counts))

    parts = shares([each.n_examples for each in results])
    drawn = [round(each.n_examples / redrawn_too(each.folds)) for each in results]
    return bootstrap(statistic, len(seeds), [each.n_examples for each in results], drawn, confidence=confidence)


def _adjusted(found: Sequence[Estimate]) -> list[Estimate]:
    """The estimates with Holm's adjustment within each family, and the seeds that would decide open ones at its level."""
    adjusted: dict[int, float] = {}
    sizes: dict[str, int] = {}
    for family in dict.fromkeys(e.family for e in found):
        known = [e for e in found if e.family == family and e.p_value is not None]
        sizes[family] = len(known)
        adjusted |= zip(map(id, known), holm([e.p_value or 0.0 for e in known]), strict=True)
    return [replace(e, p_holm=adjusted.get(id(e)), n_family=sizes[e.family]) for e in found]


def _judged(estimate: Estimate) -> Estimate:
    """A claimed difference stands only if it survives the adjustment; what stays open says how many more seeds may decide it."""
    if estimate.verdict.direction and (estimate.p_holm or 0.0) > LEVEL:
        estimate = replace(estimate, verdict=CANNOT_TELL)
    if estimate.verdict.settled or estimate.interval is None:
        return estimate
    level = LEVEL / max(1, estimate.n_family)
    return replace(
        estimate, more_seeds=seeds_to_decide(estimate.interval, estimate.n_seeds, estimate.contrast.margin, level)
    )
