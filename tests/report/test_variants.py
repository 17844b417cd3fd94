"""Studies that ask the same are told apart by what differs between them, and by their identity only where nothing does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from transferlab.answers.study import StudyAnswers
from transferlab.report.variants import differences, titles
from transferlab.specs import Augmentation, Epochs, Examples, Recipe, UntilFlat


def test_studies_of_different_questions_need_nothing(study: StudyAnswers) -> None:
    other = replace(study, question="Another question?")
    assert differences([study, other]) == ["", ""]
    assert titles([study, other]) == ["How many images?", "Another question?"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": "paintings"}, "source paintings"),
        ({"n_seeds": 3}, "3 seeds"),
        ({"n_seeds": 1}, "1 seed"),
        ({"protocols": ("probe", "knn")}, "measured by probe and knn"),
        ({"name": "other"}, "other"),
        ({"recipe": Recipe(backbone="small:8", image_px=16, length=Epochs(2.5))}, "2.5 passes"),
        ({"recipe": Recipe(backbone="small:64", image_px=16, length=Examples(320))}, "small:64 at 16 px"),
        ({"recipe": Recipe(backbone="small:8", image_px=16, length=Examples(320), lr=0.2)}, "learning rate 0.2"),
        ({"recipe": Recipe(backbone="small:8", image_px=16, length=Examples(320), weight_decay=0.1)}, "weight decay 0.1"),
        ({"recipe": Recipe("long", "small:8", 16, UntilFlat(2, 8, 9))}, "recipe long, until the validation loss stops falling"),
    ],
)  # fmt: skip
def test_what_differs_is_said_and_nothing_else(change: dict[str, object], told: str, study: StudyAnswers) -> None:
    assert differences([study, replace(study, identity="f" * 32, **change)])[1] == told  # type: ignore[arg-type]


def test_targets_and_controls_are_named_or_counted(study: StudyAnswers) -> None:
    many = [replace(study.targets[0], name=f"t{i}") for i in range(6)]
    bare = tuple(c for c in study.conditions if not c.is_control)
    first, second = differences([study, replace(study, targets=tuple(many), conditions=bare)])
    assert first == "target leaves, controls from scratch, random features, shuffled labels, A/A"
    assert second == "6 targets, no controls"


def test_the_identity_is_said_where_the_rest_is_equal(study: StudyAnswers) -> None:
    other = replace(study, identity="f" * 32, recipe=replace(study.recipe, augmentation=Augmentation(flip=False)))
    third = replace(study, identity="e" * 32, n_seeds=9)
    assert differences([study, other, third]) == [
        f"5 seeds, study {study.identity[:8]}", "5 seeds, study ffffffff", "9 seeds",
    ]  # fmt: skip
