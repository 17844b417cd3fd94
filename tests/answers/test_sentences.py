"""Sentences: each verdict in words, and a chain of steps in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transferlab.answers.estimate import Estimate
from transferlab.answers.points import points
from transferlab.answers.sentences import sentence, sides, summary
from transferlab.answers.verdicts import VERDICTS
from transferlab.contrasts import compare
from transferlab.specs import Contrast


def estimate(
    verdict: str, value: float, low: float | None, high: float | None, pair: tuple[str, str] = ("20", "10"),
    n_seeds: int = 5, p_holm: float | None = None, more: int | None = None,
) -> Estimate:  # fmt: skip
    return Estimate(compare(*pair, margin=0.01), "leaves", "top1", value, low, high, "images like these", n_seeds, 0,
                    "t", VERDICTS[verdict], 0.01, p_holm, more, n_family=7)  # fmt: skip


def chain(*verdicts: str, low: float | None = 0.0) -> list[Estimate]:
    """Steps 20 against 10, 40 against 20, …"""
    levels = ["10", "20", "40", "80", "160"]
    return [estimate(v, 0.0, low, low, (levels[i + 1], levels[i])) for i, v in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (estimate("better", 0.034, 0.012, 0.056),
         "20 is better than 10 on leaves, by 3.4 points (95 % interval +1.2 to +5.6, 5 seeds)."),
        (estimate("worse", -0.034, -0.056, -0.012),
         "20 is worse than 10 on leaves, by 3.4 points (95 % interval −5.6 to −1.2, 5 seeds)."),
        (estimate("the same within the margin", 0.001, -0.004, 0.006),
         "20 is the same as 10 on leaves, within 1.0 points: +0.1 (95 % interval −0.4 to +0.6, 5 seeds)."),
        (estimate("cannot tell", 0.01, -0.02, 0.04, more=1),
         "20 against 10 on leaves: cannot tell, +1.0 points (95 % interval −2.0 to +4.0, 5 seeds); 1 more seed "
         "would decide with a probability of 80 %."),
        (estimate("cannot tell", 0.01, -0.02, 0.04, more=12),
         "20 against 10 on leaves: cannot tell, +1.0 points (95 % interval −2.0 to +4.0, 5 seeds); 12 more seeds "
         "would decide with a probability of 80 %."),
        (estimate("cannot tell", 0.0001, -0.02, 0.02),
         "20 against 10 on leaves: cannot tell, 0.0 points (95 % interval −2.0 to +2.0, 5 seeds); more seeds alone are "
         "unlikely to decide."),
        (estimate("cannot tell", 0.01, 0.001, 0.019, p_holm=0.21),
         "20 against 10 on leaves: cannot tell, +1.0 points (95 % interval +0.1 to +1.9, 5 seeds); significant on its "
         "own, but not after Holm's adjustment for 7 comparisons (p 0.21); more seeds alone are unlikely to decide."),
        (estimate("cannot tell", 0.01, None, None, n_seeds=1),
         "20 against 10 on leaves: +1.0 points with 1 seed; an interval needs at least three seeds."),
        (estimate("cannot tell", float("nan"), None, None, n_seeds=0),
         "20 against 10 on leaves: no seed has results for all of these yet."),
    ],
)  # fmt: skip
def test_every_verdict_has_its_sentence(told: Estimate, expected: str) -> None:
    assert sentence(told) == expected


def test_a_unit_follows_a_number_and_no_other_name() -> None:
    assert sides(compare("20", "10"), "images") == ("20 images", "10")
    assert sides(compare("0.5", "0.25"), "shares") == ("0.5 shares", "0.25")
    assert sides(compare("all", "10"), "images") == ("all", "10")
    several = Contrast("interaction", {"a": 1.0, "b": -1.0, "c": -1.0, "d": 1.0, "e": 0.0})
    assert sides(several) == ("a and d", "b and c")


def test_a_control_is_called_by_its_title() -> None:
    told = sentence(
        estimate("better", 0.03, 0.01, 0.05, ("20", "random-features")),
        "images",
        {"random-features": "random features"},
    )
    assert told.startswith("20 images is better than random features on leaves")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("better", "better"), "In short: more images help up to 40."),
        (("better", "the same within the margin"),
         "In short: more images help up to 20; beyond 20, no step changes the score by more than 1.0 points."),
        (("better", "cannot tell"), "In short: more images help up to 20; whether more than 20 help is not clear yet."),
        (("cannot tell", "cannot tell"), "In short: no step from 10 on helps significantly."),
        (("the same within the margin",) * 2,
         "In short: no step from 10 on helps significantly; beyond 10, no step changes the score by more than 1.0 points."),
        (("better", "worse"), "In short: more images help up to 20; 40 is worse than the level before."),
        (("cannot tell", "better"), "In short: more images help up to 40."),
    ],
)  # fmt: skip
def test_a_chain_of_steps_is_told_in_one_sentence(verdicts: Sequence[str], expected: str) -> None:
    assert summary(chain(*verdicts), "images") == expected


def test_a_summary_can_be_opened_by_what_it_is_about() -> None:
    assert summary(chain("better", "better"), opening="On leaves") == "On leaves: more help up to 40."


def test_an_end_of_the_chain_without_results_is_left_out_of_the_summary() -> None:
    told = summary(
        [*chain("better", "better"), estimate("cannot tell", float("nan"), None, None, ("80", "40"), n_seeds=0)]
    )
    assert told == "In short: more help up to 40."


def test_falling_levels_and_words_have_no_summary() -> None:
    for levels in (("80", "40", "20"), ("plain", "textured", "scrambled")):
        pairs = [(levels[1], levels[0]), (levels[2], levels[1])]
        assert summary([estimate("worse", -0.05, -0.06, -0.04, pair) for pair in pairs]) is None


def test_other_contrasts_have_no_summary() -> None:
    assert summary([]) is None
    assert summary(chain("better")) is None
    apart = [estimate("better", 0.1, 0.0, 0.2, ("b", "a")), estimate("better", 0.1, 0.0, 0.2, ("d", "c"))]
    assert summary(apart) is None


def test_under_three_seeds_the_summary_tells_nothing() -> None:
    assert summary(chain("cannot tell", "cannot tell", low=None)) == "In short: an answer needs at least three seeds."


def test_a_chain_with_a_step_that_is_not_done_claims_nothing_about_it() -> None:
    steps = chain("better", "better", "better")
    undone = estimate("cannot tell", float("nan"), None, None, ("160", "80"), n_seeds=0)
    told = summary([*steps, undone])
    assert told is None or "160" not in told


@given(st.lists(st.sampled_from(list(VERDICTS)), min_size=2, max_size=4))
def test_a_summary_names_the_last_step_that_helps(verdicts: list[str]) -> None:
    told = summary(chain(*verdicts)) or ""
    levels = ["10", "20", "40", "80", "160"]
    helps = [levels[i + 1] for i, v in enumerate(verdicts) if v == "better"]
    assert (f"help up to {helps[-1]}" in told) if helps else ("no step from 10 on helps significantly" in told)
    assert told.count(".") - told.count("1.0 points") == 1


@given(st.floats(-1, 1))
def test_points_have_one_digit_and_a_true_minus(value: float) -> None:
    text = points(value, signed=True)
    assert "-" not in text
    assert text == "0.0" or text[0] in "+−"
    assert abs(float(text.replace("−", "-")) - 100 * value) <= 0.05 + 1e-9
