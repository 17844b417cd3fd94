"""The protocol ``detect``: it finds what can be found, reads no test box, leaves its network alone, and is repeatable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.errors import UserError
from transferlab.specs import TEST, Boxes, Pack, Protocol, Recipe
from transferlab.transfer.detect.detector import fit_predict
from transferlab.transfer.detect.heads import HEADS
from transferlab.transfer.measure import Measured, Workspace, measure, problem_of
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import detect
from transferlab.transfer.targets import view

MakePack = Callable[..., Pack]
SHORT = detect(examples=32, batch=8)


def problem_on(pack: Pack, protocol: Protocol = SHORT, seed: int = 0) -> Problem:
    torch.set_num_threads(1)
    recipe = Recipe(backbone="small:8", image_px=16)
    network = Network(build("small:8", 16, 1), recipe, pack.mean, pack.std)
    return problem_of(network, view(pack), protocol, seed, Workspace(Place("cpu", "fp32")))


def measured(pack: Pack, protocol: Protocol = SHORT, seed: int = 0) -> Measured:
    network = problem_on(pack).network
    return measure(network, view(pack), protocol, seed, Workspace(Place("cpu", "fp32")))


def with_boxes(pack: Pack, **changes: Any) -> Pack:
    assert pack.boxes is not None
    return replace(pack, boxes=replace(pack.boxes, **changes))


def of_split(boxes: Boxes, pack: Pack, split: int) -> np.ndarray:
    """Places of the boxes of a split."""
    return np.flatnonzero(np.repeat(pack.split == split, np.diff(boxes.first)))


@pytest.mark.parametrize("head", HEADS)
def test_it_finds_what_can_be_found_and_nothing_under_permuted_labels(make_scenes: MakePack, head: str) -> None:
    pack = make_scenes((40, 8, 24))
    protocol = detect(examples=480, lr=2e-3, head=head)
    found = measured(pack, protocol).metrics["mAP"]
    assert pack.boxes is not None
    labels = pack.boxes.labels.copy()
    rows = np.concatenate([of_split(pack.boxes, pack, split) for split in (0, 1)])
    labels[rows] = np.random.default_rng(0).permutation(labels[rows])
    lost = measured(with_boxes(pack, labels=labels), protocol).metrics["mAP"]
    assert found > 0.8, (found, lost)
    # a class is guessed among three: boxes are right, precision is about a third at every recall
    assert lost < 0.55, (found, lost)


def test_test_boxes_change_no_detection(make_scenes: MakePack) -> None:
    pack = make_scenes()
    assert pack.boxes is not None
    rows = of_split(pack.boxes, pack, TEST)
    boxes, labels = pack.boxes.boxes.copy(), pack.boxes.labels.copy()
    boxes[rows] = boxes[rows[::-1]]
    labels[rows] = labels[rows[::-1]]
    honest, other = (fit_predict(problem_on(p)).found for p in (pack, with_boxes(pack, boxes=boxes, labels=labels)))
    assert np.array_equal(honest.box, other.box)
    assert np.array_equal(honest.score, other.score)


def test_the_network_that_it_starts_from_is_left_as_it_was(make_scenes: MakePack) -> None:
    problem = problem_on(make_scenes())
    before = {k: v.clone() for k, v in problem.network.backbone.state_dict().items()}
    fit_predict(problem)
    assert all(torch.equal(v, before[k]) for k, v in problem.network.backbone.state_dict().items())
    assert all(weights.requires_grad for weights in problem.network.backbone.parameters())


def test_the_same_seed_gives_the_same_result_and_another_one_another(make_scenes: MakePack) -> None:
    pack = make_scenes()
    first, again, other = (measured(pack, seed=seed) for seed in (5, 5, 6))
    assert first.metrics == again.metrics
    assert all(np.array_equal(first.rows[name], again.rows[name]) for name in first.rows)
    assert not np.array_equal(first.rows["score"], other.rows["score"])


def test_detections_are_in_pixels_of_the_originals_and_at_most_100_an_image(make_scenes: MakePack) -> None:
    pack = make_scenes()
    found = fit_predict(problem_on(pack)).found
    assert pack.boxes is not None
    sizes = pack.boxes.original_sizes[pack.rows(TEST)][found.image]
    assert (found.box[:, 2] <= sizes[:, 1] + 1e-3).all()
    assert (found.box[:, 3] <= sizes[:, 0] + 1e-3).all()
    assert found.box[:, 2].max() > 48  # the stored images' side: originals are twice as large
    assert np.bincount(found.image).max() <= 100
    assert [a.dtype for a in (found.image, found.label, found.score, found.box)] == [
        np.int32,
        np.int32,
        np.float32,
        np.float32,
    ]


def test_the_record_says_what_was_trained(make_scenes: MakePack) -> None:
    pack = make_scenes()
    facts = [fit_predict(problem_on(pack, detect(examples=8, frozen=n))).chosen for n in (0, "all")]
    assert facts[0]["maps"] == 3
    assert facts[0]["finest stride"] == 4
    assert facts[0]["examples seen"] == 8
    backbone = sum(weights.numel() for weights in build("small:8", 16, 1).parameters())
    assert facts[0]["weights trained"] - facts[1]["weights trained"] == backbone


def test_a_target_whose_every_object_is_ignored_is_refused(make_scenes: MakePack) -> None:
    pack = make_scenes()
    assert pack.boxes is not None
    with pytest.raises(UserError, match="no object can be learnt"):
        fit_predict(problem_on(with_boxes(pack, ignored=np.ones(len(pack.boxes.labels), bool))))


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"examples": 0}, "examples"), ({"lr": 0.0}, "lr"), ({"batch": True}, "batch"), ({"frozen": -1}, "frozen"),
        ({"frozen": "some"}, "frozen"), ({"norms": "kept"}, "norms"), ({"head": "yolo"}, "faster-rcnn"),
        ({"exampels": 10}, "exampels"), ({"examples": 10.5}, "examples"),
    ],
)  # fmt: skip
def test_impossible_knobs_are_told_with_what_is_possible(knobs: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as mistake:
        detect(**knobs)
    assert told in str(mistake.value)


def test_shots_are_refused() -> None:
    with pytest.raises(UserError, match="shots"):
        detect(shots=5)
