"""What each test image does to mean average precision, so that its interval speaks of other images too; numpy alone.

Average precision is no mean over images, but it has a jackknife (Tukey 1958): with T the score and T[i] the score without
image i, value[i] = T + (n - 1) · (mean of T[·] - T[i]) is a number for each image whose mean is T and whose variance over
images, divided by n, is about that of T. These numbers are crossed with seeds as whether an image was right is for an
accuracy. Matching happens within an image, so leaving one out changes only counts along the ranking. How well it covers
is tested in ``tests/truth/test_detection.py``; derivatives by the images' weights in its place covered less.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.transfer.detect.metrics import Matches

Floats = NDArray[np.float64]
AT_ONCE = 2**21  # numbers of a block: images left out, times detections of a class


def values_of(matched: Matches, score: float) -> Floats:
    """A number for each image, float64 [n], whose mean is the score; see above.

    The mean is over the classes that have an object, and over the thresholds of ``matched``, every point of recall;
    COCO's 101 recalls approach that.

    Args:
        score: mean average precision of all images, 0…1.
    """
    left = without_each(matched)
    return score + (len(left) - 1) * (left.mean() - left)


def without_each(matched: Matches) -> Floats:
    """Mean average precision without image i, float64 [n]; a class whose objects are all in it is left out there."""
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
        image, hit: of its detections, [d], the best score first. n_left: objects that the other images have, [n].
    """
    found = np.full(len(n_left), _area(hit[None], np.ones((1, len(hit)), bool))[0])
    concerned = np.unique(image)  # without another image only the number of objects changes
    step = max(1, AT_ONCE // max(1, len(image)))
    for start in range(0, len(concerned), step):
        gone = concerned[start : start + step]
        found[gone] = _area(hit[None], image[None] != gone[:, None])
    return found / np.maximum(n_left, 1)


def _area(hit: NDArray[np.bool_], kept: NDArray[np.bool_]) -> Floats:
    """The sum over hits of the best precision at their recall or a higher one, [b]; hit [1, d], kept [b, d]."""
    hits = np.cumsum(hit & kept, 1, dtype=np.int32)
    precision = hits / np.maximum(np.cumsum(kept, 1, dtype=np.int32), 1)
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    return (best * (hit & kept)).sum(1)
