"""Scores predictions of classes by coarse labels (superclasses), in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.taxonomy.tree import Taxonomy
from transferlab.transfer.metrics.definition import Labels, Scores
from transferlab.transfer.metrics.top5 import in_five


def one_rule(settings: Mapping[str, Any]) -> None:
    """Raises UserError unless exactly one rule for coarse labels is given."""
    if len(settings) != 1:
        raise UserError("induction needs one rule for coarse labels", f"induction with {dict(settings)}",
                        "write induction(cut=DEPTH) or induction(merge=PASSES)")  # fmt: skip


def coarse_labels(settings: Mapping[str, Any], taxonomy: Taxonomy) -> NDArray[np.int32]:
    """The coarse label of each class, int32 [c].

    Raises:
        UserError: not exactly one rule, or a depth or pass that the taxonomy does not have.
    """
    one_rule(settings)
    if "cut" in settings:
        return taxonomy.cut(settings["cut"]).of_leaf
    return taxonomy.merge_up(settings["merge"]).of_leaf


def under_labels(
    scores: Scores, labels: Labels, label_of_class: NDArray[np.int32]
) -> tuple[dict[str, float], dict[str, NDArray[np.generic]]]:
    """Score predictions of classes by coarse labels.

    Args:
        scores: [e, c]. labels: [e], the true classes. label_of_class: [c], the coarse label of each class.

    Returns:
        metrics: ``superclass top1`` and ``superclass mean accuracy`` of the coarse label of the best-scored class. Over
        the images whose coarse label has several classes: ``top1 within the superclass``, of the best-scored class of the
        true coarse label, and ``guessing within the superclass``, its chance level.
        rows, [e] each: ``right in five`` and ``right superclass`` bool; ``right within`` int8 of 1, 0, and -1 for images
        whose coarse label has one class.
    """
    wanted, predicted = label_of_class[labels], label_of_class[scores.argmax(1)]
    n_classes = np.bincount(label_of_class)
    within = np.full(len(labels), -1, np.int8)
    for label in np.unique(wanted):
        rows, classes = np.flatnonzero(wanted == label), np.flatnonzero(label_of_class == label)
        if len(classes) > 1:
            within[rows] = classes[scores[np.ix_(rows, classes)].argmax(1)] == labels[rows]
    right, merged = predicted == wanted, within >= 0
    found = {
        "superclass top1": float(right.mean()),
        "superclass mean accuracy": float(np.mean([right[wanted == label].mean() for label in np.unique(wanted)])),
    }
    if merged.any():
        found["top1 within the superclass"] = float(within[merged].mean())
        found["guessing within the superclass"] = float((1 / n_classes[wanted[merged]]).mean())
    return found, {"right in five": in_five(scores, labels), "right superclass": right, "right within": within}
