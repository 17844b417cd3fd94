"""Figures: the same bytes for the same numbers, any name drawn as it is, numbers in words beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from transferlab.answers.estimate import Estimate
from transferlab.answers.study import StudyAnswers
from transferlab.outcomes.store import Store
from transferlab.report.figures import describe, forest_figure, guessing, scores_figure
from transferlab.specs import Contrast

MakeStore = Callable[..., Store]


def words(svg: str) -> str:
    """All text of a figure; that it parses shows that names are escaped."""
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_equal_numbers_give_equal_bytes(study: StudyAnswers) -> None:
    assert scores_figure(study, study.targets[0], "probe") == scores_figure(study, study.targets[0], "probe")
    assert forest_figure(study.estimates) == forest_figure(study.estimates)
    assert "<dc:date>" not in forest_figure(study.estimates)


def test_controls_and_guessing_are_named_beside_their_lines(study: StudyAnswers) -> None:
    told = words(scores_figure(study, study.targets[0], "probe"))
    for name in (
        "from scratch",
        "random features",
        "shuffled labels",
        "A/A",
        "guessing",
        "images per class",
        "top1, %",
    ):
        assert name in told


def test_words_hold_the_numbers(study: StudyAnswers) -> None:
    assert describe(study, study.targets[0], "probe") == (
        "leaves, top1 in percent, mean over seeds: 10 50.8; 20 60.8; from scratch 40.8; random features 30.8; "
        "shuffled labels 20.8; A/A 60.8; guessing 50.0 %."
    )
    gone = replace(study.targets[0], chance=None)
    assert describe(study, gone, "probe").endswith("guessing unknown.")
    assert "guessing" not in words(scores_figure(study, gone, "probe"))
    assert guessing(0.125) == "12.5 %"


def test_any_name_is_drawn_as_it_is(study: StudyAnswers, hostile: str) -> None:
    target = replace(study.targets[0], name=hostile)
    renamed = {"10": hostile}
    odd = replace(
        study, unit=hostile, targets=(target,),
        conditions=tuple(replace(c, name=renamed.get(c.name, c.name)) for c in study.conditions),
        scores=tuple(replace(s, target=hostile, condition=renamed.get(s.condition, s.condition)) for s in study.scores),
    )  # fmt: skip
    told = words(scores_figure(odd, target, "probe"))
    visible = "".join(c if c.isprintable() else "�" for c in hostile)
    assert (visible if len(visible) <= 22 else visible[:21] + "…") in told
    assert not any(ord(c) < 32 and c not in "\n\t" for c in told)
    e = study.estimates[0]
    odd_estimate = replace(e, target=hostile, contrast=Contrast(hostile, e.contrast.weights, 0.01))
    assert (visible if len(visible) <= 40 else visible[:39] + "…") in words(forest_figure([odd_estimate]))


def test_missing_scores_and_missing_contrasts_are_left_out(study: StudyAnswers) -> None:
    none = replace(study, scores=())
    assert "top1" in words(scores_figure(none, study.targets[0], "probe"))
    some = replace(study, scores=tuple(s for s in study.scores if (s.condition, s.seed) != ("10", 1)))
    assert scores_figure(some, study.targets[0], "probe") != scores_figure(study, study.targets[0], "probe")
    absent = replace(study.estimates[0], value=float("nan"), low=None, high=None, n_seeds=0)
    assert "20 against 10" in words(forest_figure([absent]))
    assert words(forest_figure([]))


def test_names_that_have_no_room_side_by_side_stand_aslant(study: StudyAnswers) -> None:
    def drawn(*names: str) -> str:
        conditions = tuple(replace(study.conditions[0], name=name, factor=None) for name in names)
        return scores_figure(replace(study, conditions=conditions, scores=()), study.targets[0], "probe")

    long = ("without PASCAL's classes", "without as many others", "all classes")
    assert drawn(*long).count("rotate(-30") == 3
    assert "rotate(-30" not in drawn("18 coarse", "18 fine")


def test_a_large_study_can_be_drawn(study: StudyAnswers) -> None:
    names = [f"a condition with a long name, number {i}" for i in range(12)]
    many = replace(study, conditions=tuple(replace(study.conditions[0], name=n, factor=None) for n in names), scores=())
    assert words(scores_figure(many, study.targets[0], "probe")).count("a condition with a lo…") == 12
    values = np.linspace(-0.3, 0.3, 40)
    estimates: list[Estimate] = [replace(study.estimates[0], value=v, low=v - 0.1, high=v + 0.1) for v in values]
    assert words(forest_figure(estimates)).count("20 against 10") == 40
