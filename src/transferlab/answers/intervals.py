"""Intervals of differences and shares: pure functions from arrays to value, low and high.

The unit is the seed: a fresh draw of images, a fresh initialisation, one training. First the contrast, then the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transferlab.identity import stream

LEAST_SEEDS = 3
LEAST_UNITS_OF_BOOTSTRAP = 20
MOST_SEEDS = 200  # more than anybody will train
LIKELY = 0.8
Floats = NDArray[np.float64]


class Spread(NamedTuple):
    """A variance and its degrees of freedom."""

    variance: float
    freedom: float


@dataclass(frozen=True)
class Interval:
    """A value with its interval; low, high and the p-value of "no difference" are None with fewer than three seeds.

    Args:
        seeds: the variances of the mean over seeds, which add up; more than one where its parts scatter differently.
        example_variance: what new test examples add.
    """

    value: float
    low: float | None
    high: float | None
    p_value: float | None
    seeds: tuple[Spread, ...] = ()
    example_variance: float = 0.0


def of_seeds(per_seed: Floats, example_variance: float = 0.0, confidence: float = 0.95) -> Interval:
    """``interval`` around the mean of one value for each seed, by their own spread; Student's t without an example variance.

    Args:
        per_seed: float [K], the contrast of each seed.
        example_variance: see ``example_variance_of``; with 0 the interval holds for these test images only.
    """
    n, value = len(per_seed), float(per_seed.mean())
    if n < LEAST_SEEDS:
        return Interval(value, None, None, None)
    return interval(value, [Spread(float(per_seed.var(ddof=1)) / n, n - 1)], example_variance, confidence)


def interval(
    value: float, seeds: Sequence[Spread], example_variance: float = 0.0, confidence: float = 0.95
) -> Interval:
    """The interval of a value whose variance is the sum of several, of which those over seeds are estimated with few degrees of freedom.

    Args:
        seeds: the variances of the mean over seeds. example_variance: what new test examples add.
    """
    low, high = (value + sign * half_width(seeds, example_variance, confidence) for sign in (-1, 1))
    return Interval(value, low, high, _p_value(value, seeds, example_variance), tuple(seeds), example_variance)


def half_width(seeds: Sequence[Spread], example_variance: float, confidence: float = 0.95) -> float:
    """Half the width of ``interval``: the mean of Satterthwaite's, a little too narrow, and of Graybill and Wang's, a little too wide.

    Satterthwaite (1946): Student's t at (Σ v + e)² / Σ (v² / freedom) degrees of freedom times √(Σ v + e). Graybill and Wang (1980), with
    e taken as known: √(Σ t² v + z² e). With one variance at two degrees of freedom the first covers 92.2 to 95.0 % and the second 95.0 to
    97.7 %, their mean 93.9 to 96.4; from five on all are within half a point. With two, at eight and two degrees of freedom, 93.0 to 95.8,
    95.7 to 97.9, and 94.5 to 97.1 (LOG.md). It is never less than that of the seeds alone.
    """
    alone = _mean_of_two(seeds, 0.0, confidence)
    return max(alone, _mean_of_two(seeds, example_variance, confidence)) if example_variance else alone


def _mean_of_two(seeds: Sequence[Spread], example_variance: float, confidence: float) -> float:
    total = sum(v for v, _ in seeds) + example_variance
    if not total:
        return 0.0
    share = 0.5 + confidence / 2
    together = 1 / max(sum((v / total) ** 2 / freedom for v, freedom in seeds), 1e-8)
    narrow = student(share, together) * total**0.5
    wide = sum(student(share, freedom) ** 2 * v for v, freedom in seeds) + _z(share) ** 2 * example_variance
    return (narrow + wide**0.5) / 2


def example_variance_of(differences: Floats) -> float:
    """The variance of the mean over new test examples, beyond what the seeds already show.

    Test examples are crossed with seeds: d[k, j] = mean + seed[k] + example[j] + residual[k, j]. The variance of the
    per-example means over seeds is (example variance) + (residual variance) / K; the spread of the seeds already contains
    the residual's part, so it is subtracted.

    Args:
        differences: float [K, e], the contrast of each seed on each example.

    Returns:
        (variance of per-example means − residual variance / K) / e, at least 0.
    """
    n_seeds, n_examples = differences.shape
    if n_seeds < 2 or n_examples < 2:
        return 0.0
    by_example = differences.mean(0)
    residual = differences - differences.mean(1, keepdims=True) - by_example + differences.mean()
    residual_variance = float((residual**2).sum()) / ((n_seeds - 1) * (n_examples - 1))
    return max(0.0, float(by_example.var(ddof=1)) - residual_variance / n_seeds) / n_examples


def of_share(right: NDArray[np.bool_], redrawn: float = 1.0) -> Interval:
    """A share over seeds and test examples, with Agresti and Coull's (1998) interval at an effective number of examples.

    ``of_seeds`` misbehaves near 0 and 1: its interval has no width where all is right. So its width only gives the effective
    number, that of independent examples whose share would be as uncertain; it is at most the number of examples, as if all
    seeds were alike. (Korn and Graubard, 1998, do so for samples in clusters.)

    Args:
        right: bool [K, e]. redrawn: see ``redrawn_too``.
    """
    per_seed, n_seeds, n = right.mean(1), len(right), right.shape[1] / redrawn
    value = float(per_seed.mean())
    if n_seeds < LEAST_SEEDS:
        return Interval(value, None, None, None)
    z = _z(0.975)
    seeds = (Spread(float(per_seed.var(ddof=1)) / n_seeds, n_seeds - 1),)
    example_variance = example_variance_of(right.astype(np.float64)) * redrawn
    if half := half_width(seeds, example_variance):
        n = min(n, value * (1 - value) * (z / half) ** 2)
    middle = (n * value + z**2 / 2) / (n + z**2)
    half = z * float(np.sqrt(middle * (1 - middle) / (n + z**2)))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(value, low, high, None, seeds, example_variance)


def of_difference(share: Interval, base: Interval) -> Interval:
    """The difference of two shares from their intervals (Newcombe 1998, method 10), as if they were independent.

    On the same examples they mostly rise and fall together, so that it is rather too wide.
    """
    value = share.value - base.value
    if share.low is None or share.high is None or base.low is None or base.high is None:
        return Interval(value, None, None, None)
    down = np.hypot(share.value - share.low, base.high - base.value)
    up = np.hypot(share.high - share.value, base.value - base.low)
    return Interval(value, value - float(down), value + float(up), None)


def redrawn_too(n_folds: int) -> float:
    """By how much to multiply the variance over test examples because new examples would be trained on as well.

    With J folds every example is tested and trained on: 1 + J · (tested / trained on) = 1 + J / (J - 1), Nadeau and Bengio's
    (2003, section 3) correction. It is a rule of thumb, since no unbiased estimate exists (Bengio and Grandvalet 2004); on
    genuine rows it errs on the safe side (LOG.md, "Folds"). Without folds it is 1: few test examples outweigh what is left out.
    """
    return 1 + n_folds / (n_folds - 1) if n_folds else 1.0


def bootstrap(
    statistic: Callable[[NDArray[np.int64], Sequence[NDArray[np.int64]]], float], n_seeds: int,
    n_examples: Sequence[int], n_drawn: Sequence[int] | None = None, n_resamples: int = 1000, confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """Percentile interval of a statistic without a simpler form; seeds and examples are resampled together.

    Args:
        statistic: from seed indices [K], and example indices [e] of each target, to the contrast.
        n_seeds: ``LEAST_UNITS_OF_BOOTSTRAP`` or more, since with fewer it does not keep its level. n_examples: e of each target.
        n_drawn: how many of them a resample has, by default all; e / m widens the variance over examples m times.
    """
    sizes = list(zip(n_examples, n_examples if n_drawn is None else n_drawn, strict=True))
    random = stream("bootstrap", n_seeds, list(n_examples))
    values = np.array([
        statistic(random.integers(0, n_seeds, n_seeds), [random.integers(0, e, m) for e, m in sizes])
        for _ in range(n_resamples)
    ])  # fmt: skip
    low, high = (float(np.quantile(values, 0.5 + sign * confidence / 2)) for sign in (-1, 1))
    value = statistic(np.arange(n_seeds), [np.arange(e) for e in n_examples])
    p = min(1.0, 2 * min(float((values <= 0).mean()), float((values >= 0).mean())) + 1 / n_resamples)
    return Interval(value, low, high, p)


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjustment: each p-value as if the whole family were tested at once."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def seeds_to_decide(found: Interval, n_seeds: int, margin: float, level: float = 0.05) -> int | None:
    """How many more seeds would decide with a probability of ``LIKELY``; None if not even ``MOST_SEEDS`` would.

    A comparison is decided if it differs from 0 at the level, or if its 95 % interval lies inside the margin. With more seeds the value
    moves from where it is now by as much as the seeds so far are uncertain; what new test images would change stays, since the
    images are the same.

    Args:
        level: of the p-value after adjustment, for example 0.05 divided by the number of comparisons.
    """
    whole = sum(v for v, _ in found.seeds)
    if found.low is None or not whole > 0:  # a bootstrap has none
        return None
    for more in range(1, MOST_SEEDS + 1):
        left = n_seeds / (n_seeds + more)  # of the variance over seeds
        seeds = [Spread(v * left, freedom / left) for v, freedom in found.seeds]
        to_differ = half_width(seeds, found.example_variance, 1 - level)
        to_be_same = margin - half_width(seeds, found.example_variance)
        moves = (whole * (1 - left)) ** 0.5
        at = [_normal((limit - found.value) / moves) for limit in (-to_differ, -to_be_same, to_be_same, to_differ)]
        if at[0] + (1 - at[3]) + max(0.0, at[2] - at[1]) >= LIKELY:
            return more
    return None


def _p_value(value: float, seeds: Sequence[Spread], example_variance: float) -> float:
    """The level at which the interval would just touch 0, found by bisection."""
    if value == 0:
        return 1.0
    low, high = 1e-12, 1.0
    for _ in range(60):
        middle = (low * high) ** 0.5
        if half_width(seeds, example_variance, 1 - middle) > abs(value):
            low = middle
        else:
            high = middle
    return high


def student(share: float, freedom: float) -> float:
    """A quantile of Student's t distribution; scipy.special is many times faster than scipy.stats here."""
    from scipy import special  # takes longer to load than all that plans, lists or prints tables without an interval

    return float(special.stdtrit(freedom, share))


def _z(share: float) -> float:
    """A quantile of the normal distribution."""
    from scipy import special

    return float(special.ndtri(share))


def _normal(value: float) -> float:
    """The normal distribution function."""
    from scipy import special

    return float(special.ndtr(value))
