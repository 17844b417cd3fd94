"""``mean average precision`` of targets with several labels per image: the mean over classes of average precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.transfer.metrics.definition import Metric, Scores


def average_precision(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """Area under precision over recall as a step function, [e] each; NaN if nothing is relevant. Ties are one step."""
    if not relevant.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision = hits[last_of_ties] / (last_of_ties + 1)
    recall_steps = np.diff(hits[last_of_ties], prepend=0) / hits[-1]
    return float((precision * recall_steps).sum())


def mean_average_precision(scores: Scores, labels: NDArray[np.int8]) -> float:
    """Mean over classes with a relevant example; scores [e, c], labels [e, c] of 1, 0 and -1 (not scored)."""
    each = [average_precision(scores[labels[:, c] >= 0, c], labels[labels[:, c] >= 0, c] > 0)
            for c in range(labels.shape[1])]  # fmt: skip
    known = [value for value in each if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


MEAN_AVERAGE_PRECISION = Metric(
    name="mean average precision", labels="many", of=mean_average_precision,
    again=lambda rows, examples: mean_average_precision(rows["scores"][examples].astype(np.float32), rows["labels"][examples]),
    chance=lambda labels: float((labels > 0).mean()), main=lambda labels, notes: True,
)  # fmt: skip
