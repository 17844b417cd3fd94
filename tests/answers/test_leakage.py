"""Results without the test images that are in the source are those of fewer images, whatever the metric."""

from __future__ import annotations

import numpy as np
import pytest

from transferlab.answers.contrast import Results, estimate
from transferlab.answers.leakage import Found, from_findings, without
from transferlab.answers.sentences import leakage_in_words
from transferlab.contrasts import compare

LISTS = {
    "test": {"n": 200, "n_plain": 3, "rows": [4, 9], "of": [1, 2], "likeness": [1.0, 0.9], "exact": [True, False]},
    "train": {"n": 50, "n_plain": 0, "rows": [], "of": [], "likeness": [], "exact": []},
    "within": {"n": 200, "n_plain": 3, "rows": [7], "of": [5], "likeness": [0.85], "exact": [False]},
}  # fmt: skip


def test_rows_left_out_change_scores_and_differences() -> None:
    random = np.random.default_rng(0)
    rows = {c: {s: random.random(100) < p for s in range(4)} for c, p in (("a", 0.7), ("b", 0.5))}
    scores = {c: {s: float(r.mean()) for s, r in seeds.items()} for c, seeds in rows.items()}
    kept = np.arange(10, 100)
    fewer = without(Results("leaves", "top1", scores, rows), kept, None)
    assert fewer.scores["a"][2] == pytest.approx(rows["a"][2][10:].mean())
    found = estimate(compare("a", "b"), [fewer])
    assert found.value == pytest.approx(
        np.mean([rows["a"][s][10:].mean() - rows["b"][s][10:].mean() for s in range(4)])
    )


def test_a_mean_over_classes_takes_new_weights() -> None:
    rows = {"a": {0: np.array([True, True, False, True])}}
    results = Results("leaves", "mean class accuracy", {"a": {0: 0.5}}, rows, np.full(4, 0.25))
    fewer = without(results, np.array([0, 2]), np.array([0.5, 0.5]))
    assert fewer.scores["a"][0] == 0.5
    assert fewer.weights is not None and len(fewer.weights) == 2


def test_a_metric_that_is_no_mean_is_computed_on_the_rest() -> None:
    def score_of(_: str, seed: int, examples: np.ndarray) -> float:
        return float(examples.sum()) + seed

    fewer = without(
        Results("x", "mean average precision", {"a": {0: 0.1, 1: 0.2}}, {}, None, score_of, 5), np.array([1, 4]), None
    )
    assert fewer.scores == {"a": {0: 5.0, 1: 6.0}}
    assert fewer.n_examples == 2
    assert fewer.score_of is not None and fewer.score_of("a", 0, np.array([1, 1])) == 8.0


def test_what_was_found_is_told_with_its_counts() -> None:
    told = leakage_in_words(from_findings("leaves", {"n_source": 1000, "alike": 0.84, **LISTS}))
    assert told == [
        "leaves: 2 of 200 test images (1.0 %; 1 exact) and 0 of 50 training and validation images are copies of some of "
        "the source's 1,000 training images.",
        "leaves: 1 of 200 test images (0.5 %; 0 exact) are copies of its own training or validation images.",
        "leaves: 3 test images have too little contrast to be compared, except for equal pixels.",
    ]


def test_a_choice_of_pairs_goes_from_the_most_to_the_least_alike() -> None:
    likeness = (0.9, 1.0, 0.85, 0.95)
    found = Found(10, 0, (0, 1, 2, 3), (0, 1, 2, 3), likeness, (False,) * 4)
    assert found.spread(9) == [1, 3, 0, 2]
    assert found.spread(2) == [1, 2]
    assert Found(10, 0, (), (), (), ()).spread(5) == []
