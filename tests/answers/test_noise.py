"""The pooled spread over seeds against statsmodels, and how it moderates a contrast's own."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from transferlab.answers.intervals import Spread
from transferlab.answers.noise import PRIOR, Alike, moderated, pooled


def test_the_pooled_variance_is_the_residual_of_a_two_way_analysis_also_where_networks_are_missing() -> None:
    random = np.random.default_rng(0)
    scores = {name: {k: list(random.normal(0.5, 0.02, 2 if name == "c" else 1)) for k in range(5) if (name, k) != ("a", 3)}
              for name in "abc"}  # fmt: skip
    cells = [(name, k, y) for name, of in scores.items() for k, ys in of.items() for y in ys]
    means = [[float(name == n) for n in "abc"] + [float(k == s) for s in range(1, 5)] for name, k, _ in cells]
    model = sm.OLS([y for *_, y in cells], means).fit()
    found = pooled(scores)
    assert found.variance == pytest.approx(float(model.mse_resid))
    assert found.freedom == int(model.df_resid)


def test_what_all_networks_of_a_seed_share_is_no_part_of_it() -> None:
    apart = {"a": {0: [0.1], 1: [0.5], 2: [0.9]}, "b": {0: [0.2], 1: [0.6], 2: [1.0]}}
    assert pooled(apart).variance == pytest.approx(0, abs=1e-20)


def test_two_conditions_alone_are_judged_by_their_own_spread() -> None:
    a, b = np.array([0.1, 0.2, 0.4]), np.array([0.3, 0.1, 0.2])
    own = float((a - b).var(ddof=1)) / 3
    pool = pooled({"a": {k: [x] for k, x in enumerate(a)}, "b": {k: [x] for k, x in enumerate(b)}})
    assert moderated(own, 3, pool, 2 / 3) == (pytest.approx(own), 2)


def test_the_own_spread_counts_more_the_more_seeds_there_are() -> None:
    pool = Spread(1.0, 100)
    few, many = (moderated(0.0, n, pool, 1 / n).variance * n for n in (3, 30))
    assert (few, many) == (pytest.approx(PRIOR / (PRIOR + 2)), pytest.approx(PRIOR / (PRIOR + 29)))


def test_a_twin_is_another_draw_of_its_reference_unless_it_is_compared_itself() -> None:
    alike = Alike(("a", "b"), "b", "twin")
    assert alike.draws(["a", "b"]) == {"a": ("a",), "b": ("b", "twin")}
    assert alike.draws(["b", "twin"]) == {"b": ("b",), "twin": ("twin",), "a": ("a",)}
    assert alike.draws(["a", "random-features"]) == {
        "a": ("a",),
        "random-features": ("random-features",),
        "b": ("b", "twin"),
    }
    assert alike.draws(["random-features"]) == {"random-features": ("random-features",)}
