"""Training a detector: what is fixed stays, what is trained moves, and bits follow from seed and step alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks, Progress, Snapshot, TrainingFailed
from transferlab.specs import Pack, Protocol, Recipe
from transferlab.transfer.detect.detector import detector_of
from transferlab.transfer.detect.fcos import Fcos
from transferlab.transfer.detect.heads import HEADS, Detector
from transferlab.transfer.detect.scenes import scenes_of
from transferlab.transfer.detect.training import NORMS, Schedule, train
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import detect
from transferlab.transfer.targets import view

MakePack = Callable[..., Pack]
CPU = Place("cpu", "fp32")
SHORT = detect(examples=16, batch=4)


def problem_on(pack: Pack, protocol: Protocol = SHORT, place: Place = CPU) -> Problem:
    torch.set_num_threads(1)
    recipe = Recipe(backbone="small:8", image_px=16)
    return problem_of(
        Network(build("small:8", 16, 1), recipe, pack.mean, pack.std), view(pack), protocol, 0, Workspace(place)
    )


def trained(problem: Problem, hooks: Hooks | None = None, seed: int = 0) -> tuple[Detector, Schedule]:
    detector, schedule = detector_of(problem)
    scenes = scenes_of(problem.data, problem.data.train.rows, problem.network, problem.data.train.boxes)
    train(detector, scenes, schedule, seed, problem.place, hooks or Hooks())
    return detector, schedule


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in after.items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("head", HEADS)
def test_from_scratch_every_layer_is_trained_and_every_norms_averages_move(make_scenes: MakePack, head: str) -> None:
    problem = problem_on(make_scenes(), detect.from_scratch(detect(examples=16, batch=4, head=head)))
    before = {name: value.clone() for name, value in detector_of(problem)[0].state_dict().items()}
    detector, _ = trained(problem)
    assert moved(before, detector.state_dict()) == set(before)


@pytest.mark.parametrize("head", HEADS)
def test_random_features_keep_their_backbone_and_train_what_stands_around_it(make_scenes: MakePack, head: str) -> None:
    problem = problem_on(make_scenes(), detect.frozen(detect(examples=16, batch=4, head=head)))
    before = {name: value.clone() for name, value in detector_of(problem)[0].state_dict().items()}
    detector, _ = trained(problem)
    assert moved(before, detector.state_dict()) == {name for name in before if not name.startswith("maps.")}


def test_fixed_parts_stay_and_norms_keep_their_averages_where_a_study_says_so(make_scenes: MakePack) -> None:
    problem = problem_on(make_scenes(), detect(examples=16, batch=4, frozen=2, norms="frozen"))
    before = {name: value.clone() for name, value in detector_of(problem)[0].state_dict().items()}
    detector, schedule = trained(problem)
    still = set(before) - moved(before, detector.state_dict())
    of_norms = {f"{name}.{kept}" for name, layer in detector.named_modules() if isinstance(layer, NORMS)
                for kept in ("running_mean", "running_var", "num_batches_tracked")}  # fmt: skip
    assert schedule.frozen == 2
    assert still == of_norms | {name for name in before if name.startswith(("maps.parts.0.", "maps.parts.1."))}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_equal_seeds_give_equal_bits_whatever_the_global_generator_says(
    make_scenes: MakePack, precision: str, head: str
) -> None:
    protocol = detect(examples=16, batch=4, head=head)
    problem = problem_on(make_scenes(), protocol, Place("cpu", "bf16" if precision == "bf16" else "fp32"))
    first, _ = trained(problem)
    torch.manual_seed(99)
    again, _ = trained(problem)
    other, _ = trained(problem, seed=1)
    assert not moved(first.state_dict(), again.state_dict())
    assert moved(first.state_dict(), other.state_dict())


@pytest.mark.parametrize("head", HEADS)
def test_a_resumed_training_ends_in_the_same_bits(make_scenes: MakePack, head: str) -> None:
    problem = problem_on(make_scenes(), detect.from_scratch(detect(examples=16, batch=4, head=head)))
    kept: list[Snapshot] = []
    whole, _ = trained(problem, Hooks(due=lambda step: step == 2, save=kept.append))
    resumed, _ = trained(problem, Hooks(resume=kept[0]))
    assert kept[0].step == 2
    assert not moved(whole.state_dict(), resumed.state_dict())


def test_progress_is_told_after_every_step(make_scenes: MakePack) -> None:
    told: list[Progress] = []
    trained(problem_on(make_scenes()), Hooks(progress=told.append))
    assert [(at.step, at.n_seen) for at in told] == [(1, 4), (2, 8), (3, 12), (4, 16)]


def test_a_loss_that_is_not_finite_ends_the_cell(make_scenes: MakePack) -> None:
    problem = problem_on(make_scenes(), detect(examples=16, batch=4, head="fcos"))
    detector, schedule = detector_of(problem)
    with torch.no_grad():
        assert isinstance(detector, Fcos)
        detector.scores.bias.fill_(float("nan"))
    scenes = scenes_of(problem.data, problem.data.train.rows, problem.network, problem.data.train.boxes)
    with pytest.raises(TrainingFailed, match="learning rate"):
        train(detector, scenes, replace(schedule, n_steps=1), 0, CPU, Hooks())
