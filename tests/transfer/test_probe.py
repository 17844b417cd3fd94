"""The probe against scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from transferlab.transfer.probe import logistic


def with_bias(features: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([features, np.ones((len(features), 1), np.float32)], 1))


@pytest.mark.parametrize("penalty", [1e-4, 1e-3, 1e-2, 1.0])
def test_weights_and_accuracy_equal_scikit_learns_at_the_same_penalty(penalty: float) -> None:
    torch.set_num_threads(1)
    features, labels = load_digits(return_X_y=True)
    features = ((features - features.mean(0)) / (features.std(0) + 1e-6)).astype(np.float32)
    train, test = features[:1200], features[1200:]
    model = LogisticRegression(C=1 / (penalty * len(train)), tol=1e-8, max_iter=5000).fit(train, labels[:1200])
    weights = logistic(torch.from_numpy(train), torch.from_numpy(labels[:1200]), 10, penalty)
    ours = (with_bias(test) @ weights).log_softmax(1).numpy()
    assert abs((ours.argmax(1) == labels[1200:]).mean() - model.score(test, labels[1200:])) <= 0.002
    if penalty >= 1e-3:  # weaker ones leave directions in which the loss is flat to float32
        assert np.abs(np.exp(ours) - model.predict_proba(test)).max() < 0.02


def test_a_stronger_penalty_shrinks_the_weights_and_spares_the_bias() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    features = torch.from_numpy(random.normal(size=(200, 5)).astype(np.float32))
    labels = torch.from_numpy((random.random(200) < 0.2).astype(np.int64))
    weak, strong = (logistic(features, labels, 2, p) for p in (1e-4, 1e3))
    assert strong[:-1].norm() < 0.05 * weak[:-1].norm()
    share = strong[-1].softmax(0)[1]
    assert float(share) == pytest.approx(float(labels.float().mean()), abs=0.01)


def test_features_that_never_vary_are_of_no_consequence() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(300, 20)).astype(np.float32), random.integers(0, 4, 300)
    dead = np.concatenate([features, np.zeros((300, 200), np.float32)], 1)
    plain, padded = (logistic(torch.from_numpy(f), torch.from_numpy(labels), 4, 1e-2) for f in (features, dead))
    torch.testing.assert_close(padded[[*range(20), -1]], plain, atol=1e-3, rtol=1e-2)
    assert not padded[20:-1].any()
