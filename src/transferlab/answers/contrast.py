"""From contrasts and results to estimates: intervals, Holm's adjustment, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.estimate import LEVEL, MEAN, Estimate
from transferlab.answers.intervals import (
    LEAST_UNITS_OF_BOOTSTRAP,
    Interval,
    bootstrap,
    example_variance_of,
    holm,
    of_seeds,
    redrawn_too,
    seeds_to_decide,
)
from transferlab.answers.verdicts import CANNOT_TELL, verdict_on
from transferlab.specs import Contrast


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


def estimates(
    contrasts: Sequence[Contrast], results: Sequence[Results], apart: Sequence[Results] = ()
) -> tuple[Estimate, ...]:
    """Every contrast on the mean over targets and on each target, with Holm's adjustment over all of them.

    Args:
        apart: targets measured by a protocol of their own, and therefore left out of the mean.
    """
    found: list[Estimate] = []
    for contrast in contrasts:
        if len(results) > 1:
            found.append(estimate(contrast, results))
        found += [estimate(contrast, [each]) for each in (*results, *apart)]
    known = [e for e in found if e.p_value is not None]
    adjusted = dict(zip(map(id, known), holm([e.p_value or 0.0 for e in known]), strict=True))
    return tuple(_judged(replace(e, p_holm=adjusted.get(id(e)))) for e in found)


def estimate(contrast: Contrast, results: Sequence[Results]) -> Estimate:
    """One contrast on one target, or on the mean over several: one value per seed, then Student's t.

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
    per_seed = np.mean([_per_seed(contrast, each, whole) for each in results], axis=0)
    variances = [_example_variance(contrast, each, whole) for each in results]
    crossed = all(variance is not None for variance in variances)
    added = sum(v or 0.0 for v in variances) / len(results) ** 2 if crossed else 0.0
    interval = of_seeds(per_seed, added)
    method = f"Student's t over {len(whole)} paired seeds" + (", and the spread over test images" if crossed else "")
    if not crossed and len(whole) >= LEAST_UNITS_OF_BOOTSTRAP and all(each.rows or each.score_of for each in results):
        interval, crossed = _redrawn(contrast, results, whole), True
        method = f"percentile bootstrap over {len(whole)} seeds and the test images"
    verdict = verdict_on(interval, contrast.margin)
    more = None if verdict.settled else seeds_to_decide(interval, len(whole), contrast.margin)
    metric = first.metric if len({each.metric for each in results}) == 1 else "score"
    return Estimate(
        contrast, target, metric, interval.value, interval.low, interval.high,
        "images like these" if crossed else "these test images", len(whole), n_missing, method, verdict,
        interval.p_value, None, more,
    )  # fmt: skip


def _per_seed(contrast: Contrast, results: Results, seeds: Sequence[int]) -> NDArray[np.float64]:
    return np.array([sum(w * results.scores[name][s] for name, w in contrast.weights.items() if w) for s in seeds])


def _example_variance(contrast: Contrast, results: Results, seeds: Sequence[int]) -> float | None:
    """The variance that new test images would add; None if the metric is not a mean over examples."""
    if not results.rows:
        return None
    weighted = [(name, w) for name, w in contrast.weights.items() if w]
    first = results.rows[weighted[0][0]][seeds[0]]
    scale = np.ones(len(first)) if results.weights is None else results.weights * len(first)
    parts = [sum(w * results.rows[name][seed] for name, w in weighted) * scale for seed in seeds]
    return example_variance_of(np.stack(parts)) * redrawn_too(results.folds)


def _redrawn(contrast: Contrast, results: Sequence[Results], seeds: Sequence[int]) -> Interval:
    weighted = [(name, w) for name, w in contrast.weights.items() if w]

    def score(each: Results, name: str, seed: int, examples: NDArray[np.int64]) -> float:
        if each.score_of is not None:
            return each.score_of(name, seed, examples)
        rows = each.rows[name][seed][examples]
        return float(np.average(rows, weights=None if each.weights is None else each.weights[examples]))

    def statistic(drawn: NDArray[np.int64], examples: Sequence[NDArray[np.int64]]) -> float:
        unique, counts = np.unique(drawn, return_counts=True)
        per_seed = [
            np.mean([sum(w * score(each, name, seeds[k], rows) for name, w in weighted)
                     for each, rows in zip(results, examples, strict=True)])
            for k in map(int, unique)
        ]  # fmt: skip
        return float(np.average(per_seed, weights=counts))

    drawn = [round(each.n_examples / redrawn_too(each.folds)) for each in results]
    return bootstrap(statistic, len(seeds), [each.n_examples for each in results], drawn)


def _judged(estimate: Estimate) -> Estimate:
    """A claimed difference stands only if it survives Holm's adjustment over the study's declared contrasts."""
    if estimate.verdict.direction and (estimate.p_holm or 0.0) > LEVEL:
        return replace(estimate, verdict=CANNOT_TELL)
    return estimate
