"""Folds: every image is predicted once, by a fit that saw neither it nor an equal one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.specs import Augmentation, Pack, Recipe
from transferlab.transfer import logistic as logistic_room
from transferlab.transfer.folds import fold_of, in_folds, with_all_tested
from transferlab.transfer.measure import Workspace, measure, problems_of
from transferlab.transfer.probe import FINAL, fit_predict
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import knn, probe
from transferlab.transfer.targets import view

MakePack = Callable[..., Pack]
RECIPE = Recipe(backbone="small:8", image_px=16, batch=32, augmentation=Augmentation(2, flip=False), precision="fp32")


def with_copies(pack: Pack, n: int, seed: int) -> Pack:
    """The pack with n images replaced by other images of it, of any class."""
    random, images = np.random.default_rng(seed), np.array(pack.squares)
    images[random.choice(len(images), n, replace=False)] = images[random.choice(len(images), n)]
    return replace(pack, images=images)


def with_wrong_labels(pack: Pack) -> Pack:
    """A fifth of the labels is wrong, so that the penalty matters."""
    wrong = stream("wrong labels").random(len(pack.labels)) < 0.2
    return replace(pack, labels=np.where(wrong, (pack.labels * 5 + 1) % 6, pack.labels).astype(np.int32))


def folds(pack: Pack, n: int = 5) -> list[Problem]:
    torch.set_num_threads(1)
    network = Network(build("small:8", 16, 1), RECIPE, pack.mean, pack.std)
    target = with_all_tested(view(pack), 4)
    return list(problems_of(network, target, probe(folds=n), 0, Workspace(Place("cpu", "fp32"))))


@pytest.fixture
def noisy(make_pack: MakePack) -> Pack:
    return with_wrong_labels(make_pack((30,) * 6, n_test=30))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(4, 9), seed=st.integers(0, 9), copies=st.integers(0, 30))
def test_every_image_is_tested_once_by_a_fit_that_saw_neither_it_nor_an_equal_one(
    make_pack: MakePack, n: int, seed: int, copies: int
) -> None:
    pack = with_copies(make_pack((20, 9, 14, 8)), copies, seed)
    target = with_all_tested(view(pack), 4)
    parts = in_folds(target, n, seed)
    assert sorted(np.concatenate([part.test for part in parts]).tolist()) == list(range(len(pack.labels)))
    pixels = [image.tobytes() for image in pack.squares]
    for part in parts:
        seen = np.concatenate([part.train, part.val])
        assert sorted([*seen.tolist(), *part.test.tolist()]) == target.test.tolist()
        assert not {pixels[row] for row in seen} & {pixels[row] for row in part.test}
        assert len(part.train) and len(part.val)


@pytest.mark.parametrize("n", [4, 5, 10])
def test_every_class_and_all_images_are_spread_evenly(n: int, make_pack: MakePack) -> None:
    target = with_all_tested(view(make_pack((31, 12, 17, 22))), 5)
    fold, labels = fold_of(target, n, 0), target.pack.labels
    counts = np.array([np.bincount(fold[labels == label], minlength=n) for label in range(4)])
    assert (np.ptp(counts, axis=1) <= 1).all()
    assert np.ptp(counts.sum(0)) <= 1


def test_folds_follow_the_images_and_the_seed_and_not_their_order(make_pack: MakePack) -> None:
    pack = with_copies(make_pack(), 10, 0)
    target = with_all_tested(view(pack), 4)
    order = np.random.default_rng(0).permutation(len(pack.labels))
    other = replace(pack, images=pack.squares[order], labels=pack.labels[order], split=pack.split[order],
                    image_ids=pack.image_ids[order])  # fmt: skip
    fold = fold_of(target, 5, 3)
    assert (fold_of(with_all_tested(view(other), 5), 5, 3) == fold[order]).all()
    assert (fold_of(target, 5, 4) != fold).any()


def test_what_cannot_be_divided_is_refused(make_pack: MakePack) -> None:
    with pytest.raises(UserError, match="one label per image"):
        with_all_tested(view(make_pack(multi_label=True)), 5)
    pack = make_pack()
    images = np.array(pack.squares)
    images[pack.labels == 2] = 7
    with pytest.raises(UserError, match="fewer than 2 different images"):
        with_all_tested(view(replace(pack, images=images)), 5)
    with pytest.raises(UserError, match="shots and folds do not go together"):
        probe(shots=5, folds=5)
    with pytest.raises(UserError, match="a whole number from 4 to 20"):
        probe(folds=3)
    with pytest.raises(UserError, match="no setting 'folds'"):
        knn(folds=5)


def test_fewer_images_than_folds_are_refused(make_pack: Callable[..., Pack]) -> None:
    target = view(make_pack((4, 4)))
    n = len(target.train) + len(target.val) + len(target.test)
    with_all_tested(target, n)
    with pytest.raises(UserError, match=f"{n} different images cannot be divided into {n + 1} folds"):
        with_all_tested(target, n + 1)


def test_folds_predict_what_the_probe_of_each_alone_predicts(noisy: Pack) -> None:
    for problem in folds(noisy):
        together = fit_predict(problem)
        alone = fit_predict(replace(problem, settings={}, shared=None))
        assert together.chosen == alone.chosen
        torch.testing.assert_close(together.scores.exp(), alone.scores.exp(), atol=0.02, rtol=0)


def test_a_fold_is_predicted_as_by_scikit_learn_with_its_penalty(noisy: Pack) -> None:
    for problem in folds(noisy):
        found = fit_predict(problem)
        train, val, test = (problem.features(split).numpy().astype(np.float64) for split in ("train", "val", "test"))
        spread = np.maximum(train.std(0), 0.3 * np.median(train.std(0)[train.std(0) > 0]))
        both = (np.concatenate([train, val]) - train.mean(0)) / spread
        labels = torch.cat([problem.train_labels, problem.val_labels]).numpy()
        model = LogisticRegression(C=1 / (found.chosen["penalty"] * len(labels)), tol=1e-8, max_iter=20_000)
        with threadpool_limits(1, "blas"):  # more threads wait for each other: 13 s instead of 0.3 on busy cores
            expected = model.fit(both, labels).predict_proba((test - train.mean(0)) / spread)
        np.testing.assert_allclose(found.scores.exp(), expected, atol=0.03)


def test_a_warm_start_predicts_what_a_cold_one_does(noisy: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = folds(noisy)[0]
    warm = fit_predict(problem)
    fit = logistic_room.logistic

    def cold(*args: Any) -> torch.Tensor:
        return fit(*args[:3], FINAL, None)

    monkeypatch.setattr("transferlab.transfer.probe.logistic", cold)
    torch.testing.assert_close(warm.scores.exp(), fit_predict(problem).scores.exp(), atol=0.02, rtol=0)


def test_labels_of_a_fold_change_none_of_its_predictions(noisy: Pack) -> None:
    """Neither directly nor through the fits that it shares with other folds."""
    honest = folds(noisy)
    for number, problem in enumerate(honest):
        labels, rows = np.array(noisy.labels), problem.rows("test")
        labels[rows] = np.random.default_rng(number).permutation(labels[rows])

        def relabelled(labelled: Any, labels: np.ndarray = labels) -> Any:
            return replace(labelled, labels=labels[labelled.rows])

        shared: dict[bytes, Any] = {}
        others = [
            replace(each, shared=shared, data=replace(each.data, train=relabelled(each.data.train), val=relabelled(each.data.val)))
            for each in honest
        ]  # fmt: skip
        found = [fit_predict(each).scores for each in others]
        shared_honestly: dict[bytes, Any] = {}
        expected = [fit_predict(replace(each, shared=shared_honestly)).scores for each in honest]
        assert torch.equal(found[number], expected[number])
        assert any(not torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_one_measurement_has_every_image_once_and_computes_features_once(noisy: Pack) -> None:
    workspace, target = Workspace(Place("cpu", "fp32")), view(noisy)
    network = Network(build("small:8", 16, 1), RECIPE, noisy.mean, noisy.std)
    measured = measure(network, target, probe(folds=5), 0, workspace)
    right = measured.rows["right"]
    assert len(right) == len(noisy.labels)
    assert (right == (measured.rows["predicted"] == noisy.labels)).all()
    assert (measured.rows["true_score"][right] > np.log(1 / 6)).all()  # the most likely of six classes
    assert measured.metrics["top1"] == pytest.approx(right.mean())
    assert set(measured.chosen) == {f"penalty of fold {i}" for i in range(1, 6)}
    assert sum(len(features) for features in workspace.cache.values()) == len(noisy.labels)
    before = {key: features.clone() for key, features in workspace.cache.items()}
    plain = measure(network, target, probe(), 0, workspace)
    assert workspace.cache.keys() == before.keys()  # the plain probe uses the same features
    assert measure(network, target, probe(), 0, Workspace(Place("cpu", "fp32"))).metrics == plain.metrics


def test_folds_share_work_and_end_sooner(noisy: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    """In rows passed over, against the probe of each fold alone."""
    evaluate, passed = logistic_room.loss_and_gradient, list[int]()

    def counting(features: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> tuple[float, torch.Tensor]:
        passed.append(len(features))
        return evaluate(features, labels, weights)

    monkeypatch.setattr(logistic_room, "loss_and_gradient", counting)
    problems, costs = folds(noisy), list[int]()
    for alone in (False, True):
        passed.clear()
        for problem in problems:
            fit_predict(replace(problem, settings={}, shared=None) if alone else problem)
        costs.append(sum(passed))
    assert costs[0] < 0.7 * costs[1], costs
