"""How far apart networks of one condition end up: the variance over seeds of a contrast, pooled over a study's conditions.

With three seeds a contrast alone has two degrees of freedom, and its interval is 4.3 standard errors wide to each side. A study's
other conditions are trained in the same way, and in genuine studies their scores scatter alike, so they tell the same variance
with many more degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.intervals import Spread

Floats = NDArray[np.float64]
# Degrees of freedom with which the pooled variance counts beside the contrast's own, which has one fewer than it has seeds. More
# make intervals a little narrower and trust more in equal variances; see tests/truth/test_coverage.py and LOG.md.
PRIOR = 6


@dataclass(frozen=True)
class Alike:
    """Conditions whose networks differ in their images and labels alone, so that their scores scatter alike over seeds.

    Args:
        conditions: their names; of a contrast with a network that is not among them, that part is judged by its own spread.
        reference, twin: a condition and another draw of it, which count as one condition with two networks a seed; "" if none.
    """

    conditions: tuple[str, ...] = ()
    reference: str = ""
    twin: str = ""

    def draws(self, wanted: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The names under which each condition has scores; the twin stands by itself where it is wanted by its own name."""
        joined = {self.reference: (self.reference, self.twin)} if self.twin and self.twin not in wanted else {}
        others = self.conditions if any(map(self.has, wanted)) else ()
        return {name: joined.get(name, (name,)) for name in dict.fromkeys([*wanted, *others])}

    def has(self, name: str) -> bool:
        """Whether it scatters like the others; controls need not, so that each stands by itself."""
        return name in self.conditions or bool(name and name == self.twin)


def pooled(scores: Mapping[str, Mapping[int, Sequence[float]]]) -> Spread:
    """The variance of one network's score within a condition and seed: the residual variance of scores after a mean of each condition and of each seed: a two-way analysis of variance.

    Seeds may be missing here and there. What all conditions of a seed share (the images of a target that were drawn for few shots
    or folds, for example) is no part of it, since it leaves a contrast unchanged.

    Args:
        scores: condition to seed to the scores of its networks.
    """
    cells = [(c, s, y) for c, of in enumerate(scores.values()) for s, ys in of.items() for y in ys]
    seeds = sorted({s for _, s, _ in cells})
    means = np.zeros((len(cells), len(scores) + len(seeds)))
    for i, (c, s, _) in enumerate(cells):
        means[i, c] = means[i, len(scores) + seeds.index(s)] = 1
    y = np.array([y for *_, y in cells])
    fitted, _, rank, _ = cast(Any, np.linalg.lstsq(means, y, rcond=None))
    residual, freedom = y - means @ fitted, len(cells) - int(rank)
    return Spread(float(residual @ residual) / freedom, freedom) if freedom else Spread(float("nan"), 0)


def moderated(own: float, n_seeds: int, pool: Spread, share: float) -> Spread:
    """The variance of a contrast's mean over seeds: its own, moderated by the pooled one as in Smyth (2004).

    A fixed number of prior degrees of freedom stands in place of Smyth's estimate, which needs hundreds of variances. The pool holds the
    contrast's own scores too, so that its degrees of freedom are a little fewer than stated; simulated intervals cover nevertheless.

    Args:
        own: the variance of its values over seeds, divided by their number.
        share: the variance of the mean that networks of variance 1 imply.
    """
    if not pool.freedom:
        return Spread(own, n_seeds - 1)
    variance = (PRIOR * pool.variance * share + (n_seeds - 1) * own) / (PRIOR + n_seeds - 1)
    return Spread(variance, min(PRIOR + n_seeds - 1, pool.freedom))
