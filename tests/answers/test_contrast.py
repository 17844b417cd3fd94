"""Contrasts: rules, pairing over seeds, missing seeds, verdicts and their sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transferlab.answers.contrast import Results, estimate, estimates
from transferlab.answers.estimate import MEAN
from transferlab.answers.points import points
from transferlab.answers.sentences import sentence
from transferlab.contrasts import against, compare, ends, resolve, steps
from transferlab.errors import UserError
from transferlab.specs import Contrast

PAIR = compare("b", "a", margin=0.01)


def results(a: list[float], b: list[float], target: str = "t") -> Results:
    return Results(target, "top1", {"a": dict(enumerate(a)), "b": dict(enumerate(b))}, {})


def test_rules_make_contrasts_that_sum_to_zero() -> None:
    names = ["a", "b", "c"]
    assert [c.name for c in resolve(steps(), names)] == ["b against a", "c against b"]
    assert [c.name for c in resolve(ends(), names)] == ["c against a"]
    assert [c.name for c in resolve(against("b"), names)] == ["a against b", "c against b"]
    assert resolve(steps(), ["a"]) == ()


@pytest.mark.parametrize(
    "contrast",
    [
        Contrast("x", {"a": 1.0, "q": -1.0}),
        Contrast("x", {"a": 1.0}),
        Contrast("x", {"a": 0.0}),
        compare("b", "a", 2.0),
    ],
)
def test_contrasts_that_mean_nothing_are_refused(contrast: Contrast) -> None:
    with pytest.raises(UserError):
        resolve([contrast], ["a", "b"])
    with pytest.raises(UserError):
        resolve(against("q"), ["a", "b"])


def test_only_whole_seeds_count_and_the_others_are_counted_as_missing() -> None:
    held = Results("t", "top1", {"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {1: 0.4, 2: 0.5, 3: 0.6}}, {})
    found = estimate(PAIR, [held])
    assert (found.n_seeds, found.n_missing) == (2, 2)
    assert found.value == pytest.approx(0.2)
    assert found.low is None
    assert "an interval needs at least three seeds" in sentence(found)
    assert estimate(PAIR, [Results("t", "top1", {"a": {0: 0.1}, "b": {}}, {})]).n_seeds == 0


def test_verdicts() -> None:
    better = estimates([PAIR], [results([0.5, 0.5, 0.5], [0.6, 0.61, 0.59])])[0]
    same = estimates([PAIR], [results([0.5, 0.5, 0.5], [0.501, 0.5, 0.499])])[0]
    unsure = estimates([PAIR], [results([0.5, 0.5, 0.5], [0.6, 0.4, 0.55])])[0]
    assert [e.verdict.name for e in (better, same, unsure)] == ["better", "the same within the margin", "cannot tell"]
    worse = estimates([compare("a", "b")], [results([0.5, 0.5, 0.5], [0.6, 0.61, 0.59])])[0]
    assert worse.verdict.name == "worse"


def test_many_contrasts_must_be_surer_than_one() -> None:
    held = results([0.5] * 4, [0.53, 0.55, 0.51, 0.54])
    alone = estimates([PAIR], [held])[0]
    assert alone.verdict.name == "better"
    first, *others = estimates([replace(PAIR, name=str(i)) for i in range(13)], [held])
    assert first.verdict.name == "better"  # the primary contrast stands alone
    assert {e.verdict.name for e in others} == {"cannot tell"}
    assert "Holm" in sentence(others[0])


def test_the_mean_over_targets_pairs_seeds() -> None:
    one, two = results([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], "one"), results([0.5, 0.5, 0.5], [0.6, 0.6, 0.6], "two")
    found = estimates([PAIR], [one, two])
    assert [e.target for e in found] == [MEAN, "one", "two"]
    assert found[0].value == pytest.approx(0.1)


def test_rows_widen_the_interval_to_images_like_these() -> None:
    random = np.random.default_rng(0)
    rows = {c: {s: (random.random(80) < p).astype(float) for s in range(4)} for c, p in (("a", 0.5), ("b", 0.6))}
    scores = {c: {s: float(r.mean()) for s, r in per.items()} for c, per in rows.items()}
    wide = estimate(PAIR, [Results("t", "top1", scores, rows)])
    narrow = estimate(PAIR, [Results("t", "top1", scores, {})])
    assert (wide.scope, narrow.scope) == ("images like these", "these test images")
    assert wide.high is not None
    assert narrow.high is not None
    assert wide.high >= narrow.high


def test_folds_widen_the_interval_since_their_images_are_trained_on_as_well() -> None:
    random = np.random.default_rng(0)
    right = {c: {s: (random.random(400) < p).astype(float) for s in range(3)} for c, p in (("a", 0.5), ("b", 0.6))}
    same = {c: dict.fromkeys(range(3), per[0]) for c, per in right.items()}  # equal seeds: all spread is over images
    scores = {c: {s: float(r.mean()) for s, r in per.items()} for c, per in same.items()}
    split, folds = (estimate(PAIR, [Results("t", "top1", scores, same, folds=n)]) for n in (0, 5))
    assert split.high is not None and folds.high is not None
    assert folds.high - folds.value == pytest.approx(1.5 * (split.high - split.value))  # the square root of 1 + 5 / 4


def test_folds_widen_a_bootstrap_as_well() -> None:
    random = np.random.default_rng(4)
    rows = {c: dict.fromkeys(range(20), r) for c, r in ((c, (random.random(800) < 0.5).astype(float)) for c in "ab")}
    scores = {c: {k: float(r.mean()) for k, r in by_seed.items()} for c, by_seed in rows.items()}
    ranked = Results("t", "mean average precision", scores, {}, None,
                     lambda c, k, examples: float(rows[c][k][examples].mean()), 800)  # fmt: skip
    split, folds = (estimate(compare("a", "b"), [replace(ranked, folds=n)]) for n in (0, 5))
    widths = [e.high - e.low for e in (split, folds) if e.high is not None and e.low is not None]
    assert widths[1] / widths[0] == pytest.approx(1.5, rel=0.12)


def test_sentences_say_the_number_the_interval_and_the_seeds() -> None:
    better = estimates([compare("500", "250")], [Results(
        "leaves", "top1", {"250": dict(enumerate([0.5, 0.5, 0.5])), "500": dict(enumerate([0.52, 0.521, 0.519]))}, {})])[0]  # fmt: skip
    assert sentence(better, "images per class") == (
        "500 images per class is better than 250 on leaves, by 2.0 points (95 % interval +1.8 to +2.2, 3 seeds)."
    )
    assert points(-0.0123, signed=True) == "−1.2"
    assert points(-0.0001, signed=True) == "0.0"


def test_from_twenty_seeds_on_a_ranking_metric_is_bootstrapped_over_images_too() -> None:
    random = np.random.default_rng(4)
    rows = {c: {k: (random.random(80) < p).astype(float) for k in range(20)} for c, p in (("a", 0.8), ("b", 0.5))}
    scores = {c: {k: float(r.mean()) for k, r in by_seed.items()} for c, by_seed in rows.items()}
    ranked = Results("t", "mean average precision", scores, {}, None,
                     lambda c, k, examples: float(rows[c][k][examples].mean()), 80)  # fmt: skip
    found = estimate(compare("a", "b"), [ranked])
    assert found.scope == "images like these" and "bootstrap" in found.method and found.verdict.name == "better"
    assert found.low is not None and found.high is not None
    assert found.low < np.mean([scores["a"][k] - scores["b"][k] for k in range(20)]) < found.high
    fewer = {c: {k: v for k, v in s.items() if k < 19} for c, s in scores.items()}
    assert estimate(compare("a", "b"), [replace(ranked, scores=fewer)]).scope == "these test images"
