"""``negative log-likelihood``: the mean of -log p(label) with the natural logarithm. Smaller is better; no study compares it."""

from __future__ import annotations

import numpy as np

from transferlab.transfer.metrics.definition import Labels, Metric, Scores


def negative_log_likelihood(log_probabilities: Scores, labels: Labels) -> float:
    """Log-probabilities [e, c], labels [e]."""
    return float(-np.take_along_axis(log_probabilities, labels[:, None].astype(np.int64), 1).mean())


NEGATIVE_LOG_LIKELIHOOD = Metric(
    name="negative log-likelihood", labels="one", of=negative_log_likelihood, needs_probabilities=True
)
