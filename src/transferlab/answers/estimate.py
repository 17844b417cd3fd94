"""What an answer consists of: an estimate with its interval, and the verdict on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from transferlab.answers.intervals import Interval
from transferlab.definitions import Definition
from transferlab.specs import Contrast

MEAN = "mean over these targets"  # in place of a target's name
LEVEL = 0.05  # of the adjusted p-values
Scope = Literal["these test images", "images like these"]
Family = Literal["primary", "further", "single targets"]
PRIMARY: Family = "primary"  # the first contrast, on the mean over targets or the only target
FURTHER: Family = "further"
SINGLE: Family = "single targets"


@dataclass(frozen=True)
class Estimate:
    """A contrast's value with its interval and verdict.

    Args:
        value, low, high: differences in 0…1; low and high are None under 3 seeds.
        n_seeds: seeds that have every condition of the contrast; n_missing: seeds that do not.
        method: how the interval was made, in words.
        family: the comparisons together with which its p-value is adjusted. n_family: how many of them have a p-value.
        more_seeds: how many more seeds would decide an open verdict with a probability of 80 %; None if 200 would not, or if it is
            settled.
        interval: the value with its variances; None without a value.
    """

    contrast: Contrast
    target: str
    metric: str
    value: float
    low: float | None
    high: float | None
    scope: Scope
    n_seeds: int
    n_missing: int
    method: str
    verdict: Verdict
    p_value: float | None = None
    p_holm: float | None = None
    more_seeds: int | None = None
    family: Family = PRIMARY
    n_family: int = 1
    interval: Interval | None = None

    @property
    def differs(self) -> bool:
        """Whether the verdict claims a difference."""
        return bool(self.verdict.direction)


@dataclass(frozen=True)
class Wording:
    """Parts of an estimate's sentence: what is compared with what, where, and the interval with its seeds."""

    subject: str
    base: str
    where: str
    between: str


@dataclass(frozen=True, kw_only=True)
class Verdict(Definition):
    """What an interval says about a difference.

    Args:
        holds: whether it is the verdict on an interval, given low, high and the margin; the first verdict that holds is taken.
        sentence: the estimate in words.
        direction: 1 or -1 if it claims a difference, which must survive the adjustment for several comparisons; else 0.
        settled: whether the comparison is decided; if it is not, more seeds may help.
    """

    holds: Callable[[float, float, float], bool]
    sentence: Callable[[Estimate, Wording], str]
    direction: int = 0
    settled: bool = True

    def __str__(self) -> str:
        return self.name
