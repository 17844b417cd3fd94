"""Contrasts become estimates with verdicts, and estimates sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.intervals import (
    LEAST_UNITS_OF_BOOTSTRAP,
    Interval,
    bootstrap,
    example_variance_of,
    holm,
    of_seeds,
    seeds_to_decide,
)
from transferlab.errors import UserError
from transferlab.specs import Contrast, ContrastRule, Estimate, Verdict

MEAN = "mean over these targets"
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Results:
    """One target's results in one metric.

    Args:
        scores: condition to seed to score, 0…1.
        rows: condition to seed to per-example results float or bool [e] whose weighted mean is the score; empty where the
            metric is no mean over examples, and then intervals speak of these test images.
        weights: float [e], summing to 1; None weighs all alike.
        score_of: the score of a condition's seed on redrawn examples, int [e]; for metrics that are no mean over them.
        n_examples: e.
    """

    target: str
    metric: str
    scores: Mapping[str, Mapping[int, float]]
    rows: Mapping[str, Mapping[int, NDArray[np.float64] | NDArray[np.bool_]]]
    weights: NDArray[np.float64] | None = None
    score_of: Callable[[str, int, NDArray[np.int64]], float] | None = None
    n_examples: int = 0


def resolve(contrasts: Sequence[Contrast] | ContrastRule, conditions: Sequence[str]) -> tuple[Contrast, ...]:
    """The contrasts that a rule makes, or the given ones, checked.

    Raises:
        UserError: weights that do not sum to 0, or that name no condition.
    """
    if isinstance(contrasts, ContrastRule):
        contrasts = _by_rule(contrasts, conditions)
    for contrast in contrasts:
        unknown = [name for name in contrast.weights if name not in conditions]
        if unknown:
            raise UserError(
                f"the contrast {contrast.name!r} names {unknown[0]!r}, which is no condition", "study",
                f"conditions are {', '.join(conditions)}",
            )  # fmt: skip
        if abs(sum(contrast.weights.values())) > 1e-9 or not any(contrast.weights.values()):
            raise UserError(f"the weights of {contrast.name!r} do not sum to 0", "study", "write for example a - b")
        if not 0 <= contrast.margin < 1:
            raise UserError(
                f"the margin {contrast.margin} is impossible", "study", "choose from 0 to 1; 0.01 is a point"
            )
    return tuple(contrasts)


def _by_rule(rule: ContrastRule, conditions: Sequence[str]) -> list[Contrast]:
    if rule.kind == "against" and rule.base not in conditions:
        raise UserError(
            f"the base {rule.base!r} of the contrasts is no condition", "study",
            f"conditions are {', '.join(conditions)}",
        )  # fmt: skip
    pairs = {
        "steps": list(zip(conditions[1:], conditions[:-1], strict=True)),
        "ends": [(conditions[-1], conditions[0])] if len(conditions) > 1 else [],
        "against": [(name, str(rule.base)) for name in conditions if name != rule.base],
    }[rule.kind]
    return [Contrast(f"{a} against {b}", {a: 1.0, b: -1.0}, rule.margin) for a, b in pairs]


def estimates(
    contrasts: Sequence[Contrast], results: Sequence[Results], apart: Sequence[Results] = ()
) -> tuple[Estimate, ...]:
    """Every contrast on the mean over targets and on each target, with Holm's adjustment over all of them.

    Args:
        apart: targets that are measured by another protocol than the rest, and so are left out of the mean.
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
    """One contrast over one target, or over the mean of several (a fixed list): one value per seed, then t.

    Only seeds that have every condition on every target count; the others are counted as missing.
    """
    wanted = [name for name, weight in contrast.weights.items() if weight]
    seeds: list[set[int]] = [set(each.scores.get(name, {})) for each in results for name in wanted]
    whole: list[int] = sorted(seeds[0].intersection(*seeds))
    n_missing = len(seeds[0].union(*seeds)) - len(whole)
    first = results[0]
    target = first.target if len(results) == 1 else MEAN
    if not whole:
        return Estimate(contrast, target, first.metric, float("nan"), None, None, "these test images", 0, n_missing,
                        "no seed has every condition", "cannot tell")  # fmt: skip
    per_seed = np.mean([_per_seed(contrast, each, whole) for each in results], axis=0)
    variances = [_example_variance(contrast, each, whole) for each in results]
    crossed = all(variance is not None for variance in variances)
    added = sum(v or 0.0 for v in variances) / len(results) ** 2 if crossed else 0.0
    interval = of_seeds(per_seed, added)
    method = f"Student's t over {len(whole)} paired seeds" + (", and the spread over test images" if crossed else "")
    if not crossed and len(whole) >= LEAST_UNITS_OF_BOOTSTRAP and all(each.rows or each.score_of for each in results):
        interval, crossed = _redrawn(contrast, results, whole), True
        method = f"percentiles over redrawn test images and redrawn ones of {len(whole)} seeds"
    verdict = _verdict(interval, contrast.margin)
    more = seeds_to_decide(interval, len(whole), contrast.margin) if verdict == "cannot tell" else None
    metric = first.metric if len({each.metric for each in results}) == 1 else "score"
    return Estimate(
        contrast, target, metric, interval.value, interval.low, interval.high,
        "images like these" if crossed else "these test images", len(whole), n_missing, method, verdict,
        interval.p_value, None, more,
    )  # fmt: skip


def _per_seed(contrast: Contrast, results: Results, seeds: Sequence[int]) -> NDArray[np.float64]:
    return np.array([sum(w * results.scores[name][s] for name, w in contrast.weights.items() if w) for s in seeds])


def _example_variance(contrast: Contrast, results: Results, seeds: Sequence[int]) -> float | None:
    """What new test images add; None where the metric is no mean over examples."""
    if not results.rows:
        return None
    weighted = [(name, w) for name, w in contrast.weights.items() if w]
    first = results.rows[weighted[0][0]][seeds[0]]
    scale = np.ones(len(first)) if results.weights is None else results.weights * len(first)
    parts = [sum(w * results.rows[name][seed] for name, w in weighted) * scale for seed in seeds]
    return example_variance_of(np.stack(parts))


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

    return bootstrap(statistic, len(seeds), [each.n_examples for each in results])


def _verdict(interval: Interval, margin: float) -> Verdict:
    if interval.low is None or interval.high is None:
        return "cannot tell"
    if margin > 0 and -margin < interval.low and interval.high < margin:
        return "the same within the margin"
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "cannot tell"


def _judged(estimate: Estimate) -> Estimate:
    """Better and worse stand only if they survive Holm's adjustment over the study's declared contrasts."""
    if estimate.verdict in ("better", "worse") and (estimate.p_holm or 0.0) > LEVEL:
        return replace(estimate, verdict="cannot tell")
    return estimate
