"""What an answer says first: whether pre-training helps, which level is enough, what there is to gain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from transferlab.answers.contrast import Results, best_against, estimates
from transferlab.answers.noise import Alike
from transferlab.answers.recommend import Help, helps, recommendations
from transferlab.answers.sentences import sentence
from transferlab.contrasts import compare, levels, resolve
from transferlab.planned import NamedCondition

NAMES = ("5", "10", "20", "40")
SPREAD = (-0.002, 0.0, 0.002)


def held(means: Mapping[str, float]) -> list[Results]:
    return [Results("leaves", "top1", {name: {k: mean + SPREAD[(k + i) % 3] for k in range(3)}
                                       for i, (name, mean) in enumerate(means.items())}, {})]  # fmt: skip


def advice(*means: float) -> list[str]:
    results = held(dict(zip(NAMES, means, strict=True)))
    found = estimates(resolve(levels(0.01), NAMES), results, (), Alike(NAMES))
    return recommendations(
        found, [NamedCondition(n, None, False, float(n), n_images=10 * int(n)) for n in NAMES], "images per class"
    )


def test_the_smallest_level_that_leaves_at_most_the_margin_is_enough() -> None:
    enough, whole = advice(0.4, 0.6, 0.6, 0.601)
    assert enough.startswith("10 images per class is enough on leaves: 40 brings at most 0.")
    assert enough.endswith("points, for 400 instead of 100 images.")
    assert whole.startswith("From 5 to 40 images per class the score changes by +20.1 points")
    assert "; each doubling brings +6.0 (" in whole


def test_a_level_between_that_fails_ends_the_search() -> None:
    assert advice(0.6, 0.5, 0.6, 0.6)[0].startswith("20 images per class is enough")


def test_the_largest_level_that_still_gains_is_told() -> None:
    assert advice(0.3, 0.4, 0.5, 0.6)[0].startswith(
        "Still rising at the largest level tried: 40 images per class gains 10.0 points"
    )


def test_what_is_open_is_bounded() -> None:
    results = [Results("leaves", "top1", {n: {k: 0.5 + x + (int(n) == 40) * 0.01 for k, x in enumerate(of)} for n, of in zip(
        NAMES, ((0, 0.02, -0.02), (0.02, -0.02, 0), (-0.02, 0.02, 0), (0, -0.02, 0.02)), strict=True)}, {})]  # fmt: skip
    found = estimates(resolve(levels(0.01), NAMES), results, (), Alike(NAMES))
    told = recommendations(found, [NamedCondition(n, None, False, float(n)) for n in NAMES], "images per class")[0]
    assert told.startswith("Not decided whether 20 images per class is enough on leaves: 40 brings +1.0 points (")
    assert "so a gain of more than" in told and "can be excluded; " in told


@pytest.mark.parametrize(
    ("b", "starts"),
    [
        (0.6, "Take b: it is 10.0 points ("),
        (0.4, "Take a: it is 10.0 points ("),
        (0.5, "Either will do: b and a differ by at most 0."),
    ],
)
def test_two_conditions_become_advice(b: float, starts: str) -> None:
    found = estimates([compare("b", "a")], held({"a": 0.5, "b": b}))
    assert recommendations(found, [NamedCondition(n, None, False) for n in "ab"])[0].startswith(starts)


def test_the_best_condition_is_compared_with_an_interval_that_allows_for_the_choice() -> None:
    results = held({"a": 0.5, "b": 0.6, "c": 0.55, "floor": 0.3})
    best = best_against("abc", "floor", results)
    alone = best_against("b", "floor", results)
    assert best is not None and alone is not None and best.contrast.weights == {"b": 1.0, "floor": -1.0}
    assert best.low is not None and alone.low is not None and best.low < alone.low
    told = helps([Help("probe", best)], 3, titles={"floor": "random features"})
    assert told is not None and told.startswith(
        "Pre-training helps: b against random features on leaves by probe, +30.0 points ("
    )


def test_what_each_control_says_is_told_by_itself() -> None:
    results = held({"a": 0.5, "floor": 0.3, "scratch": 0.7})
    found = [
        Help(by, e)
        for by, base in (("probe", "floor"), ("finetune", "scratch"))
        if (e := best_against("a", base, results))
    ]
    told = helps(found, 1) or ""
    assert told.startswith("Pre-training helps: a against floor on leaves by probe, +20.0 points (")
    assert "; Pre-training hurts: a against scratch on leaves by finetune, −20.0 points (" in told


def test_conditions_without_an_order_are_no_ladder() -> None:
    results = held({"photos": 0.6, "drawings": 0.5, "mix": 0.6})
    found = estimates([compare("mix", "photos"), compare("mix", "drawings")], results)
    told = recommendations(found, [NamedCondition(n, None, False) for n in ("photos", "drawings", "mix")])
    assert told[0].startswith("Either will do: mix and photos differ by at most") and len(told) == 1


def test_a_certain_gain_of_each_doubling_is_not_the_same_as_none() -> None:
    found = estimates(
        resolve(levels(0.01), NAMES), held({"5": 0.5, "10": 0.508, "20": 0.516, "40": 0.524}), (), Alike(NAMES)
    )
    trend = next(e for e in found if e.contrast.name == "each doubling")
    assert trend.contrast.margin == pytest.approx(0.01 / 3) and trend.verdict.name == "better"
    assert sentence(trend, "images").startswith(
        "Each doubling of the images changes the score on leaves by +0.8 points ("
    )


def test_levels_that_lie_close_together_have_no_trend() -> None:
    assert [c.name for c in resolve(levels(), ["10000", "10001", "10002"])] == [
        "10002 against 10000",
        "10002 against 10001",
    ]


def test_without_untrained_networks_or_contrasts_nothing_is_claimed() -> None:
    assert helps([], 3) is None
    assert recommendations([], []) == []


def test_the_weight_of_a_target_follows_from_its_test_images_alone() -> None:
    random = np.random.default_rng(0)
    results = [Results(name, "top1", {c: {k: float(random.random()) for k in range(3)} for c in "ab"}, {}, n_examples=n)
               for name, n in (("large", 4000), ("small", 250))]  # fmt: skip
    mean, large, small = estimates([compare("b", "a")], results)
    assert mean.value == pytest.approx(0.8 * large.value + 0.2 * small.value)
