"""Jackknife values of mean average precision per test image, for intervals that generalise to other images; numpy only.

With T the score and T[i] the score without image i (Tukey 1958), value[i] = T + (n - 1) · (mean of T[·] - T[i]). The mean of
these values is T, and their variance over images, divided by n, is about that of T. They are combined with seeds like the
correctness of images for an accuracy. Matching happens within an image, so leaving one out changes only counts along the
ranking. The coverage of the intervals is tested in ``tests/truth/test_detection.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.transfer.detect.metrics import Matches

Floats = NDArray[np.float64]
AT_ONCE = 2**21  # elements of a block: images left out times detections of a class


def values_of(matched: Matches, score: float) -> Floats:
    """The jackknife values, float64 [n], whose mean is the score.

    They use average precision at every point of recall, which COCO's 101 recalls approximate.

    Args:
        score: mean average precision of all images, 0…1.
    """
    left = without_each(matched)
    return score + (len(left) - 1) * (left.mean() - left)


def without_each(matched: Matches) -> Floats:
    """Mean average precision without image i, float64 [n], over the classes with an object in other images."""
    n_images = len(matched.counts)
    total, n_classes = np.zeros(n_images), np.zeros(n_images)
    for c in np.flatnonzero(matched.counts.sum(0)):
        own = slice(int(matched.first[c]), int(matched.first[c + 1]))
        n_left = matched.counts[:, c].sum() - matched.counts[:, c]
        each = [_without(matched.image[own][~out], hit[~out], n_left)
                for hit, out in zip(matched.hit[:, own], matched.ignored[:, own], strict=True)]  # fmt: skip
        total += np.where(n_left > 0, np.mean(each, axis=0), 0.0)
        n_classes += n_left > 0
    return total / np.maximum(n_classes, 1)


def _without(image: NDArray[np.int32], hit: NDArray[np.bool_], n_left: NDArray[np.int64]) -> Floats:
    """One class's average precision without each image in turn, [n].

    Args:
        image, hit: of its detections, [d], the best score first. n_left: number of objects in the other images, [n].
    """
    found = np.full(len(n_left), _area(hit[None], np.ones((1, len(hit)), bool))[0])
    concerned = np.unique(image)  # leaving out other images only changes the number of objects
    step = max(1, AT_ONCE // max(1, len(image)))
    for start in range(0, len(concerned), step):
        left_out = concerned[start : start + step]
        found[left_out] = _area(hit[None], image[None] != left_out[:, None])
    return found / np.maximum(n_left, 1)


def _area(hit: NDArray[np.bool_], kept: NDArray[np.bool_]) -> Floats:
    """The sum over hits of the best precision at the same or a higher recall, [b]; hit [1, d], kept [b, d]."""
    hits = np.cumsum(hit & kept, 1, dtype=np.int32)
    precision = hits / np.maximum(np.cumsum(kept, 1, dtype=np.int32), 1)
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    return (best * (hit & kept)).sum(1)
