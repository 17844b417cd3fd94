"""What a metric is: how predictions of a target's test images become a number, with all facts about it; numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from transferlab.definitions import Definition

Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Labels = NDArray[np.int32]
UNBALANCED = 1.5  # largest over smallest test class from which a target counts as unbalanced
LabelKind = Literal["one", "many", "boxes"]


@dataclass(frozen=True, kw_only=True)
class Metric(Definition):
    """A metric of a target's test images; more is better.

    Args:
        labels: which targets have it: those with one label per image, with several, or with boxes.
        of: the metric, usually 0…1. One label: scores float32 [e, c] and labels int32 [e]; several: labels int8 [e, c] of 1,
            0 and -1 (not scored); boxes: the detections and the annotated objects (``detect.metrics.Found`` and ``Truth``).
        each: from the same arguments a number for each test image, float or bool [e], whose weighted mean is the metric; None where
            there is none, and intervals then speak of these test images only.
        weights: from the test labels the weights of that mean, float64 [e], summing to 1; None weighs all alike.
        rows: the array of a cell in which these numbers are kept.
        again: the metric on redrawn test images, from what a cell keeps and int64 [e]; for metrics that are no mean over images.
        chance: the metric of a constant guess, from the test labels.
        main: whether studies compare a target by it, from the test labels and the notes of its pack.
        needs_probabilities: it is defined for log-probabilities only.
    """

    labels: LabelKind
    of: Callable[[Any, Any], float]
    each: Callable[[Any, Any], NDArray[Any]] | None = None
    weights: Callable[[Labels], Floats] | None = None
    rows: str = "value"
    again: Callable[[Mapping[str, NDArray[Any]], NDArray[np.int64]], float] | None = None
    chance: Callable[[NDArray[Any]], float] = lambda labels: float("nan")
    main: Callable[[NDArray[Any], Mapping[str, object]], bool] = lambda labels, notes: False
    needs_probabilities: bool = False


def right(scores: Scores, labels: Labels) -> NDArray[np.bool_]:
    """Whether the best-scored class of each example is its label, bool [e]; scores [e, c], labels [e]."""
    return scores.argmax(1) == labels


def unbalanced(labels: Labels) -> bool:
    """Whether the largest of the classes that occur has over 1.5 times the images of the smallest."""
    seen = np.bincount(labels)
    seen = seen[seen > 0]
    return bool(seen.max() > UNBALANCED * seen.min())
