"""Measures one transfer: a protocol makes all choices without test labels, then its predictions are scored once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks
from transferlab.errors import UserError
from transferlab.specs import Protocol
from transferlab.transfer.detect.scores import scored
from transferlab.transfer.metrics import METRICS, metrics_of
from transferlab.transfer.problem import Network, Prediction, Problem
from transferlab.transfer.protocols import definition_of
from transferlab.transfer.targets import Target, take_shots

Rows = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Measured:
    """Metrics by name, per-example results [e, …] by name, and settings chosen on validation."""

    metrics: Mapping[str, float]
    rows: Mapping[str, NDArray[np.generic]]
    chosen: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Workspace:
    """Where a transfer is computed, a cache of features shared by a network's transfers, and hooks of its training."""

    place: Place
    cache: dict[tuple[str, bytes], Tensor] = field(default_factory=dict[tuple[str, bytes], Tensor])
    hooks: Hooks = field(default_factory=Hooks)


def measure(
    network: Network, target: Target, protocol: Protocol, seed: int, workspace: Workspace, metric: str = ""
) -> Measured:
    """Run a protocol on a target and score its predictions.

    Args:
        metric: the study's own metric, in addition to those of every cell.

    Raises:
        UserError: impossible shots, or a target that the protocol cannot measure.
    """
    problem = problem_of(network, target, protocol, seed, workspace)
    return judged(target, protocol, definition_of(protocol).run(problem), metric)


def problem_of(network: Network, target: Target, protocol: Protocol, seed: int, workspace: Workspace) -> Problem:
    """The input of a protocol: the network and a target limited to the protocol's shots, without test labels.

    Raises:
        UserError: impossible shots or settings.
    """
    if protocol.shots is not None:
        target = take_shots(target, protocol.shots, seed)
    settings = definition_of(protocol).settings(protocol.knobs)
    return Problem(network, target.data, protocol, seed, workspace.place, workspace.cache, workspace.hooks, settings)


def judged(target: Target, protocol: Protocol, prediction: Prediction, metric: str = "") -> Measured:
    """Score predictions against the target's test labels."""
    if prediction.found is not None:
        metrics, rows = scored(target, prediction.found, metric)
        return Measured(metrics, rows, prediction.chosen)
    assert prediction.scores is not None, "a prediction has scores or detections"
    scores, labels = prediction.scores.numpy(), target.pack.labels[target.test]
    if scores.shape != (len(labels), target.n_classes) or np.isnan(scores).any():
        what = (
            f"are of shape {scores.shape}" if scores.shape != (len(labels), target.n_classes) else "are not all numbers"
        )
        raise UserError(f"the scores of the test images {what}", f"{protocol.kind} on {target.pack.name}",
                        f"they must be numbers of shape {(len(labels), target.n_classes)}")  # fmt: skip
    rows: Rows = {"scores": scores.astype(np.float16), "labels": labels.astype(np.int8)}
    if target.kind == "one":
        labels = labels.astype(np.int32)
        rows = {"right": scores.argmax(1) == labels}
    wanted = [m for m in metrics_of(target.kind) if prediction.probabilities or not m.needs_probabilities]
    metrics = {m.name: m.score(scores, labels) for m in wanted}
    if judge := definition_of(protocol).judge:
        more, results = judge(scores, labels.astype(np.int32), prediction.notes)
        metrics, rows = metrics | more, rows | results
    if metric:
        asked = METRICS[metric]
        metrics[metric] = asked.score(scores, labels)
        if asked.each is not None:
            value = asked.per_image(scores, labels)
            if not np.array_equal(rows.setdefault(asked.rows, value), value):
                raise UserError(
                    f"rows = {asked.rows!r} is the name of other results", f"metric {metric!r}", "choose another name"
                )
    return Measured(metrics, rows, prediction.chosen)
