"""Logistic regression against scikit-learn's: weights, objective, likelihood, under strong and weak penalties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from transferlab.engine.fit import loss_of
from transferlab.transfer.logistic import End, Rows, descent, floored, logistic, metric_of, scores_of

Array = NDArray[np.float32]
FINAL = 1e-6


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def fitted(features: Array, labels: NDArray[np.int64], n_classes: int, penalty: float, tolerance: float = FINAL,
           *, rough: bool = False) -> torch.Tensor:  # fmt: skip
    x = torch.from_numpy(features)
    rows = Rows(x, torch.from_numpy(labels), n_classes, x.bfloat16() if rough else None)
    return logistic(rows, penalty, metric_of(x, n_classes), End(tolerance))


def objective(weights: torch.Tensor, features: Array, labels: NDArray[np.int64], penalty: float) -> float:
    exact = weights.double()
    loss = loss_of(scores_of(torch.from_numpy(features).double(), exact), torch.from_numpy(labels), 0.0)
    return float(loss + 0.5 * penalty * exact[:-1].square().sum())


def digits() -> tuple[Array, NDArray[np.int64]]:
    features, labels = load_digits(return_X_y=True)
    return ((features - features.mean(0)) / (features.std(0) + 1e-6)).astype(np.float32), labels.astype(np.int64)


def clouds(n: int, n_features: int, n_classes: int) -> tuple[Array, NDArray[np.int64]]:
    """Overlapping classes with correlated features, some directions a hundred times wider than others.

    With fewer rows than features they can be told apart without error, and the optimum lies near 0.
    """
    random = np.random.default_rng(5)
    mix = random.normal(size=(n_features, n_features)) * np.geomspace(1, 0.01, n_features)[:, None]
    labels = random.permutation(np.arange(n) % n_classes)
    centres = random.normal(size=(n_classes, n_features)) * 0.5
    features = (random.normal(size=(n, n_features)) + centres[labels]) @ mix
    return ((features - features.mean(0)) / features.std(0)).astype(np.float32), labels


def scikit_learns(
    features: Array, labels: NDArray[np.int64], penalty: float
) -> tuple[LogisticRegression, torch.Tensor]:
    model = LogisticRegression(C=1 / (penalty * len(features)), tol=1e-9, max_iter=20_000)
    with threadpool_limits(1, "blas"):  # more threads wait for each other
        model.fit(features.astype(np.float64), labels)
    return model, torch.from_numpy(np.concatenate([model.coef_.T, model.intercept_[None]]))


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("penalty", [1e-4, 1e-3, 1e-2, 1.0])
def test_probabilities_and_accuracy_equal_scikit_learns_at_the_same_penalty(penalty: float, rough: bool) -> None:
    features, labels = digits()
    train, test = features[:1200], features[1200:]
    model, _ = scikit_learns(train, labels[:1200], penalty)
    weights = fitted(train, labels[:1200], 10, penalty, rough=rough)
    ours = scores_of(torch.from_numpy(test), weights).softmax(1).numpy()
    assert abs((ours.argmax(1) == labels[1200:]).mean() - model.score(test, labels[1200:])) <= 0.002
    if penalty >= 1e-3:  # weaker ones leave directions in which the loss is nearly flat
        assert np.abs(ours - model.predict_proba(test)).max() < 0.02


@pytest.mark.parametrize("shape", [(1500, 40, 12), (60, 150, 6)], ids=["many rows", "fewer rows than features"])
@pytest.mark.parametrize("penalty", [1e-5, 1e-3, 1e-1])
def test_the_objective_ends_within_its_tolerance_of_the_optimum(penalty: float, shape: tuple[int, int, int]) -> None:
    features, labels = clouds(*shape)
    best = objective(scikit_learns(features, labels, penalty)[1], features, labels, penalty)
    for tolerance, excess in ((1e-4, 3e-3), (FINAL, 3e-5)):
        found = objective(fitted(features, labels, shape[2], penalty, tolerance), features, labels, penalty)
        assert best * (1 - 1e-6) <= found <= best * (1 + excess) + 1e-4  # nats: 0.01 % in a probability


def test_beginning_in_bf16_ends_at_the_same_optimum() -> None:
    features, labels = clouds(1500, 40, 12)
    plain, quick = (fitted(features, labels, 12, 1e-3, rough=rough) for rough in (False, True))
    assert objective(quick, features, labels, 1e-3) == pytest.approx(objective(plain, features, labels, 1e-3), rel=2e-5)


def test_a_start_elsewhere_changes_the_way_and_not_the_end() -> None:
    features, labels = clouds(1500, 40, 12)
    x = torch.from_numpy(features)
    rows, metric = Rows(x, torch.from_numpy(labels), 12), metric_of(x, 12)
    cold = logistic(rows, 1e-2, metric, End(FINAL))
    far = logistic(
        rows, 1e-2, metric, End(FINAL), start=torch.randn(41, 12, generator=torch.Generator().manual_seed(1))
    )
    ends = [objective(weights, features, labels, 1e-2) for weights in (cold, far)]
    assert ends[0] == pytest.approx(ends[1], rel=2e-5)
    again = logistic(rows, 1e-2, metric, End(FINAL), start=cold)
    assert objective(again, features, labels, 1e-2) <= ends[0] * (1 + 1e-6)


def test_weights_on_the_way_come_nearer_to_the_end_and_going_on_later_changes_nothing() -> None:
    features, labels = clouds(1500, 40, 12)
    x = torch.from_numpy(features)
    rows, metric = Rows(x, torch.from_numpy(labels), 12), metric_of(x, 12)
    going = descent(rows, 1e-3, metric, End(FINAL))
    first = next(going)
    list(descent(rows, 1e-2, metric, End(FINAL)))  # another fit in between
    *_, last = going
    assert torch.equal(last, logistic(rows, 1e-3, metric, End(FINAL)))
    assert objective(last, features, labels, 1e-3) < objective(first, features, labels, 1e-3)


def test_several_labels_an_image_are_one_regression_a_class_over_its_scored_rows() -> None:
    random = np.random.default_rng(2)
    features = random.normal(size=(400, 8)).astype(np.float32)
    labels = ((features @ random.normal(size=(8, 3)) + random.normal(size=(400, 3))) > 0).astype(np.int8)
    labels[random.random((400, 3)) < 0.2] = -1
    x = torch.from_numpy(features)
    penalty = 1e-2
    weights = logistic(Rows(x, torch.from_numpy(labels), 3), penalty, metric_of(x, 3), End(1e-8))
    for c in range(3):
        scored = labels[:, c] >= 0  # the loss is a mean over all scored entries, of all classes
        model = LogisticRegression(C=1 / (penalty * (labels >= 0).sum()), tol=1e-9, max_iter=5000)
        model.fit(features[scored].astype(np.float64), labels[scored, c])
        np.testing.assert_allclose(weights[:-1, c], model.coef_[0], atol=3e-3)
        np.testing.assert_allclose(weights[-1, c], model.intercept_[0], atol=3e-3)


def test_a_stronger_penalty_shrinks_the_weights_and_spares_the_bias() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 5)).astype(np.float32)
    labels = (random.random(200) < 0.2).astype(np.int64)
    weak, strong = (fitted(features, labels, 2, p) for p in (1e-4, 1e3))
    assert strong[:-1].norm() < 0.05 * weak[:-1].norm()
    share = strong[-1].softmax(0)[1]
    assert float(share) == pytest.approx(float(labels.mean()), abs=0.01)


def test_features_that_never_vary_are_of_no_consequence() -> None:
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(300, 20)).astype(np.float32), random.integers(0, 4, 300)
    dead = np.concatenate([features, np.zeros((300, 200), np.float32)], 1)
    plain, padded = (fitted(f, labels, 4, 1e-2) for f in (features, dead))
    torch.testing.assert_close(padded[[*range(20), -1]], plain, atol=1e-3, rtol=1e-2)
    assert not padded[20:-1].any()


def test_features_that_are_copies_of_each_other_share_the_weight() -> None:
    features, labels = clouds(600, 10, 4)
    twice = np.concatenate([features, features], 1)
    once, copied = fitted(features, labels, 4, 2e-2, 1e-8), fitted(twice, labels, 4, 4e-2, 1e-8)
    torch.testing.assert_close(copied[:10], copied[10:20], atol=1e-4, rtol=1e-2)
    torch.testing.assert_close(copied[:10] + copied[10:20], once[:10], atol=1e-3, rtol=1e-2)


def test_a_covariance_that_rounding_makes_indefinite_still_has_a_metric() -> None:
    random = np.random.default_rng(0)
    features = (random.normal(size=(40, 3)) @ random.normal(size=(3, 1024))).astype(np.float32) * 3
    labels = random.integers(0, 2, 40)
    assert np.linalg.eigvalsh(metric_of(torch.from_numpy(features), 2).covariance.numpy())[0] / 2 < -1e-5
    ours = fitted(features, labels, 2, 1e-5)
    theirs = LogisticRegression(C=1 / (1e-5 * 40), tol=1e-9, max_iter=5000).fit(features.astype(np.float64), labels)
    both = [*theirs.decision_function(features)], (ours[:-1, 1] - ours[:-1, 0]).numpy() @ features.T
    assert np.corrcoef(*both)[0, 1] > 0.99


def test_a_feature_that_hardly_lives_is_not_blown_up_and_dead_ones_set_no_standard() -> None:
    spread = torch.tensor([0.0, 1e-9, 0.01, 1.0, 2.0, 3.0])
    assert floored(spread).tolist() == pytest.approx([0.45, 0.45, 0.45, 1.0, 2.0, 3.0])  # 0.3 of the median of four
    assert floored(torch.zeros(3)).tolist() == [1.0, 1.0, 1.0]
