"""Fine-tuning: the given network stays as it is, validation chooses the rate, all layers move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks, Progress, Snapshot
from transferlab.specs import Augmentation, Pack, Recipe
from transferlab.transfer import finetune
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import finetune as protocol
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
    finetune.fit_predict(problem)
    assert all(torch.equal(v, before[k]) for k, v in problem.network.backbone.state_dict().items())


def test_the_rate_with_the_lower_validation_loss_is_kept(problem: Problem) -> None:
    assert finetune.fit_predict(problem).chosen["lr"] in (0.05, 0.05 / finetune.LOWER)
    # Validation losses of 2.1 and, at a quarter of the rate, 0.06. At ten times these rates both trainings are lost, and which of
    # them ends lower depends on the processor.
    wild = replace(problem, settings={**problem.settings, "lr": 2.0})
    assert finetune.fit_predict(wild).chosen["lr"] == 2.0 / finetune.LOWER


def test_its_recipe_is_the_networks_own_with_plain_sgd_at_the_protocols_length(problem: Problem) -> None:
    recipe = finetune.recipe_of(problem, 0.05)
    assert (recipe.batch, recipe.augmentation, recipe.weight_decay) == (16, RECIPE.augmentation, RECIPE.weight_decay)
    assert (recipe.optimiser, recipe.label_smoothing, recipe.ema, recipe.length.n) == ("sgd", 0.0, None, 640)


def stopped(problem: Problem, save_at: int) -> Snapshot:
    """The snapshot of a fine-tuning that is stopped after this many steps of both trainings together."""
    kept: list[Snapshot] = []

    def save(taken: Snapshot) -> None:
        kept.append(taken)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        finetune.fit_predict(replace(problem, hooks=Hooks(due=lambda step: step == save_at, save=save)))
    return kept[0]


@pytest.mark.parametrize("save_at", [7, 59])
def test_stopped_at_either_rate_it_goes_on_to_the_same_bits(save_at: int, problem: Problem) -> None:
    taken, told = stopped(problem, save_at), list[Progress]()
    assert taken.step == save_at  # of 40 at each rate
    whole = finetune.fit_predict(problem)
    resumed = finetune.fit_predict(replace(problem, hooks=Hooks(progress=told.append, resume=taken)))
    assert whole.chosen == resumed.chosen
    assert whole.scores is not None and resumed.scores is not None
    assert torch.equal(whole.scores, resumed.scores)
    assert (told[0].step, told[-1].step, told[-1].n_steps) == (save_at + 1, 80, 80)


def test_resumed_at_the_second_rate_after_the_first_was_discarded_it_keeps_the_second(problem: Problem) -> None:
    alone = replace(stopped(problem, 59), history=())
    assert finetune.fit_predict(replace(problem, hooks=Hooks(resume=alone))).chosen == {"lr": 0.05 / finetune.LOWER}


def test_it_tells_how_far_both_trainings_together_are(problem: Problem) -> None:
    told: list[Progress] = []
    finetune.fit_predict(replace(problem, hooks=Hooks(progress=told.append)))
    steps = [at.step for at in told]
    assert steps == sorted(steps)
    assert set(steps) == set(range(1, 81))
    assert [steps.count(40), steps.count(80)] == [2, 3]  # validation and test tell that they go on
    assert all(at.n_steps == 80 and at.n_seen == 16 * at.step for at in told)
