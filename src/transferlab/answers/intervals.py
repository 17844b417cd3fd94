"""Intervals of differences: pure functions from arrays to value, low and high.

The unit is the seed: a fresh draw of images, a fresh initialisation, one training. First the contrast, then the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transferlab.identity import stream

LEAST_SEEDS = 3
LEAST_UNITS_OF_BOOTSTRAP = 20
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value with its interval; low, high and the p-value of "no difference" are None with fewer than three seeds.

    Args:
        seed_variance: variance of the mean over seeds (t part). example_variance: what new test examples add.
    """

    value: float
    low: float | None
    high: float | None
    p_value: float | None
    seed_variance: float = float("nan")
    example_variance: float = 0.0


def of_seeds(per_seed: Floats, example_variance: float = 0.0, confidence: float = 0.95) -> Interval:
    """Student's t over seeds, widened by the variance that new test examples would add.

    half-width² = (t · s / √K)² + z² · example_variance. With ``example_variance`` 0 it holds for these test images only.

    Args:
        per_seed: float [K], the contrast of each seed.
        example_variance: see ``example_variance_of``.
    """
    n = len(per_seed)
    value = float(per_seed.mean())
    if n < LEAST_SEEDS:
        return Interval(value, None, None, None)
    seed_variance = float(per_seed.var(ddof=1)) / n
    t, z = student(0.5 + confidence / 2, n - 1), _z(0.5 + confidence / 2)
    half = float(np.sqrt(t**2 * seed_variance + z**2 * example_variance))
    return Interval(value, value - half, value + half, _p_value(value, seed_variance, example_variance, n),
                    seed_variance, example_variance)  # fmt: skip


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


def redrawn_too(n_folds: int) -> float:
    """By how much to multiply the variance over test examples because new examples would be trained on as well.

    With J folds every example is tested and trained on: 1 + J · (tested / trained on) = 1 + J / (J - 1), Nadeau and Bengio's
    (2003, section 3) correction. It is a rule of thumb, since no unbiased estimate exists (Bengio and Grandvalet 2004); on
    genuine rows it errs on the safe side (LOG.md, "Folds"). Without folds it is 1: few test examples outweigh what is left out.
    """
    return 1 + n_folds / (n_folds - 1) if n_folds else 1.0


def bootstrap(
    statistic: Callable[[NDArray[np.int64], Sequence[NDArray[np.int64]]], float], n_seeds: int,
    n_examples: Sequence[int], n_drawn: Sequence[int] | None = None, n_resamples: int = 1000,
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
    low, high = float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))
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


def seeds_to_decide(interval: Interval, n_seeds: int, margin: float, most: int = 200) -> int | None:
    """Roughly how many more seeds would decide, if the value stayed the same; None if not even ``most`` would.

    A comparison is decided if the interval excludes 0, or lies inside the margin.
    """
    if interval.low is None:
        return None
    spread = interval.seed_variance * n_seeds
    for total in range(n_seeds + 1, n_seeds + most + 1):
        t = student(0.975, total - 1)
        half = float(np.sqrt(t**2 * spread / total + 1.96**2 * interval.example_variance))
        if half < abs(interval.value) or abs(interval.value) + half < margin:
            return total - n_seeds
    return None


def _p_value(value: float, seed_variance: float, example_variance: float, n: int) -> float:
    """The level at which the interval of ``of_seeds`` would just touch 0, found by bisection."""
    if value == 0:
        return 1.0
    low, high = 1e-12, 1.0
    for _ in range(60):
        middle = (low * high) ** 0.5 if low > 0 else high / 2
        t, z = -student(middle / 2, n - 1), -_z(middle / 2)
        if t**2 * seed_variance + z**2 * example_variance > value**2:
            low = middle
        else:
            high = middle
    return high


def student(share: float, freedom: int) -> float:
    """A quantile of Student's t distribution; scipy.special is many times faster than scipy.stats here."""
    from scipy import special  # takes longer to load than all that plans, lists or prints tables without an interval

    return float(special.stdtrit(freedom, share))


def _z(share: float) -> float:
    """A quantile of the normal distribution."""
    from scipy import special

    return float(special.ndtri(share))
