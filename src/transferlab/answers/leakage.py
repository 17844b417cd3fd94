"""Is the gain leakage? What was found between a source and a target, and results without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.contrast import Results


@dataclass(frozen=True)
class Found:
    """Images of a list that have a likeness in another list.

    Args:
        n: images asked about. n_plain: those of too little contrast to be compared but for equal pixels.
        rows, of: for each image with a likeness its row and that of the likeness. likeness: 0…1. exact: equal pixels.
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
    """One target: its test images, and its training and validation images, among the source's training images; and its
    test images among its own training and validation images.

    Args:
        n_source: training images of the source. alike: the likeness from which two images count as alike.
        pairs: uint8 [2 k, s, s, 3], images of the target, each followed by its likeness in the source, for the report.
    """

    target: str
    n_source: int
    alike: float
    test: Found
    train: Found
    within: Found
    pairs: NDArray[np.uint8] | None = None


def from_findings(target: str, findings: Mapping[str, Any]) -> Leakage:
    """What a store keeps of an audit (plain JSON), under the target's name."""
    test, train, within = (
        Found(held["n"], held["n_plain"], *(tuple(held[key]) for key in ("rows", "of", "likeness", "exact")))
        for held in (findings["test"], findings["train"], findings["within"])
    )
    return Leakage(target, findings["n_source"], findings["alike"], test, train, within)


def without(results: Results, kept: NDArray[np.int64], weights: NDArray[np.float64] | None) -> Results:
    """The same networks' results on fewer test examples; nothing is run for it.

    Args:
        kept: int64 [k], which examples stay, at least one. weights: float [k], summing to 1, for mean class accuracy.
    """
    rows = {c: {s: held[kept] for s, held in seeds.items()} for c, seeds in results.rows.items()}
    scores: dict[str, dict[int, float]] = {}
    for condition, seeds in results.scores.items():
        scores[condition] = {}
        for seed in seeds:
            if results.score_of is not None:
                scores[condition][seed] = results.score_of(condition, seed, kept)
            else:
                scores[condition][seed] = float(np.average(rows[condition][seed], weights=weights))
    of_all = results.score_of

    def score_of(condition: str, seed: int, examples: NDArray[np.int64]) -> float:
        assert of_all is not None
        return of_all(condition, seed, kept[examples])

    again = None if of_all is None else score_of
    return replace(results, scores=scores, rows=rows, weights=weights, n_examples=len(kept), score_of=again)
