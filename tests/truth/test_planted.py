"""A whole study on the toy world finds what the generator put there, with its sign; and nothing where nothing is.

Planted: an image shows its class among much nuisance, so more images help; its label says what is shown, so labels in
random order do harm. Not planted, since the generator makes them by luck alone: how two draws of one condition differ.
"""

from __future__ import annotations

import pytest

from transferlab import Examples, Recipe, Study, compare, designs
from transferlab.answers.estimate import MEAN
from transferlab.answers.study import StudyAnswers
from transferlab.report.gather import answers
from transferlab.runners import drive
from transferlab.runners.prepare import Request, prepare

STUDY = Study(
    source="toy",
    targets=["toy?task=unseen", "toy?task=attributes"],
    reference="all",
    conditions={
        "few": designs.images_per_class(5),
        "wrong labels": designs.shuffled(designs.all_images()),
        "all": designs.all_images(),
    },
    contrasts=[compare("all", "few"), compare("wrong labels", "all")],
    controls=["random-features", "a/a"],
    seeds=4,
    recipe=Recipe(backbone="small:8", image_px=32, length=Examples(12_000)),
)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> StudyAnswers:
    prepared = prepare(
        Request(STUDY, None, (), tmp_path_factory.mktemp("truth") / "lab", device="cpu"), lambda *_: None
    )
    assert drive.run(prepared.plan, prepared.store, prepared.machine, lambda _: None) == 0
    return answers(prepared.store, prepared.plan.identity)


@pytest.mark.parametrize(("condition", "verdict"), [("few", "better"), ("wrong labels", "worse")])
def test_a_planted_effect_is_found_with_its_sign(answered: StudyAnswers, condition: str, verdict: str) -> None:
    (found,) = [e for e in answered.estimates if e.target == MEAN and condition in e.contrast.weights]
    assert found.verdict.name == verdict
    assert (found.value > 0) == (verdict == "better")


def test_training_is_worth_more_than_random_features(answered: StudyAnswers) -> None:
    (gain,) = [e for e in answered.exploratory if e.target == MEAN]
    assert gain.verdict.name == "better"


def test_two_draws_of_one_condition_differ_by_little_beside_what_is_planted(answered: StudyAnswers) -> None:
    # That the pair raises a false alarm in at most 5 % of studies is test_coverage's; this one study may be among them.
    # At width 16 this seed was (+2.4 points on attributes, +1.1 to +3.8); over 40 seeds the pair differed by +0.1 (−0.5 to +0.8).
    (planted,) = [e for e in answered.estimates if e.target == MEAN and "few" in e.contrast.weights]
    for target in STUDY.targets:
        of = {(s.condition, s.seed): s.value for s in answered.scores if s.target == target.replace("?task=", " ")}
        twins = [of["all", seed] - of["a/a", seed] for seed in range(STUDY.seeds)]
        assert abs(sum(twins) / len(twins)) < planted.value / 3, target
