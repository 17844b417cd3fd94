"""One transfer: a protocol makes every choice, then test labels are read, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transferlab.transfer import finetune, induction, knn, probe, refit
from transferlab.transfer.detect import protocol as detect
from transferlab.transfer.detect.protocol import Detections
from transferlab.transfer.detect.scores import scored
from transferlab.transfer.metrics import all_metrics, per_example, under_labels
from transferlab.transfer.problem import Prediction, Problem
from transferlab.transfer.targets import take_shots

PROTOCOLS: dict[str, Callable[[Problem], Prediction | Detections]] = {
    "probe": probe.fit_predict,
    "knn": knn.fit_predict,
    "finetune": finetune.fit_predict,
    "refit": refit.fit_predict,
    "induction": induction.fit_predict,
    "detect": detect.fit_predict,
}


@dataclass(frozen=True, eq=False)
class Measured:
    """Metrics by name, per-example results [e, …] by name, and what validation chose."""

    metrics: Mapping[str, float]
    rows: Mapping[str, NDArray[np.generic]]
    chosen: Mapping[str, float]


def measure(problem: Problem) -> Measured:
    """Run the problem's protocol and score it.

    Raises:
        UserError: impossible shots, or a protocol that the target does not allow.
    """
    if problem.protocol.shots is not None:
        few = take_shots(problem.target, problem.protocol.shots, problem.seed)
        problem = replace(problem, target=few)
    prediction = PROTOCOLS[problem.protocol.kind](problem)
    if isinstance(prediction, Detections):
        return Measured(*scored(problem.target, prediction.found), prediction.facts)
    scores = prediction.scores.numpy()
    labels = problem.target.pack.labels[problem.target.test]
    metrics = all_metrics(scores, labels, probabilities=prediction.probabilities)
    rows = per_example(scores, labels)
    if prediction.label_of_class is not None:
        more, told = under_labels(scores, labels.astype(np.int32), prediction.label_of_class)
        metrics, rows = metrics | more, rows | told
    return Measured(metrics, rows, prediction.chosen)
