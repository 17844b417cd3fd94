"""Laws over every protocol: permuted labels give chance, the test is read last, the seed fixes the result, progress is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks, Progress
from transferlab.specs import TEST, Augmentation, Pack, Protocol, Recipe
from transferlab.transfer.measure import Measured, Workspace, measure, problem_of
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import PROTOCOLS, finetune, induction, knn, probe, refit
from transferlab.transfer.targets import view

MakePack = Callable[..., Pack]
RECIPE = Recipe(backbone="small:8", image_px=16, batch=32, augmentation=Augmentation(2, flip=False), precision="fp32")
KINDS = {"probe": probe(), "knn": knn(), "finetune": finetune(examples=800), "refit": refit(),
         "induction": induction(cut=1)}  # fmt: skip


def problem(pack: Pack, protocol: Protocol, seed: int = 0) -> Problem:
    torch.set_num_threads(1)
    network = Network(build("small:8", 16, 1), RECIPE, pack.mean, pack.std)
    return problem_of(network, view(pack), protocol, seed, Workspace(Place("cpu", "fp32")))


def measured(pack: Pack, protocol: Protocol, seed: int = 0) -> Measured:
    network = Network(build("small:8", 16, 1), RECIPE, pack.mean, pack.std)
    torch.set_num_threads(1)
    return measure(network, view(pack), protocol, seed, Workspace(Place("cpu", "fp32")))


def test_every_protocol_is_under_these_laws() -> None:
    """``"detect"`` is under the same ones in tests/transfer/detect/test_protocol.py, on images with boxes."""
    assert {*KINDS, "detect"} == set(PROTOCOLS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_can_be_learnt_and_permuted_labels_give_chance(kind: str, make_pack: MakePack) -> None:
    pack = make_pack((30,) * 6, n_test=40)
    assert measured(pack, KINDS[kind]).metrics["top1"] > 0.45
    rows = np.flatnonzero(pack.split != TEST)
    # Images of a class are alike. A network whose layers all move guesses the same for all of them: six independent guesses a
    # permutation, where the others make about one for each of the 240 images.
    n_permutations, n_guesses = (10, 6) if kind == "finetune" else (1, 240)
    accuracies: list[float] = []
    for number in range(n_permutations):
        labels = pack.labels.copy()
        labels[rows] = labels[np.random.default_rng(number).permutation(rows)]
        accuracies.append(measured(replace(pack, labels=labels), KINDS[kind]).metrics["top1"])
    tolerance = 4 * np.sqrt(1 / 6 * 5 / 6 / (n_guesses * n_permutations)) + 0.03
    assert abs(np.mean(accuracies) - 1 / 6) < tolerance < 0.45 - 1 / 6


@pytest.mark.parametrize("kind", KINDS)
def test_test_labels_change_no_prediction(kind: str, make_pack: MakePack) -> None:
    pack = make_pack((12,) * 4)
    labels = pack.labels.copy()
    rows = np.flatnonzero(pack.split == TEST)
    labels[rows] = labels[np.random.default_rng(1).permutation(rows)]
    honest, other = (problem(p, KINDS[kind]) for p in (pack, replace(pack, labels=labels)))
    assert torch.equal(PROTOCOLS[kind].run(honest).scores, PROTOCOLS[kind].run(other).scores)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_result(kind: str, make_pack: MakePack) -> None:
    pack = make_pack((12,) * 4)
    first, again = (measured(pack, replace(KINDS[kind], shots=6), 5) for _ in range(2))
    assert first.metrics == again.metrics
    assert (first.rows["right"] == again.rows["right"]).all()


@pytest.mark.parametrize("held", [True, False], ids=["in memory", "in passes"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_tells_how_far_it_is_so_that_it_is_not_taken_as_hung(
    kind: str, held: bool, make_pack: MakePack, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not held:
        monkeypatch.setattr("transferlab.transfer.problem.HELD_BYTES", 0)
        monkeypatch.setattr("transferlab.transfer.refit.STEPS", 4)
    told: list[Progress] = []
    given = replace(problem(make_pack((12,) * 4), KINDS[kind]), hooks=Hooks(progress=told.append))
    PROTOCOLS[kind].run(given)
    assert len(told) > 2
    assert all(0 <= at.step <= at.n_steps for at in told)


@pytest.mark.parametrize("kind", ["probe", "finetune"])
def test_multi_label_targets_are_scored_by_average_precision(kind: str, make_pack: MakePack) -> None:
    found = measured(make_pack((20,) * 4, multi_label=True), KINDS[kind])
    assert 0.4 < found.metrics["mean average precision"] <= 1
    assert found.rows["scores"].shape == found.rows["labels"].shape


@pytest.mark.parametrize("kind", KINDS)
def test_one_shot_works_without_validation(kind: str, make_pack: MakePack) -> None:
    assert 0 <= measured(make_pack(), replace(KINDS[kind], shots=1)).metrics["top1"] <= 1
