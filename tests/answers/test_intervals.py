"""Intervals against scipy and statsmodels, and their invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from transferlab.answers.intervals import bootstrap, example_variance_of, holm, of_seeds, seeds_to_decide


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(3, 12))
def test_seeds_alone_give_students_t(seed: int, n: int) -> None:
    values = np.random.default_rng(seed).normal(0.01, 0.02, n)
    ours = of_seeds(values)
    test = stats.ttest_1samp(values, 0)
    low, high = test.confidence_interval()
    assert (ours.low, ours.high) == (pytest.approx(low), pytest.approx(high))
    assert ours.p_value == pytest.approx(test.pvalue, rel=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_intervals_flip_shift_and_do_not_know_the_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    d = random.normal(0, 0.3, (4, 50)) + random.normal(0, 0.2, 50)
    added = example_variance_of(d)
    plain, flipped = of_seeds(d.mean(1), added), of_seeds(-d.mean(1), example_variance_of(-d))
    assert (plain.low, plain.high) == (pytest.approx(-flipped.high), pytest.approx(-flipped.low))
    shifted = of_seeds(d.mean(1) + 0.5, example_variance_of(d + 0.5))
    assert shifted.low == pytest.approx(plain.low + 0.5)
    mixed = d[random.permutation(4)][:, random.permutation(50)]
    assert example_variance_of(mixed) == pytest.approx(added)
    assert of_seeds(d.mean(1), 0.0).high <= plain.high


def test_the_example_variance_is_found_again() -> None:
    random = np.random.default_rng(0)
    examples, noise, n = 0.3, 0.35, 4000
    found = [example_variance_of(random.normal(0, noise, (5, n)) + random.normal(0, examples, n)) for _ in range(40)]
    assert np.mean(found) == pytest.approx(examples**2 / n, rel=0.05)


def test_under_three_seeds_there_is_no_interval() -> None:
    assert of_seeds(np.array([0.1, 0.2])).low is None


def test_p_and_interval_agree_about_zero() -> None:
    random = np.random.default_rng(2)
    for _ in range(50):
        interval = of_seeds(random.normal(0.02, 0.02, 4), 1e-5)
        assert interval.low is not None
        assert interval.high is not None
        assert interval.p_value is not None
        assert (interval.low > 0 or interval.high < 0) == (interval.p_value < 0.05)


def test_more_seeds_are_asked_for_where_they_help() -> None:
    noisy = of_seeds(np.array([0.03, -0.01, 0.02, 0.0]))
    assert (seeds_to_decide(noisy, 4, 0.0) or 0) > 0
    assert seeds_to_decide(of_seeds(np.array([0.011, 0.01, 0.012]), 1e-2), 3, 0.0) is None


def test_the_bootstrap_agrees_with_t_from_twenty_units() -> None:
    values = np.random.default_rng(0).normal(0.1, 0.05, 30)
    boot, t = bootstrap(lambda seeds, _: float(values[seeds].mean()), 30, [5]), of_seeds(values)
    assert boot.low == pytest.approx(t.low, abs=0.006)
    assert boot.high == pytest.approx(t.high, abs=0.006)
