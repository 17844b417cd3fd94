"""What twice the images would bring: planted laws come out, and what cannot be predicted is not."""

from __future__ import annotations

import numpy as np
import pytest

from transferlab.answers.scaling import LEAST_SIZES, evenly, forecast, quantiles
from transferlab.answers.sentences import forecast_in_words

SIZES = np.array([25.0, 50, 125, 250, 500])


def saturating(size: float, lowest: float, ceiling: float, alpha: float, log_beta: float, c: float) -> float:
    """The error that solves the four-parameter law, by bisection: independent of how the fitter solves it."""
    low, high = lowest, ceiling
    for _ in range(200):
        middle = (low + high) / 2
        left = np.log(max(middle - lowest, 1e-300)) - alpha * np.log(max(ceiling - middle, 1e-300))
        low, high = (low, middle) if left > log_beta - c * np.log(size) else (middle, high)
    return low


def seeds(errors: np.ndarray, n: int, noise: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    shape = (n, len(errors))
    return 1 - (errors + random.normal(0, 0.02, (n, 1)) + random.normal(0, noise, shape))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.5])
def test_a_planted_law_foretells_the_doubled_size(alpha: float) -> None:
    parameters = (0.4, 0.8, alpha, 0.5 * alpha + 0.0, 0.6)
    errors = np.array([saturating(size, *parameters) for size in (*SIZES, 1000)])
    found = forecast("leaves", SIZES.tolist(), seeds(errors[:-1], 5, 0.0005), 0.2)
    value, low, high = found.gain
    truth = errors[-2] - errors[-1]
    assert found.cannot == ""
    assert low <= truth + (found.means[-1] - (1 - errors[-2])) - (found.means - (1 - errors[:-1])).mean() <= high
    assert value == pytest.approx(truth, abs=0.006)
    assert found.check is not None and found.check.holds


def test_the_curves_solve_the_law() -> None:
    errors = np.array([saturating(size, 0.4, 0.8, 0.7, 0.0, 0.6) for size in SIZES])
    noise = np.random.default_rng(0).normal(0, 1e-5, (3, 5))
    found = forecast("leaves", SIZES.tolist(), 1 - errors + noise, 0.2)
    assert found.curve is not None
    for size, value in found.curve[:, :2]:
        if size <= 500:
            assert 1 - value == pytest.approx(saturating(size, 0.4, 0.8, 0.7, 0.0, 0.6), abs=0.003)


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        (np.full((2, 5), 0.5), "at least 3 seeds"),
        (np.full((5, LEAST_SIZES - 1), 0.5), "at least 4 sizes, not 3"),
        (np.full((5, 5), 0.5), "not significantly better"),
        (np.ones((5, 5)), "not significantly better"),
        (seeds(np.array([0.4, 0.45, 0.5, 0.55, 0.6]), 5, 0.001), "not significantly better"),
        (seeds(np.array([0.6, 0.5, 0.45, 0.35, 0.45]), 5, 0.001), "500 are significantly worse than 250"),
        (seeds(np.array([0.6, 0.599, 0.598, 0.597, 0.5]), 5, 0.001), "miss what was measured"),
        (seeds(np.array([0.60, 0.58, 0.57, 0.56, 0.56]), 3, 0.01, 3), "wider than the whole gain"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_not_said(scores: np.ndarray, told: str) -> None:
    found = forecast("leaves", SIZES[: scores.shape[1]].tolist(), scores, 0.2)
    assert told in found.cannot
    assert "cannot be predicted" in forecast_in_words(found, "images per class") and told in forecast_in_words(found)


def test_scores_below_the_floor_are_no_fault() -> None:
    errors = 0.3 + 0.2 * (SIZES / 25) ** -0.5
    assert forecast("leaves", SIZES.tolist(), seeds(errors, 3, 0.001), 0.9).next is not None


def test_the_sentence_is_in_the_users_words() -> None:
    errors = 0.4 + 0.3 * (SIZES / 25) ** -0.5
    text = forecast_in_words(forecast("leaves", SIZES.tolist(), seeds(errors, 5, 0.001), 0.2), "images per class")
    assert text.startswith("Doubling to 1,000 images per class would bring +")
    assert " points on leaves (95 % prediction interval over 5 seeds; fitted without 500, the laws predict " in text


def test_noise_alone_foretells_nothing() -> None:
    told = [forecast("leaves", SIZES.tolist(), seeds(np.full(5, 0.5), 4, 0.01, i), 0.2).cannot for i in range(16)]
    assert sum(not reason for reason in told) <= 1


def test_even_points_fill_every_part_of_the_cube_alike() -> None:
    points = evenly(4096, 3)
    counts = np.histogramdd(points, bins=4, range=[(0, 1)] * 3)[0]
    assert counts.sum() == 4096 and counts.min() > 48 and counts.max() < 80


def test_weighted_quantiles_are_those_of_repeated_values() -> None:
    random = np.random.default_rng(0)
    values, counts = random.normal(size=50), random.integers(1, 9, 50)
    repeated = np.repeat(values, counts)
    shares = (0.1, 0.5, 0.9)
    expected = np.quantile(repeated, shares, method="inverted_cdf")
    assert quantiles(values, counts / counts.sum(), shares) == pytest.approx(expected.tolist())
