"""``top1``: the share of test images whose best-scored class is right."""

from __future__ import annotations

import numpy as np

from transferlab.transfer.metrics.definition import Labels, Metric, Scores, right, unbalanced


def top1(scores: Scores, labels: Labels) -> float:
    """Scores [e, c], labels [e]."""
    return float(right(scores, labels).mean())


TOP1 = Metric(name="top1", labels="one", of=top1, each=right, rows="right",
              chance=lambda labels: float(np.bincount(labels).max() / len(labels)),
              main=lambda labels, notes: not unbalanced(labels))  # fmt: skip
