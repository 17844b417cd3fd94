"""Nearest neighbours against scikit-learn's, block by block, and their order beyond the votes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import KNeighborsClassifier

from transferlab.transfer import knn
from transferlab.transfer.metrics.top5 import top5


def points(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 12
    features = np.random.default_rng(9).normal(size=(12, 20))[labels] + random.normal(0, 1.1, (n, 20))
    return F.normalize(torch.from_numpy(features.astype(np.float32))), torch.from_numpy(labels)


def votes(gallery: torch.Tensor, labels: torch.Tensor, queries: torch.Tensor, k: int) -> torch.Tensor:
    return knn.votes_of(knn.nearest(gallery, queries, max(k, knn.RANKED)), labels, k, 12)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_classes_equal_scikit_learns_at_the_same_weights(k: int) -> None:
    (gallery, labels), (queries, _) = points(240), points(90, 1)
    model = KNeighborsClassifier(
        k, algorithm="brute", metric="cosine", weights=lambda distance: np.exp(-distance / knn.TEMPERATURE)
    ).fit(gallery.numpy(), labels.numpy())
    ours = votes(gallery, labels, queries, k)
    assert (ours.argmax(1).numpy() == model.predict(queries.numpy())).all()


@pytest.mark.parametrize("size", [30, 1000])
def test_the_nearest_are_those_of_a_search_through_all(size: int) -> None:
    (gallery, _), (queries, _) = points(size), points(300, 1)
    cosines, indices = knn.nearest(gallery, queries, 100)
    found, order = (queries @ gallery.T).sort(descending=True)
    torch.testing.assert_close(cosines, found[:, :100])
    torch.testing.assert_close((queries[:, None] * gallery[indices]).sum(2), cosines)
    assert (indices == order[:, :100]).float().mean() > 0.999  # neighbours as near as rounding may change places


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (gallery, labels), (queries, _) = points(240), points(50, 1)
    whole = votes(gallery, labels, queries, 5)
    monkeypatch.setattr(knn, "BLOCK", 7)
    torch.testing.assert_close(votes(gallery, labels, queries, 5), whole)


def test_top_five_at_one_neighbour_ranks_classes_by_their_nearest_image() -> None:
    (gallery, labels), (queries, wanted) = points(96), points(120, 1)
    scores = votes(gallery, labels, queries, 1).numpy()
    nearest = np.stack([(queries @ gallery[labels == c].T).max(1).values.numpy() for c in range(12)], 1)
    ranks = (nearest > np.take_along_axis(nearest, wanted[:, None].numpy(), 1)).sum(1)
    assert top5(scores, wanted.numpy().astype(np.int32)) == pytest.approx((ranks < 5).mean(), abs=0.03)
    random = np.random.default_rng(0).permutation(wanted.numpy()).astype(np.int32)
    assert top5(scores, random) < 0.6  # five of twelve classes by chance
