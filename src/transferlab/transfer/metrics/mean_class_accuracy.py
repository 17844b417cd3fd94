"""``mean class accuracy``: the accuracy of each class that occurs, averaged over classes; for unbalanced test sets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transferlab.transfer.metrics.definition import Floats, Labels, Metric, Scores, right, unbalanced


def mean_class_accuracy(scores: Scores, labels: Labels) -> float:
    """Scores [e, c], labels [e]."""
    held = right(scores, labels)
    return float(np.mean([held[labels == c].mean() for c in np.unique(labels)]))


def class_weights(labels: Labels) -> Floats:
    """Weights [e] with which the mean over examples is the mean over classes."""
    counts = np.bincount(labels)
    return 1.0 / counts[labels] / (counts > 0).sum()


def _chance(labels: Labels) -> float:
    return 1 / len(np.unique(labels))


def _main(labels: Labels, notes: Mapping[str, object]) -> bool:
    return unbalanced(labels)


MEAN_CLASS_ACCURACY = Metric(
    name="mean class accuracy", title="mean class accuracy", explained="accuracy of each class, averaged over classes", labels="one",
    of=mean_class_accuracy, each=right, weights=class_weights, rows="right", chance=_chance, main=_main,
)  # fmt: skip
