"""``mean class accuracy``: the mean accuracy of the classes that occur, for unbalanced test sets."""

from __future__ import annotations

import numpy as np

from transferlab.transfer.metrics.definition import Floats, Labels, Metric, Scores, right, unbalanced


def mean_class_accuracy(scores: Scores, labels: Labels) -> float:
    """Scores [e, c], labels [e]."""
    held = right(scores, labels)
    return float(np.mean([held[labels == c].mean() for c in np.unique(labels)]))


def class_weights(labels: Labels) -> Floats:
    """Weights [e] that turn the mean over examples into the mean over classes."""
    counts = np.bincount(labels)
    return 1.0 / counts[labels] / (counts > 0).sum()


MEAN_CLASS_ACCURACY = Metric(
    name="mean class accuracy", labels="one", of=mean_class_accuracy, each=right, weights=class_weights, rows="right",
    chance=lambda labels: 1 / len(np.unique(labels)), main=lambda labels, notes: unbalanced(labels),
)  # fmt: skip
