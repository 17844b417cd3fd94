"""Fine-tuning: the given network stays as it is, a probe comes first, all layers move, a resumed training ends in equal bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks, Progress, Snapshot, TrainingFailed
from transferlab.errors import UserError
from transferlab.specs import Augmentation, Examples, Pack, Recipe, TargetFacts
from transferlab.transfer import finetune
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.probe import fit_predict as fit_probe
from transferlab.transfer.probe import last_layer
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import finetune as protocol
from transferlab.transfer.protocols.finetune import LEAST, MOST, examples_of
from transferlab.transfer.targets import view

RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, augmentation=Augmentation(2, flip=False), precision="fp32",
                optimiser="adamw", label_smoothing=0.3, ema=0.9)  # fmt: skip


@pytest.fixture
def problem(make_pack: Callable[..., Pack]) -> Problem:
    torch.set_num_threads(1)
    pack = make_pack((12,) * 4)
    network = Network(build("small:8", 16, 1), RECIPE, pack.mean, pack.std)
    return problem_of(network, view(pack), protocol(examples=640, lr=0.05), 0, Workspace(Place("cpu", "fp32")))


def test_the_network_that_it_starts_from_is_left_as_it_was(problem: Problem) -> None:
    before = {k: v.clone() for k, v in problem.network.backbone.state_dict().items()}
    finetune.fit_predict(problem, 640)
    assert all(torch.equal(v, before[k]) for k, v in problem.network.backbone.state_dict().items())


def test_it_begins_with_the_probe(problem: Problem) -> None:
    """After one step at next to no rate, what it predicts is what a linear probe on the frozen features predicts."""
    still = finetune.fit_predict(replace(problem, settings={**problem.settings, "lr": 1e-9}), 16).scores
    layer = last_layer(problem)
    assert still is not None and layer is not None
    features = problem.features("test")
    expected = torch.log_softmax(layer(features), 1).detach()
    assert (still.argmax(1) == expected.argmax(1)).float().mean() > 0.9  # one step moves the norms' statistics
    unlike = finetune.fit_predict(replace(problem, settings={**problem.settings, "lr": 1e-9, "head": "random"}), 16)
    assert unlike.scores is not None
    assert (unlike.scores - expected).abs().mean() > 3 * (still - expected).abs().mean()


def test_the_layer_that_it_begins_with_predicts_what_the_probe_predicts(problem: Problem) -> None:
    layer, scores = last_layer(problem), fit_probe(problem).scores
    assert layer is not None and scores is not None
    ours = torch.log_softmax(layer(problem.features("test")), 1).detach()
    assert torch.equal(ours.argmax(1), scores.argmax(1))
    assert (ours.exp() - scores.exp()).abs().max() < 0.1  # it is fitted more roughly


def test_a_rate_without_a_finite_loss_is_lowered_and_at_the_lowest_the_cell_fails(problem: Problem) -> None:
    at = lambda lr: replace(problem, settings={**problem.settings, "lr": lr, "head": "random"})  # noqa: E731
    with pytest.raises(TrainingFailed, match="lower the learning rate"):
        finetune.fit_predict(at(1e30), 640)
    low = finetune.fit_predict(at(0.05), 640)
    assert low.chosen["lr"] == 0.05


def test_it_sees_validation_images_too(problem: Problem) -> None:
    """A class that has images in validation alone is learnt."""
    train = problem.data.train
    few = replace(train, rows=train.rows[train.labels > 0], labels=train.labels[train.labels > 0])
    found = finetune.fit_predict(replace(problem, data=replace(problem.data, train=few)), 640)
    assert found.scores is not None
    assert 2 < int((found.scores.argmax(1) == 0).sum()) < 12  # 6 of the 24 test images are of this class


def test_its_recipe_is_the_networks_own_with_plain_sgd_at_the_protocols_length(problem: Problem) -> None:
    recipe = finetune.recipe_of(problem, 0.05, 640)
    assert (recipe.batch, recipe.augmentation, recipe.weight_decay) == (16, RECIPE.augmentation, RECIPE.weight_decay)
    assert (recipe.optimiser, recipe.label_smoothing, recipe.ema, recipe.length) == ("sgd", 0.0, None, Examples(640))


def stopped(problem: Problem, save_at: int) -> Snapshot:
    """The snapshot of a fine-tuning that is stopped after this many steps."""
    kept: list[Snapshot] = []

    def save(taken: Snapshot) -> None:
        kept.append(taken)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        finetune.fit_predict(replace(problem, hooks=Hooks(due=lambda step: step == save_at, save=save)), 640)
    return kept[0]


@pytest.mark.parametrize("save_at", [1, 39])
def test_stopped_anywhere_it_goes_on_to_the_same_bits(save_at: int, problem: Problem) -> None:
    taken = stopped(problem, save_at)
    assert taken.step == save_at
    whole = finetune.fit_predict(problem, 640)
    said: list[Progress] = []
    resumed = finetune.fit_predict(replace(problem, hooks=Hooks(progress=said.append, resume=taken)), 640)
    assert whole.chosen == resumed.chosen
    assert whole.scores is not None and resumed.scores is not None
    assert torch.equal(whole.scores, resumed.scores)
    trained = [at.step for at in said if at.n_steps == 40]
    assert (trained[0], trained[-1]) == (save_at + 1, 40)


def test_stopped_after_a_rate_was_lost_it_goes_on_at_the_next_one(problem: Problem) -> None:
    taken = replace(stopped(problem, 5), history=({"lost": 1.0},))
    assert finetune.fit_predict(replace(problem, hooks=Hooks(resume=taken)), 640).chosen["lr"] == pytest.approx(
        0.05 / 3
    )
    again: list[Snapshot] = []
    hooks = Hooks(resume=taken, due=lambda step: step == 9, save=again.append)
    finetune.fit_predict(replace(problem, hooks=hooks), 640)
    assert len(again[0].history) == 1


def test_a_snapshot_that_does_not_fit_is_told_and_the_training_begins_anew(problem: Problem) -> None:
    why: list[str] = []
    other = replace(stopped(problem, 9), tensors={})
    said: list[Progress] = []
    hooks = Hooks(progress=said.append, resume=other, discard=why.append)
    finetune.fit_predict(replace(problem, hooks=hooks), 640)
    assert len(why) == 1
    assert next(at.step for at in said if at.n_steps == 40) == 1


def test_it_tells_how_far_it_is(problem: Problem) -> None:
    said: list[Progress] = []
    finetune.fit_predict(replace(problem, hooks=Hooks(progress=said.append)), 640)
    trained = [at for at in said if at.n_steps == 40]
    assert [at.step for at in trained] == [*range(1, 41), 40]  # the pass over the test images tells that it goes on
    assert all(at.n_seen == 16 * at.step for at in trained)


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


def test_a_target_of_4000_images_costs_at_most_15_percent_of_a_pre_training() -> None:
    target = TargetFacts("t", "0", "t", n_train=3200, n_val=800, n_test=1000)
    assert protocol.cost is not None
    assert 0.1 < protocol.cost(protocol.settings({}), target, Recipe()) / 250_000 < 0.15


def test_its_stated_cost_is_what_it_does(problem: Problem) -> None:
    data, cost = problem.data, protocol.cost
    facts = TargetFacts("t", "0", "t", n_train=len(data.train.rows), n_val=len(data.val.rows), n_test=len(data.test))
    assert cost is not None
    passes = facts.n_train + facts.n_val + facts.n_test
    assert cost(problem.settings, facts, RECIPE) == pytest.approx(protocol.run(problem).chosen["examples"] + passes / 3)
