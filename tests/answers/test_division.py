"""The best ratio of classes to images: found where it was planted, predicted for a larger budget, verified there."""

from __future__ import annotations

import numpy as np
import pytest

from transferlab.answers.division import Way, budgets, divide, verify
from transferlab.answers.sentences import division_in_words

WAYS = [Way(50, 500), Way(100, 250), Way(200, 125)]
PLACES = np.log2([way.ratio for way in WAYS])


def scores(
    best: float, n: int = 5, bend: float = -0.02, noise: float = 0.001, places: np.ndarray = PLACES
) -> np.ndarray:
    random = np.random.default_rng(1)
    level = random.normal(0, 0.02, (n, 1))
    return 0.5 + bend * (places - best) ** 2 + level + random.normal(0, noise, (n, len(places)))


def test_a_planted_best_ratio_is_found_and_means_the_same_at_every_budget() -> None:
    found = divide("leaves", WAYS, scores(np.log2(0.6)))
    assert found.kind == "best"
    assert found.ratio == pytest.approx(0.6, rel=0.1)
    assert found.low < 0.6 < found.high
    classes, images = found.best_at(100_000)
    assert classes * images == pytest.approx(100_000) and classes / images == pytest.approx(found.ratio)


def test_fewer_seeds_or_ratios_than_three_cannot_say() -> None:
    assert divide("leaves", WAYS, scores(0, n=2)).kind == "cannot"
    assert divide("leaves", WAYS[:2], scores(0)[:, :2]).kind == "cannot"
    assert "fewer than three ratios and three seeds" in division_in_words(divide("leaves", WAYS[:2], scores(0)[:, :2]))


def test_a_slope_without_an_end_says_so() -> None:
    rising = np.array([0.4, 0.45, 0.5]) + np.random.default_rng(0).normal(0, 0.001, (4, 3))
    more = divide("leaves", WAYS, rising)
    fewer = divide("leaves", WAYS, rising[:, ::-1])
    assert (more.kind, fewer.kind) == ("more classes", "more images")
    assert "the more classes the better, up to 200 classes × 125 images" in division_in_words(more)
    assert "the more images the better, up to 50 classes × 500 images" in division_in_words(fewer)


@pytest.mark.parametrize("bend", [0.0, 0.02])
def test_where_nothing_is_best_the_largest_difference_is_told(bend: float) -> None:
    found = divide("leaves", WAYS, scores(float(PLACES[1]), bend=bend, noise=0.004))
    assert found.kind == "flat"
    assert found.within >= abs(found.means[0] - found.means[1])
    assert "cannot tell which division is best; any two between 50 classes × 500 images" in division_in_words(found)


def test_the_order_of_the_conditions_does_not_matter() -> None:
    held = scores(-1.0)
    assert divide("x", WAYS, held).ratio == pytest.approx(divide("x", WAYS[::-1], held[:, ::-1]).ratio)


def test_a_larger_budget_verifies_the_nearest_way() -> None:
    large = [Way(100, 500), Way(200, 250)]
    held = scores(np.log2(0.8), places=np.log2([way.ratio for way in large]))
    found = divide("leaves", WAYS, scores(np.log2(0.8)))
    told = verify(found, large, held)
    assert (told.nearest, told.other) == (large[1], large[0])
    assert told.difference.value == pytest.approx(float((held[:, 1] - held[:, 0]).mean()))


def test_budgets_group_ways_of_nearly_the_same_number_of_images() -> None:
    ways = {"a": Way(4, 14), "b": Way(8, 7), "c": Way(2, 14), "d": Way(8, 3), "e": Way(4, 7)}
    assert budgets(ways) == [["d"], ["c", "e"], ["a", "b"]]
