"""Induction against a search through all distances, and what is told under coarse labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.errors import UserError
from transferlab.specs import Augmentation, Pack, Protocol, Recipe
from transferlab.transfer import induction as room
from transferlab.transfer import problem as problem_room
from transferlab.transfer.measure import Workspace, measure, problem_of
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import induction
from transferlab.transfer.superclasses import under_labels
from transferlab.transfer.targets import Target, view

RECIPE = Recipe(backbone="small:8", image_px=16, batch=32, augmentation=Augmentation(2, flip=False), precision="fp32")


@pytest.fixture
def target(make_pack: Callable[..., Pack]) -> Target:
    return view(make_pack((12, 9, 15, 7, 12), n_test=8))


@pytest.fixture
def problem(target: Target) -> Problem:
    torch.set_num_threads(1)
    network = Network(build("small:8", 16, 1), RECIPE, target.pack.mean, target.pack.std)
    return problem_of(network, target, induction(cut=1), 0, Workspace(Place("cpu", "fp32")))


def test_classes_and_coarse_labels_are_those_of_the_nearest_image(problem: Problem, target: Target) -> None:
    """scikit-learn searches all images, then those of the true coarse label, then under the coarse labels."""
    labels, of = target.pack.labels, target.pack.taxonomy.cut(1).of_leaf
    gallery = np.concatenate([problem.features("train").numpy(), problem.features("val").numpy()])
    known, wanted = labels[np.concatenate([target.train, target.val])], labels[target.test]
    queries = problem.features("test").numpy()

    def nearest(rows: np.ndarray, of_rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return KNeighborsClassifier(1, algorithm="brute", metric="cosine").fit(gallery[rows], of_rows).predict(asked)

    every = np.arange(len(known))
    measured = measure(problem.network, target, problem.protocol, 0, Workspace(problem.place))
    assert (measured.rows["right"] == (nearest(every, known, queries) == wanted)).all()
    assert (measured.rows["right superclass"] == (nearest(every, of[known], queries) == of[wanted])).all()
    within = np.zeros(len(wanted), bool)
    for label in np.unique(of):
        rows, asked = np.flatnonzero(of[known] == label), of[wanted] == label
        within[asked] = nearest(rows, known[rows], queries[asked]) == wanted[asked]
    assert (measured.rows["right within"] == within).all()
    assert measured.metrics["top1 within the superclass"] == pytest.approx(within.mean())
    assert measured.metrics["top1"] <= measured.metrics["top1 within the superclass"]
    assert measured.rows["right in five"].all()  # of five classes


def test_blocks_and_recomputed_features_change_nothing(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = room.fit_predict(problem).scores
    monkeypatch.setattr(room, "BLOCK", 7)
    monkeypatch.setattr(room, "QUERIES", 11)
    torch.testing.assert_close(room.fit_predict(problem).scores, whole)
    monkeypatch.setattr(problem_room, "HELD_BYTES", 0)
    streamed = replace(problem, cache={})
    torch.testing.assert_close(room.fit_predict(streamed).scores, whole)
    assert streamed.cache == {}


def test_a_class_without_images_is_never_nearest(problem: Problem, target: Target) -> None:
    labels = target.pack.labels
    rest = {name: rows[labels[rows] != 2] for name, rows in vars(target).items() if name in ("train", "val")}
    found = room.fit_predict(replace(problem, data=replace(target, **rest).data))
    assert (found.scores[:, 2] == -1).all()


def test_the_rule_of_coarse_labels_is_part_of_the_protocol(problem: Problem) -> None:
    of = problem.data.taxonomy
    merged = room.fit_predict(replace(problem, settings={"merge": 1}))
    assert (merged.notes["label of class"] == of.merge_up(1).of_leaf).all()
    assert [induction.label(induction(cut=6)), induction.label(induction(merge=1, shots=5))] == [
        "induction by cut 6",
        "induction by merge 1 at 5 shots",
    ]


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        (induction(cut=9), "depths are from 0 to 2"),
        (induction(merge=3), "passes are from 1 to 2"),
        (Protocol("induction"), r"induction\(cut=DEPTH\)"),
        (Protocol("induction", knobs={"cut": 1.5}), "choose a whole number from 0 up"),
        (Protocol("induction", knobs={"depth": 1}), "no setting 'depth'"),
    ],
)
def test_coarse_labels_that_do_not_exist_are_told(protocol: Protocol, told: str, problem: Problem) -> None:
    with pytest.raises(UserError, match=told):
        room.fit_predict(replace(problem, settings=induction.settings(protocol.knobs)))


@pytest.mark.parametrize("knobs", [{}, {"cut": 1, "merge": 1}])
def test_one_rule_is_asked_for(knobs: dict[str, int], problem: Problem) -> None:
    with pytest.raises(UserError, match="one rule"):
        room.fit_predict(replace(problem, settings=knobs))


def test_labels_of_one_class_are_left_out_of_what_is_told_within() -> None:
    scores = np.array([[0.9, 0.8, 0.1], [0.7, 0.2, 0.9], [0.1, 0.2, 0.9], [0.3, 0.8, 0.1]], np.float32)
    metrics, rows = under_labels(scores, np.array([1, 0, 2, 1], np.int32), np.array([0, 0, 1], np.int32))
    assert rows["right within"].tolist() == [0, 1, -1, 1]
    assert rows["right superclass"].tolist() == [True, False, True, True]
    assert metrics["top1 within the superclass"] == pytest.approx(2 / 3)
    assert metrics["guessing within the superclass"] == pytest.approx(1 / 2)
    assert metrics["superclass mean accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    alone, told = under_labels(scores, np.array([1, 0, 2, 1], np.int32), np.arange(3, dtype=np.int32))
    assert (told["right within"] == -1).all()
    assert "top1 within the superclass" not in alone
