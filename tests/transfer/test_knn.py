"""Nearest neighbours against scikit-learn's, block by block, and their order beyond the votes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import KNeighborsClassifier

from transferlab.transfer import knn
from transferlab.transfer.metrics import top5


def points(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 12
    features = np.random.default_rng(9).normal(size=(12, 20))[labels] + random.normal(0, 1.1, (n, 20))
    return F.normalize(torch.from_numpy(features.astype(np.float32))), torch.from_numpy(labels)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_classes_equal_scikit_learns_at_the_same_weights(k: int) -> None:
    (gallery, labels), (queries, _) = points(240), points(90, 1)
    model = KNeighborsClassifier(
        k, algorithm="brute", metric="cosine", weights=lambda distance: np.exp(-distance / knn.TEMPERATURE)
    ).fit(gallery.numpy(), labels.numpy())
    ours = knn.neighbours(gallery, labels, queries, k, 12)
    assert (ours.argmax(1).numpy() == model.predict(queries.numpy())).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (gallery, labels), (queries, _) = points(240), points(50, 1)
    whole = knn.neighbours(gallery, labels, queries, 5, 12)
    monkeypatch.setattr(knn, "BLOCK", 7)
    torch.testing.assert_close(knn.neighbours(gallery, labels, queries, 5, 12), whole)


def test_top_five_at_one_neighbour_ranks_classes_by_their_nearest_image() -> None:
    (gallery, labels), (queries, wanted) = points(96), points(120, 1)
    scores = knn.neighbours(gallery, labels, queries, 1, 12).numpy()
    nearest = np.stack([(queries @ gallery[labels == c].T).max(1).values.numpy() for c in range(12)], 1)
    ranks = (nearest > np.take_along_axis(nearest, wanted[:, None].numpy(), 1)).sum(1)
    assert top5(scores, wanted.numpy().astype(np.int32)) == pytest.approx((ranks < 5).mean(), abs=0.03)
    random = np.random.default_rng(0).permutation(wanted.numpy()).astype(np.int32)
    assert top5(scores, random) < 0.6  # five of twelve classes by chance
