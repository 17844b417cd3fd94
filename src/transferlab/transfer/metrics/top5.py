"""``top5``: the share of test images whose class is among the five best-scored (of all classes, if fewer)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.transfer.metrics.definition import Labels, Metric, Scores


def in_five(scores: Scores, labels: Labels) -> NDArray[np.bool_]:
    """Whether the label of each example is among its five best-scored classes, bool [e].

    Equal scores rank in the order of the classes, as in ``top1``; otherwise all classes without a vote would be third when
    five neighbours vote for two classes.
    """
    own = np.take_along_axis(scores, labels[:, None].astype(np.int64), 1)
    order = np.arange(scores.shape[1], dtype=np.int32)
    ahead = (scores > own) | ((scores == own) & np.less(order, labels[:, None]))
    return ahead.sum(1) < 5


def top5(scores: Scores, labels: Labels) -> float:
    """Scores [e, c], labels [e]."""
    return float(in_five(scores, labels).mean())


TOP5 = Metric(name="top5", labels="one", of=top5, each=in_five)
