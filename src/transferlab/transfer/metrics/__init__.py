"""The metrics, one file each, in numpy. Studies compare a target by the first metric whose ``main`` is true for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from transferlab.definitions import Table
from transferlab.transfer.metrics.average_precision import MEAN_AVERAGE_PRECISION
from transferlab.transfer.metrics.definition import LabelKind, Metric
from transferlab.transfer.metrics.detection import AP, MAP, MAP_2007
from transferlab.transfer.metrics.log_likelihood import NEGATIVE_LOG_LIKELIHOOD
from transferlab.transfer.metrics.mean_class_accuracy import MEAN_CLASS_ACCURACY
from transferlab.transfer.metrics.top1 import TOP1
from transferlab.transfer.metrics.top5 import TOP5

METRICS = Table("metric", Metric, [
    TOP1, TOP5, MEAN_CLASS_ACCURACY, NEGATIVE_LOG_LIKELIHOOD, MEAN_AVERAGE_PRECISION, MAP, MAP_2007, AP,
])  # fmt: skip


def main_metric(kind: LabelKind, labels: NDArray[Any], notes: Mapping[str, object]) -> Metric:
    """The metric by which studies compare a target, from its kind of labels, its test labels and its pack's notes."""
    return next(m for m in metrics_of(kind) if m.main(labels, notes))


def metrics_of(kind: LabelKind) -> list[Metric]:
    """The built-in metrics of targets with such labels, in order; every cell has all of them."""
    return [m for m in METRICS.values() if m.labels == kind and METRICS.brought(m.name) is None]
