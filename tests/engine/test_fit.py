"""The training loop: same bits when resumed, lengths that mean what they say, failures that are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from transferlab import specs
from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Place
from transferlab.engine.fit import Fitted, Hooks, evaluate, fit, learning_rate, loss_of, steps_of
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.specs import Augmentation, Epochs, Recipe, UntilFlat

CPU = Place("cpu", "fp32")
RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, length=specs.Examples(16 * 12), precision="fp32", lr=0.05)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def examples(n: int = 60, n_classes: int = 3, multi_label: bool = False) -> Examples:
    random = np.random.default_rng(0)
    labels = (np.arange(n) % n_classes).astype(np.int32)
    images = random.integers(0, 120, (n, 16, 16, 3)).astype(np.uint8)
    images += (labels * 60).astype(np.uint8)[:, None, None, None]
    if multi_label:
        labels = np.eye(n_classes, dtype=np.int8)[labels]
    half = np.full(3, 0.5, np.float32)
    return Examples(images, np.arange(n, dtype=np.int32), labels, n_classes, half, half / 2)


def equal(a: Fitted, b: Fitted) -> bool:
    left, right = ({**f.backbone.state_dict(), **f.head.state_dict()} for f in (a, b))
    return all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_resumed_training_ends_in_the_same_bits(optimiser: str, ema: float | None) -> None:
    rule = Augmentation(crop_px=2, flip=True, cutout_px=4, colour=0.2, scale=0.4)
    recipe = replace(RECIPE, optimiser=optimiser, ema=ema, lr=0.01, augmentation=rule)
    kept = []
    whole = fit(examples(), recipe, 3, CPU, hooks=Hooks(due=lambda step: step == 5, save=kept.append))
    resumed = fit(examples(), recipe, 3, CPU, hooks=Hooks(resume=kept[0]))
    assert equal(whole, resumed)


def test_equal_arguments_give_equal_bits_and_another_seed_does_not() -> None:
    first, again, other = (fit(examples(), RECIPE, seed, CPU) for seed in (1, 1, 2))
    assert equal(first, again)
    assert not equal(first, other)


def test_no_global_generator_is_touched() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    fit(examples(), RECIPE, 1, CPU)
    assert torch.equal(before, torch.get_rng_state())


def test_a_network_learns_what_is_easy() -> None:
    fitted = fit(examples(), replace(RECIPE, length=specs.Examples(16 * 40)), 0, CPU)
    _, accuracy = evaluate(fitted.backbone, fitted.head, examples(), CPU, 16)
    assert accuracy > 0.9


def test_multi_label_training_lowers_its_loss_and_ignores_what_is_not_scored() -> None:
    data = examples(multi_label=True)
    fitted = fit(data, replace(RECIPE, length=specs.Examples(16 * 40)), 0, CPU)
    _loss, accuracy = evaluate(fitted.backbone, fitted.head, data, CPU, 16)
    assert accuracy > 0.8
    scores = torch.randn(4, 3)
    labels = torch.tensor([[1, 0, -1], [0, 1, 1], [1, 1, 0], [0, 0, 0]])
    changed = scores.clone()
    changed[0, 2] += 100
    assert torch.equal(loss_of(scores, labels, 0.0), loss_of(changed, labels, 0.0))


def test_lengths_count_examples_or_passes() -> None:
    assert steps_of(replace(RECIPE, length=specs.Examples(160)), 1000) == 10
    assert steps_of(replace(RECIPE, length=Epochs(2)), 80) == 10
    assert fit(examples(7), replace(RECIPE, length=specs.Examples(32)), 0, CPU).n_seen == 32


def test_until_flat_stops_once_validation_no_longer_improves() -> None:
    length = UntilFlat(patience=2, check_every=32, max_examples=16 * 1000)
    recipe = replace(RECIPE, length=length, lr=0.0)
    fitted = fit(examples(), recipe, 0, CPU, validation=examples(30))
    assert fitted.n_seen < 16 * 1000
    losses = [check["loss"] for check in fitted.history]
    assert len(losses) - 1 - int(np.argmin(losses)) >= 2


def test_the_learning_rate_warms_up_peaks_and_ends_near_zero() -> None:
    for schedule in ("cosine", "one-cycle"):
        recipe = replace(RECIPE, schedule=schedule, warmup=0.2, lr=1.0)
        rates = [learning_rate(recipe, step, 100) for step in range(100)]
        assert int(np.argmax(rates)) in (19, 20)
        assert rates[0] < 0.1
        assert rates[-1] < 0.02
        assert max(rates) <= 1.0


def test_fine_tuning_starts_from_the_given_backbone() -> None:
    start = build("small:8", 16, 5)
    before = [p.detach().clone() for p in start.parameters()]
    fitted = fit(examples(), replace(RECIPE, optimiser="sgd", lr=0.0, weight_decay=0.0), 0, CPU, start=start)
    assert all(torch.equal(a, b) for a, b in zip(before, fitted.backbone.parameters(), strict=True))


def test_norms_and_biases_are_not_decayed() -> None:
    data, recipe = examples(), replace(RECIPE, optimiser="sgd")
    kept = []
    fit(data, replace(recipe, weight_decay=0.5), 0, CPU, hooks=Hooks(due=lambda step: step == 1, save=kept.append))
    free = []
    fit(data, replace(recipe, weight_decay=0.0), 0, CPU, hooks=Hooks(due=lambda step: step == 1, save=free.append))
    for name, value in kept[0].tensors.items():
        if name.startswith("network.") and value.is_floating_point() and "running" not in name:
            assert torch.equal(value, free[0].tensors[name]) == (value.ndim < 2), name
