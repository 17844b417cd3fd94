"""Fine-tuning: the given network stays as it is, validation chooses the rate, all layers move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
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
