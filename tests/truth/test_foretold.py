"""Simulated studies with known laws: what is foretold of a size nobody ran, and of the best ratio, covers the truth."""

from __future__ import annotations

import numpy as np
import pytest

from transferlab.answers.division import Way, divide
from transferlab.answers.scaling import forecast
from transferlab.identity import stream

SIZES = np.array([25.0, 50, 125, 250, 500, 1000])
N = 60


def errors(random: np.random.Generator, saturating: bool) -> np.ndarray:
    """A law with parameters at random; the saturating one solved on a fine grid of errors."""
    c, lowest, ceiling = np.exp(random.uniform(np.log(0.1), np.log(1.2))), random.uniform(0.1, 0.5), 0.8
    first = random.uniform(lowest + 0.12, 0.75)
    alpha = random.uniform(0.1, 2) if saturating else 0.0
    grid = np.linspace(lowest, first, 200_001)[1:]
    left = np.log(grid - lowest) - alpha * np.log(ceiling - grid)
    return grid[np.searchsorted(left, left[-1] - c * np.log(SIZES / SIZES[0])).clip(0, len(grid) - 1)]


@pytest.mark.parametrize(("saturating", "n_seeds", "noise", "slope"), [(False, 3, 0.004, 0.0), (True, 5, 0.004, 0.002)])
def test_the_doubled_size_lies_in_its_interval(saturating: bool, n_seeds: int, noise: float, slope: float) -> None:
    """Also where seeds differ in slope; the measured mean of the same seeds is what the interval is for."""
    random = stream("foretold", saturating, n_seeds)
    inside = told = 0
    for _ in range(N):
        scores = 1 - errors(random, saturating) - random.normal(0, 0.02, (n_seeds, 1))
        scores = (
            scores + random.normal(0, noise, (n_seeds, 6)) + random.normal(0, slope, (n_seeds, 1)) * np.log(SIZES / 100)
        )
        found = forecast("simulated", SIZES[:5].tolist(), scores[:, :5], 0.2)
        _, low, high = found.gain
        gain = scores[:, 5].mean() - scores[:, 4].mean()
        inside += low <= gain <= high
        told += not found.cannot
    assert inside / N >= 0.93
    assert told / N >= 0.6  # an answer that is always "cannot say" would cover too


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_the_best_ratio_lies_in_its_interval_and_is_seldom_named_where_there_is_none(n_seeds: int) -> None:
    random = stream("best ratio", n_seeds)
    ways = [Way(50, 500), Way(100, 250), Way(200, 125)]
    places = np.log2([way.ratio for way in ways])
    covered = named = false = 0
    for _ in range(800):
        best = random.uniform(places[0] + 0.3, places[-1] - 0.3)
        noise = random.normal(0, 0.02, (n_seeds, 1)) + random.normal(0, 0.005, (n_seeds, 3))
        found = divide("simulated", ways, 0.5 - 0.02 * (places - best) ** 2 + noise)
        named += found.kind == "best"
        covered += found.kind == "best" and found.low <= 2**best <= found.high
        false += divide("simulated", ways, 0.5 + noise).kind == "best"
    assert named >= 760
    assert 0.93 <= covered / named <= 0.97
    assert false / 800 <= 0.05
