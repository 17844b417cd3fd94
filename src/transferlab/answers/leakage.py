"""Is the gain leakage? Near duplicates between a source and a target, and the results without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.contrast import Results


@dataclass(frozen=True)
class Found:
    """Images of one set that have a near duplicate in another.

    Args:
        n: images of the set. n_plain: those with so little contrast that only equal pixels count.
        rows, of: of each such image, its row and that of its duplicate. likeness: 0…1. exact: whether pixels are equal.
    """

    n: int
    n_plain: int
    rows: tuple[int, ...]
    of: tuple[int, ...]
    likeness: tuple[float, ...]
    exact: tuple[bool, ...]

    def spread(self, most: int) -> list[int]:
        """Which pairs to show: all, or an even choice from the most to the least alike, in that order."""
        order = sorted(range(len(self.rows)), key=lambda i: -self.likeness[i])
        return [order[round(i)] for i in np.linspace(0, len(order) - 1, min(most, len(order))).tolist()]


@dataclass(frozen=True, eq=False)
class Leakage:
    """Near duplicates of one target.

    Args:
        n_source: training images of the source. alike: the likeness from which two images count as near duplicates.
        test, train: its test images, and its training and validation images, that are in the source's training images.
        within: its test images that are in its own training and validation images.
        pairs: uint8 [2 k, s, s, 3], images of the target, each followed by its duplicate in the source, for the report.
        in_folds: whether all images of the target are tested; then ``test`` has all of them and ``train`` none.
    """

    target: str
    n_source: int
    alike: float
    test: Found
    train: Found
    within: Found
    pairs: NDArray[np.uint8] | None = None
    in_folds: bool = False

    def with_all_tested(self) -> Leakage:
        """The same findings where all images of the target are tested."""
        a, b = self.test, self.train
        both = Found(
            a.n + b.n, a.n_plain + b.n_plain, a.rows + b.rows, a.of + b.of, a.likeness + b.likeness, a.exact + b.exact
        )
        return replace(self, test=both, train=Found(0, 0, (), (), (), ()), in_folds=True)


def from_findings(target: str, findings: Mapping[str, Any]) -> Leakage:
    """What a store keeps of an audit (plain JSON), under the target's name."""
    test, train, within = (
        Found(held["n"], held["n_plain"], *(tuple(held[key]) for key in ("rows", "of", "likeness", "exact")))
        for held in (findings["test"], findings["train"], findings["within"])
    )
    return Leakage(target, findings["n_source"], findings["alike"], test, train, within)


def without(results: Results, kept: NDArray[np.int64], weights: NDArray[np.float64] | None) -> Results:
    """The same networks' results on fewer test examples, computed from the stored ones.

    Args:
        kept: int64 [k], which examples stay, at least one. weights: float [k], summing to 1, for mean class accuracy.
    """
    rows = {c: {s: held[kept] for s, held in seeds.items()} for c, seeds in results.rows.items()}
    of_all, everything = results.score_of, np.arange(len(kept))

    def score(condition: str, seed: int, examples: NDArray[np.int64]) -> float:
        if of_all is not None:
            return of_all(condition, seed, kept[examples])
        return float(np.average(rows[condition][seed], weights=weights))

    scores = {c: {seed: score(c, seed, everything) for seed in seeds} for c, seeds in results.scores.items()}
    again = None if of_all is None else score
    return replace(results, scores=scores, rows=rows, weights=weights, n_examples=len(kept), score_of=again)
