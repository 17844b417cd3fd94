"""Dropout that a seed and a step decide: resumed, in cohorts, on networks of others; and who cannot be so decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import stochastic_depth

from transferlab import specs
from transferlab.definitions import Definition, Table
from transferlab.engine.backbones import BACKBONES, BackboneDefinition, build
from transferlab.engine.batches import Examples, Place
from transferlab.engine.cohort import fit_cohort
from transferlab.engine.drops import Dropout, exchange, give
from transferlab.engine.fit import Fitted, Hooks, Member, fit
from transferlab.engine.steps import STEPS, Replayed, Singly
from transferlab.errors import UserError
from transferlab.specs import Augmentation, Recipe

Bring = Callable[[Table[Any], Definition], None]
CPU = Place("cpu", "fp32")
RECIPE = Recipe(backbone="dropping", image_px=16, batch=8, length=specs.Examples(8 * 40), precision="fp32", lr=0.02,
                optimiser="sgd", augmentation=Augmentation(2, flip=False))  # fmt: skip


def dropping(detail: str, image_px: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), Dropout(0.2, whole=True), nn.Flatten(), Dropout(0.5))


@pytest.fixture(autouse=True)
def network(bring: Bring) -> None:
    torch.set_num_threads(1)
    bring(BACKBONES, BackboneDefinition(name="dropping", build=dropping))


@pytest.fixture(params=[Singly, Replayed])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, "cpu", request.param)


def examples() -> Examples:
    random, labels = np.random.default_rng(0), (np.arange(60) % 3).astype(np.int32)
    images = (
        random.integers(0, 120, (60, 16, 16, 3)).astype(np.uint8) + (labels * 60).astype(np.uint8)[:, None, None, None]
    )
    half = np.full(3, 0.5, np.float32)
    return Examples(images, np.arange(60, dtype=np.int32), labels, 3, half, half / 2)


def equal(a: object, b: object) -> bool:
    assert isinstance(a, Fitted) and isinstance(b, Fitted)
    left, right = ({**f.backbone.state_dict(), **f.head.state_dict()} for f in (a, b))
    return all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.usefixtures("steps")
def test_a_resumed_training_drops_what_it_would_have_dropped() -> None:
    kept = []
    whole = fit(examples(), RECIPE, 3, CPU, hooks=Hooks(due=lambda step: step == 32 and not kept, save=kept.append))
    torch.manual_seed(99)  # another process's global generator
    assert equal(whole, fit(examples(), RECIPE, 3, CPU, hooks=Hooks(resume=kept[0])))
    assert not equal(whole, fit(examples(), RECIPE, 4, CPU))


@pytest.mark.usefixtures("steps")
def test_networks_beside_each_other_drop_what_each_would_alone() -> None:
    together = dict(fit_cohort([Member(examples(), n) for n in range(3)], RECIPE, CPU))
    assert all(equal(together[n], fit(examples(), RECIPE, n, CPU)) for n in range(3))


def test_both_ways_of_taking_steps_drop_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    singly = fit(examples(), RECIPE, 3, CPU)
    monkeypatch.setitem(STEPS, "cpu", Replayed)
    replayed = fit(examples(), RECIPE, 3, CPU)
    for a, b in zip(singly.backbone.parameters(), replayed.backbone.parameters(), strict=True):
        torch.testing.assert_close(a, b)  # rates are float32 there


def test_no_global_generator_is_read_or_moved() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = fit(examples(), RECIPE, 1, CPU)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(8)
    assert equal(first, fit(examples(), RECIPE, 1, CPU))


@pytest.mark.parametrize("whole", [False, True])
def test_the_mean_is_kept_and_evaluation_drops_nothing(whole: bool) -> None:
    layer, inputs = Dropout(0.3, whole=whole), torch.ones(4000, 3, 2, 2)
    give(layer, torch.Generator().manual_seed(0))
    outputs = layer(inputs)
    assert outputs.mean() == pytest.approx(1.0, abs=0.05)
    per_example = outputs.flatten(1)
    assert (per_example == per_example[:, :1]).all().item() == whole
    assert (outputs == 0).float().mean() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(layer.eval()(inputs), inputs)


@pytest.mark.parametrize(
    "name", ["torchvision:squeezenet1_1", "torchvision:efficientnet_b0", "torchvision:convnext_tiny"]
)
def test_layers_of_others_are_exchanged(name: str) -> None:
    network = build(name, 32, 0).train()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    give(network, torch.Generator())
    network(torch.zeros(2, 3, 32, 32))
    assert torch.equal(before, torch.get_rng_state())


def test_layers_that_drop_nothing_stay() -> None:
    network = nn.Sequential(nn.Dropout(0.0), nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.1)))
    exchange(network)
    assert [type(layer) for layer in network] == [nn.Dropout, Dropout, nn.Sequential]
    assert isinstance(network[2][0], Dropout)


class Hidden(nn.Module):
    """Draws in a way that no exchange of layers can find."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return stochastic_depth(inputs, 0.5, "row", self.training)


def test_a_network_whose_drawing_cannot_be_set_back_is_refused(bring: Bring) -> None:
    bring(BACKBONES, BackboneDefinition(name="hidden", build=lambda *_: nn.Sequential(nn.Flatten(), Hidden())))
    with pytest.raises(UserError, match="a resumed training would differ"):
        build("hidden", 16, 0)


def test_the_rate_falls_to_a_tenth_after_each_two_ninths() -> None:
    from transferlab.engine.fit import learning_rate

    recipe = replace(RECIPE, schedule="steps", warmup=0.0, lr=0.01)
    rates = [learning_rate(recipe, step, 450) for step in (0, 99, 100, 199, 200, 299, 300, 399, 400, 449)]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6])
