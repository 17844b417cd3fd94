"""Fine-tuning: the given network stays as it is, rates race on validation, all layers move, a resumed course ends in equal bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks, Progress, Snapshot, TrainingFailed
from transferlab.errors import UserError
from transferlab.specs import Augmentation, Examples, Pack, Recipe, TargetFacts
from transferlab.transfer import finetune
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import finetune as protocol
from transferlab.transfer.races import LEAST, MOST, examples_of, races_of, rates_of
from transferlab.transfer.targets import view

RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, augmentation=Augmentation(2, flip=False), precision="fp32",
                optimiser="adamw", label_smoothing=0.3, ema=0.9)  # fmt: skip


@pytest.fixture
def problem(make_pack: Callable[..., Pack]) -> Problem:
    torch.set_num_threads(1)
    pack = make_pack((12,) * 4)
    network = Network(build("small:8", 16, 1), RECIPE, pack.mean, pack.std)
    return problem_of(network, view(pack), protocol(examples=640, lr=0.05), 0, Workspace(Place("cpu", "fp32")))


@pytest.fixture
def long(problem: Problem) -> Problem:
    """Races of 48 steps at four rates and of 50 steps at two, and a last training of 100 steps."""
    return replace(problem, settings={**problem.settings, "examples": 1600})


def test_the_network_that_it_starts_from_is_left_as_it_was(problem: Problem) -> None:
    before = {k: v.clone() for k, v in problem.network.backbone.state_dict().items()}
    finetune.fit_predict(problem)
    assert all(torch.equal(v, before[k]) for k, v in problem.network.backbone.state_dict().items())


def test_rates_race_and_the_one_with_the_lowest_validation_loss_trains_on(problem: Problem) -> None:
    assert finetune.fit_predict(problem).chosen["lr"] in rates_of(problem.settings)
    wild = replace(
        problem, settings={**problem.settings, "lr": 2.0}
    )  # the lowest of its rates still learns, the others do not
    assert finetune.fit_predict(wild).chosen["lr"] == min(rates_of(wild.settings))


def test_the_last_training_sees_validation_images_too(problem: Problem) -> None:
    """A class that has images in validation alone is learnt."""
    train = problem.data.train
    few = replace(train, rows=train.rows[train.labels > 0], labels=train.labels[train.labels > 0])
    found = finetune.fit_predict(replace(problem, data=replace(problem.data, train=few)))
    assert found.scores is not None
    assert 2 < int((found.scores.argmax(1) == 0).sum()) < 12  # 6 of the 24 test images are of this class


def test_its_recipe_is_the_networks_own_with_plain_sgd_at_the_protocols_length(problem: Problem) -> None:
    recipe = finetune.recipe_of(problem, 0.05, 640)
    assert (recipe.batch, recipe.augmentation, recipe.weight_decay) == (16, RECIPE.augmentation, RECIPE.weight_decay)
    assert (recipe.optimiser, recipe.label_smoothing, recipe.ema, recipe.length) == ("sgd", 0.0, None, Examples(640))


def told(problem: Problem, **hooks: Any) -> list[Progress]:
    """What a fine-tuning tells."""
    said: list[Progress] = []
    finetune.fit_predict(replace(problem, hooks=Hooks(progress=said.append, **hooks)))
    return said


def stopped(problem: Problem, save_at: int) -> Snapshot:
    """The snapshot of a fine-tuning that is stopped after this many steps of all its trainings together."""
    kept: list[Snapshot] = []

    def save(taken: Snapshot) -> None:
        kept.append(taken)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        finetune.fit_predict(replace(problem, hooks=Hooks(due=lambda step: step == save_at, save=save)))
    return kept[0]


@pytest.mark.parametrize("save_at", [3, 97, 240, 293, 391])
def test_stopped_in_any_race_or_in_the_last_training_it_goes_on_to_the_same_bits(save_at: int, long: Problem) -> None:
    taken = stopped(long, save_at)
    assert taken.step == save_at
    whole = finetune.fit_predict(long)
    said: list[Progress] = []
    resumed = finetune.fit_predict(replace(long, hooks=Hooks(progress=said.append, resume=taken)))
    assert whole.chosen == resumed.chosen
    assert whole.scores is not None and resumed.scores is not None
    assert torch.equal(whole.scores, resumed.scores)
    assert (said[0].step, said[-1].step, said[-1].n_steps) == (save_at + 1, 392, 392)


def test_a_snapshot_that_does_not_fit_costs_the_training_it_is_of(long: Problem) -> None:
    why: list[str] = []
    other = replace(stopped(long, 293), tensors={})
    said = told(long, resume=other, discard=why.append)
    assert len(why) == 1
    assert (said[0].step, said[-1].step) == (293, 392)


def test_rates_without_a_finite_loss_lose_and_if_all_do_the_cell_fails(long: Problem) -> None:
    settings = {**long.settings, "lr": 1e30}
    with pytest.raises(TrainingFailed, match="lower the learning rate"):
        finetune.fit_predict(replace(long, settings=settings))
    lost = replace(stopped(long, 293), history=tuple({"loss": loss} for loss in [*[np.inf] * 5, 1.0]))
    assert finetune.fit_predict(replace(long, hooks=Hooks(resume=lost))).chosen["examples"] == 1600


def test_it_tells_how_far_all_its_trainings_together_are(long: Problem) -> None:
    said = told(long)
    steps = [at.step for at in said]
    assert steps == sorted(steps)
    assert set(steps) == set(range(1, 393))
    ends = [48, 96, 144, 192, 242, 292, 392]
    assert [step for step in set(steps) if steps.count(step) > 1] == ends  # validation and test tell that they go on
    assert all(at.n_steps == 392 and at.n_seen == 16 * at.step for at in said)


def test_its_length_follows_from_the_number_of_images_unless_the_study_sets_it() -> None:
    def length(n_images: int, **settings: float) -> int:
        return examples_of(protocol.settings(settings), n_images)

    assert protocol.together is not None
    assert [length(n) for n in (1, 10**9)] == [LEAST, MOST]
    grown = [length(n) for n in (50, 280, 1000, 4000, 20_000)]
    assert grown == sorted(grown)
    passes = [n_examples / n for n_examples, n in zip(grown, (50, 280, 1000, 4000, 20_000), strict=True)]
    assert passes == sorted(passes, reverse=True)
    assert length(1000, times=2.0) == pytest.approx(2 * length(1000), abs=1)
    assert length(1000, examples=77) == 77
    with pytest.raises(UserError, match="give one of them"):
        protocol.together(protocol.settings({"examples": 77, "times": 2.0}))


def test_the_races_see_more_and_more_examples_but_never_more_than_half_of_the_last_training() -> None:
    for n_examples in (1, 100, 1600, 6000, 60_000, 10**7):
        rounds = races_of(n_examples, 10)
        assert [n_rates for n_rates, _ in rounds] == sorted({n_rates for n_rates, _ in rounds}, reverse=True)
        seen = [n_seen for _, n_seen in rounds]
        assert seen == sorted(set(seen))
        assert 1 <= seen[-1] <= max(1, n_examples / 2)
    assert races_of(6000, 0) == []


def test_a_target_of_4000_images_costs_at_most_15_percent_of_a_pre_training_races_included() -> None:
    target = TargetFacts("t", "0", "t", n_train=3200, n_val=800, n_test=1000)
    assert protocol.cost is not None
    assert 0.1 < protocol.cost(protocol.settings({}), target, Recipe()) / 250_000 < 0.15


def test_its_stated_cost_is_what_it_does(problem: Problem) -> None:
    data, cost = problem.data, protocol.cost
    facts = TargetFacts("t", "0", "t", n_train=len(data.train.rows), n_val=len(data.val.rows), n_test=len(data.test))
    assert cost is not None
    passes = 4 * facts.n_val + facts.n_test  # a length of 640 leaves one round of races
    assert cost(problem.settings, facts, RECIPE) == pytest.approx(told(problem)[-1].n_seen + passes / 3)
