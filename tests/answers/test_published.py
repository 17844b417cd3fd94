"""The paper's findings: what one's own studies say of each, on results whose answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from transferlab.answers.published import Finding, share
from transferlab.answers.study import Score, StudyAnswers
from transferlab.planned import NamedCondition
from transferlab.questions import findings
from transferlab.specs import TargetFacts

TARGETS = ("one", "two")
WOBBLE = (-0.002, 0.0, 0.001, 0.001)  # of the seeds, from condition to condition at another one


def study(name: str, sizes: Mapping[str, tuple[int, int]], scores: Mapping[tuple[str, str, str], float],
          targets: Sequence[str] = TARGETS, seeds: int = 4) -> StudyAnswers:  # fmt: skip
    """Conditions with (images, labels); scores by (condition, target, protocol), the same for each seed but for a wobble."""
    conditions = tuple(
        NamedCondition(c, None, False, n_images=images, n_labels=labels, effective_labels=labels / 2, largest_share=0.1)
        for c, (images, labels) in sizes.items()
    )
    floor = NamedCondition("random-features", None, True, is_floor=True)
    each = tuple(
        Score(condition, seed, target, protocol, "top1", value + WOBBLE[(seed + list(sizes).index(condition)) % 4], "key")
        for (condition, target, protocol), value in scores.items() if condition in sizes for seed in range(seeds)
    ) + tuple(
        Score("random-features", seed, target, protocol, "top1", value, "key")
        for (condition, target, protocol), value in scores.items() if condition not in sizes for seed in range(seeds)
    )  # fmt: skip
    facts = tuple(
        TargetFacts(
            t, t, t, "top1", has_boxes=(t, "detect") in {at[1:] for at in scores}, apart=t == "own", leads=t == "own"
        )
        for t in targets
    )
    return StudyAnswers(
        f"paper-{name}", "?", "photos", seeds, "", (*conditions, floor), facts, each, (), (), (), (), {}, (), ()
    )


def probed(means: Mapping[str, float]) -> dict[tuple[str, str, str], float]:
    """Scores on both targets, a little apart, with these means."""
    return {
        (c, t, "probe"): mean + shift
        for c, mean in means.items()
        for t, shift in zip(TARGETS, (-0.05, 0.05), strict=True)
    }


def only(*studies: StudyAnswers) -> Finding:
    (found,) = findings(studies)
    return found


@pytest.mark.parametrize(("own", "says"), [(0.40, "agrees"), (0.795, "disagrees"), (0.8 - 0.05 * 0.7, "cannot tell")])
def test_half_the_images_must_cost_the_targets_a_smaller_share_of_their_gain_than_the_source(
    own: float, says: str
) -> None:
    sizes = {"25": (50, 10), "250": (500, 10), "500": (1000, 10)}
    scores = probed({"25": 0.3, "250": 0.58, "500": 0.6, "random-features": 0.2})
    scores |= {("250", "source", "own head"): own, ("500", "source", "own head"): 0.8}
    found = only(study("images-per-class", sizes, scores))
    assert (found.name, found.says) == ("F1", says)
    assert found.value is not None
    assert found.value.value == pytest.approx((0.8 - own) / (0.8 - 1 / 10) - 0.02 / (0.6 - 0.2), abs=0.006)
    assert "from 1,000 to 500 images" in found.here


@pytest.mark.parametrize(("few", "says"), [(0.58, "agrees"), (0.4, "disagrees"), (0.5, "cannot tell")])
def test_few_labels_are_judged_by_the_gain_over_random_features(few: float, says: str) -> None:
    sizes = {"2 labels": (1000, 2), "13 labels": (1000, 13), "49 labels": (1000, 49), "100 classes": (1000, 100)}
    scores = probed({"2 labels": 0.25, "13 labels": few, "49 labels": 0.6, "100 classes": 0.6, "random-features": 0.2})
    found = only(study("class-count", sizes, scores))
    assert (found.name, found.says) == ("F2", says)
    assert "13 labels (6.5 effective) instead of 100" in found.here
    assert "no target" in found.here


def test_a_target_on_which_fewer_labels_are_better_is_named() -> None:
    sizes = {"13 labels": (1000, 13), "100 classes": (1000, 100)}
    scores = probed({"13 labels": 0.58, "100 classes": 0.6, "random-features": 0.2})
    scores["13 labels", "two", "probe"] = 0.7
    assert "significantly better on two" in only(study("class-count", sizes, scores)).here


@pytest.mark.parametrize(("coarse", "says"), [(0.4, "agrees"), (0.2, "disagrees"), (0.3, "cannot tell")])
def test_coarse_features_must_reach_most_of_what_fine_ones_gain_over_random_ones(coarse: float, says: str) -> None:
    sizes = {"13 labels": (1000, 13), "100 classes": (1000, 100)}
    told = {"13 labels": coarse, "100 classes": 0.5, "random-features": 0.1}
    scores = {**probed(dict.fromkeys(told, 0.5)), **{(c, "own", "induction by cut 2"): v for c, v in told.items()}}
    found = only(study("coarse-to-fine", sizes, scores, (*TARGETS, "own")))
    assert (found.name, found.says) == ("F3", says)


@pytest.mark.parametrize(("more", "says"), [(0.55, "agrees"), (0.65, "disagrees"), (0.6, "cannot tell")])
def test_all_budgets_together_decide_whether_fewer_classes_are_better(more: float, says: str) -> None:
    sizes = {"50 × 10": (500, 50), "100 × 5": (500, 100), "25 × 10": (250, 25), "100 × 2": (200, 100)}
    scores = probed({"50 × 10": 0.5, "100 × 5": more, "25 × 10": 0.7, "100 × 2": 0.6})
    found = only(study("classes-vs-images", sizes, scores))
    assert (found.name, found.says) == ("F4", says)
    assert "25 × 10 against 100 × 2 +10." in found.here


@pytest.mark.parametrize(("without", "says"), [(0.595, "agrees"), (0.58, "disagrees")])
def test_leaving_out_the_targets_classes_may_cost_a_point(without: float, says: str) -> None:
    sizes = {"without": (900, 90), "others": (900, 90), "all": (1000, 100)}
    found = only(study("exclude-target", sizes, probed({"without": without, "others": 0.6, "all": 0.6})))
    assert (found.name, found.says) == ("F5, classes", says)


def test_one_pair_without_a_gain_shows_that_more_data_can_fail() -> None:
    sizes = {"A": (500, 50), "B": (500, 50), "A+B": (1000, 100)}
    found = only(study("more-data", sizes, probed({"A": 0.5, "B": 0.605, "A+B": 0.6})))
    assert (found.name, found.says) == ("F5, more data", "agrees")
    assert "A+B against B, the least gain of 2" in found.here
    assert only(study("more-data", sizes, probed({"A": 0.5, "B": 0.55, "A+B": 0.6}))).says == "disagrees"


def test_the_least_gain_of_several_halves_is_judged_with_their_number() -> None:
    scores = {"A": 0.5, "B": 0.601, "C": 0.5, "D": 0.5, "A+B": 0.6}
    few, many = (
        only(study("more-data", {**dict.fromkeys(halves, (500, 50)), "A+B": (1000, 100)}, probed(scores))).value
        for halves in ("AB", "ABCD")
    )
    assert few is not None and many is not None and None not in (few.low, few.high, many.low, many.high)
    assert (many.high or 0) - (many.low or 0) > (few.high or 0) - (few.low or 0)


def test_two_seeds_cannot_tell_and_a_study_without_results_is_not_run() -> None:
    sizes = {"without": (900, 90), "others": (900, 90), "all": (1000, 100)}
    scores = probed({"without": 0.6, "others": 0.6, "all": 0.6})
    few = only(study("exclude-target", sizes, scores, seeds=2))
    assert few.says == "cannot tell"
    assert "no interval" in few.here
    empty = only(study("exclude-target", sizes, {}))
    assert (empty.says, empty.here) == ("cannot tell", "not run yet")


def test_studies_at_levels_of_ones_own_are_no_reproduction() -> None:
    sizes = {"without": (900, 90), "others": (900, 90), "all": (1000, 100)}
    own = study("exclude-target", sizes, {})
    assert findings([replace(own, name="exclude-target")]) == []


def test_targets_with_boxes_count_under_their_own_protocol() -> None:
    sizes = {"25": (50, 10), "250": (500, 10), "500": (1000, 10)}
    scores = {(c, t, p): v + (0.1 if p == "detect" else 0.0)
              for c, v in {"25": 0.3, "250": 0.5, "500": 0.6, "random-features": 0.2}.items()
              for t, p in (("one", "probe"), ("two", "detect"))}  # fmt: skip
    scores |= {("250", "source", "own head"): 0.4, ("500", "source", "own head"): 0.8}
    found = only(study("images-per-class", sizes, scores))
    assert found.value is not None
    assert found.value.value == pytest.approx(0.4 / 0.7 - 0.1 / 0.4, abs=0.006)


def test_where_pre_training_gains_nothing_no_share_can_be_lost() -> None:
    sizes = {"13 labels": (1000, 13), "100 classes": (1000, 100)}
    scores = probed({"13 labels": 0.58, "100 classes": 0.6, "random-features": 0.6})
    found = only(study("class-count", sizes, scores))
    assert (found.says, found.value) == ("cannot tell", None)
    assert "gains nothing" in found.here


def test_a_ratio_is_that_of_the_means_with_the_spread_of_the_delta_method() -> None:
    """Against a bootstrap of the ratio over 2,000 seeds, where both are as good as exact."""
    random = np.random.default_rng(0)
    gain = random.normal(0.2, 0.02, 2000)
    loss = 0.3 * gain + random.normal(0, 0.01, 2000)
    each = np.array(list(share(dict(enumerate(loss)), dict(enumerate(gain))).values()))
    again = [loss[i].mean() / gain[i].mean() for i in (random.integers(0, 2000, 2000) for _ in range(1000))]
    assert each.mean() == pytest.approx(loss.mean() / gain.mean())
    assert each.std() / 2000**0.5 == pytest.approx(float(np.std(again)), rel=0.1)
