"""Simulated studies with known effects and genuine right-or-wrong rows: intervals cover, A/A stays silent."""

from __future__ import annotations

import numpy as np
import pytest

from transferlab.answers.contrast import Results, estimates
from transferlab.answers.intervals import example_variance_of, of_seeds
from transferlab.contrasts import compare
from transferlab.identity import stream

N = 1500


def study(random: np.random.Generator, n_seeds: int, n_examples: int, spread: float) -> tuple[np.ndarray, float, float]:
    """Differences of right-or-wrong rows [K, e], the effect on these images, and on all images.

    Each example is easy or hard, gains or loses from the condition by its own amount, and each seed shifts all.
    """
    ease = random.normal(0.4, 1.2, n_examples)
    gain = random.normal(0.15, spread, n_examples)
    shift = random.normal(0, 0.04, (2, n_seeds, 1))
    right = [
        random.random((n_seeds, n_examples)) < 1 / (1 + np.exp(-(ease + g + s)))
        for g, s in zip((0, gain), shift, strict=True)
    ]
    expected = 1 / (1 + np.exp(-(ease + gain))) - 1 / (1 + np.exp(-ease))
    return right[1].astype(float) - right[0], float(expected.mean()), _population(spread)


_known: dict[float, float] = {}


def _population(spread: float) -> float:
    if spread not in _known:
        random = stream("population", str(spread))
        ease, gain = random.normal(0.4, 1.2, 4_000_000), random.normal(0.15, spread, 4_000_000)
        _known[spread] = float((1 / (1 + np.exp(-(ease + gain))) - 1 / (1 + np.exp(-ease))).mean())
    return _known[spread]


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_both_scopes_cover_their_truth(n_seeds: int, spread: float) -> None:
    random = stream("coverage", n_seeds, str(spread))
    these = like = 0
    for _ in range(N):
        rows, fixed, population = study(random, n_seeds, 200, spread)
        narrow, wide = of_seeds(rows.mean(1)), of_seeds(rows.mean(1), example_variance_of(rows))
        assert narrow.low is not None and narrow.high is not None and wide.low is not None and wide.high is not None
        these += narrow.low <= fixed <= narrow.high
        like += wide.low <= population <= wide.high
    assert 0.935 <= these / N <= 0.965
    assert like / N >= 0.935  # conservative where t and normal parts add up


@pytest.mark.parametrize("n_seeds", [3, 6])
def test_an_a_a_pair_is_called_different_in_at_most_one_of_twenty(n_seeds: int) -> None:
    random = stream("silence", n_seeds)
    alarms = 0
    for _ in range(600):
        results = []
        for target in ("one", "two", "three"):
            base = random.normal(0.6, 0.02, n_seeds)
            pair = {c: dict(enumerate(base + random.normal(0, 0.01, n_seeds))) for c in ("a", "b")}
            results.append(Results(target, "top1", pair, {}))
        found = estimates([compare("a", "b", margin=0.0)], results)
        alarms += any(e.differs for e in found)
    assert alarms / 600 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)
