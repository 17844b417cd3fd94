"""Measures one transfer: a protocol makes all choices without test labels, then its predictions are scored once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks
from transferlab.errors import UserError
from transferlab.specs import SPLITS, Protocol
from transferlab.transfer.detect.scores import scored
from transferlab.transfer.folds import in_folds, with_all_tested
from transferlab.transfer.metrics import METRICS, metrics_of
from transferlab.transfer.metrics.definition import PREDICTED, TRUE_SCORE, Labels, Scores
from transferlab.transfer.problem import Network, Pool, Prediction, Problem
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
        UserError: impossible shots or folds, or a target that the protocol cannot measure.
    """
    run, n_folds = definition_of(protocol).run, definition_of(protocol).folds(protocol)
    if not n_folds:
        return judged(target, protocol, run(problem_of(network, target, protocol, seed, workspace)), metric)
    target = with_all_tested(target, n_folds)
    found = [(problem, run(problem)) for problem in problems_of(network, target, protocol, seed, workspace)]
    return judged(target, protocol, _joined(target, found), metric)


def problem_of(network: Network, target: Target, protocol: Protocol, seed: int, workspace: Workspace) -> Problem:
    """The input of a protocol: the network and a target limited to the protocol's shots, without test labels.

    Raises:
        UserError: impossible shots or settings.
    """
    if protocol.shots is not None:
        target = take_shots(target, protocol.shots, seed)
    settings = definition_of(protocol).settings(protocol.knobs)
    return Problem(network, target.data, protocol, seed, workspace.place, workspace.cache, workspace.hooks, settings)


def problems_of(
    network: Network, target: Target, protocol: Protocol, seed: int, workspace: Workspace
) -> Iterator[Problem]:
    """The input of a protocol for each fold: all other images with labels, and the fold's without. Features are computed once.

    Args:
        target: all of its images are test images (see ``with_all_tested``).

    Raises:
        UserError: impossible folds or settings.
    """
    own = np.setdiff1d(target.test, np.concatenate([target.train, target.val]))  # of the source's own test split
    whole = problem_of(network, replace(target, test=own), protocol, seed, workspace)
    order = np.argsort(np.concatenate([whole.rows(split) for split in SPLITS]))
    features = torch.cat([whole.features(split) for split in SPLITS])  # as without folds, which may be measured as well
    pool, shared = Pool(target.test, features[torch.from_numpy(order)]), dict[bytes, Any]()
    for fold in in_folds(target, definition_of(protocol).folds(protocol), seed):
        yield replace(whole, data=fold.data, pool=pool, shared=shared)


def _joined(target: Target, found: Sequence[tuple[Problem, Prediction]]) -> Prediction:
    """The predictions of all folds as one, in the order of the target's test images; choices carry their fold's number."""
    scores, chosen = torch.full((len(target.test), target.n_classes), torch.nan), dict[str, float]()
    for number, (problem, prediction) in enumerate(found, 1):
        rows = problem.rows("test")
        scores[np.searchsorted(target.test, rows)] = _checked(prediction, len(rows), target, problem.protocol)
        chosen |= {f"{name} of fold {number}": value for name, value in prediction.chosen.items()}
    return Prediction(scores, chosen, all(prediction.probabilities for _, prediction in found))


def judged(target: Target, protocol: Protocol, prediction: Prediction, metric: str = "") -> Measured:
    """Score predictions against the target's test labels."""
    if prediction.found is not None:
        metrics, rows = scored(target, prediction.found, metric)
        return Measured(metrics, rows, prediction.chosen)
    labels = target.pack.labels[target.test]
    scores = _checked(prediction, len(labels), target, protocol).numpy()
    if target.kind == "one":
        labels = labels.astype(np.int32)
        rows = _of_each(scores, labels)
    else:
        rows: Rows = {"scores": scores.astype(np.float16), "labels": labels.astype(np.int8)}
    wanted = [m for m in metrics_of(target.kind) if prediction.probabilities or not m.needs_probabilities]
    metrics = {m.name: m.score(scores, labels) for m in wanted}
    if judge := definition_of(protocol).judge:
        more, results = judge(scores, labels.astype(np.int32), prediction.notes)
        if taken := sorted(rows.keys() & results.keys()):
            raise UserError(
                f"{taken[0]!r} is the name of other results", f"protocol {protocol.kind!r}", "choose another name"
            )
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


def _of_each(scores: Scores, labels: Labels) -> Rows:
    """What a cell keeps of each image with one label: whether the best-scored class is right, that class, the true class's score."""
    predicted = scores.argmax(1)
    own = np.take_along_axis(scores, labels[:, None].astype(np.int64), 1)[:, 0]
    with np.errstate(over="ignore"):  # scores from outside may exceed 65,504 and then become infinite
        kept = {TRUE_SCORE: own.astype(np.float16)}
    return {"right": predicted == labels, PREDICTED: predicted.astype(np.min_scalar_type(scores.shape[1] - 1)), **kept}


def _checked(prediction: Prediction, n: int, target: Target, protocol: Protocol) -> Tensor:
    """A prediction's scores, if they are numbers of shape [n, c]."""
    scores, shape = prediction.scores, (n, target.n_classes)
    assert scores is not None, "a prediction has scores or detections"
    if scores.shape != shape or bool(scores.isnan().any()):
        what = f"are of shape {tuple(scores.shape)}" if scores.shape != shape else "are not all numbers"
        raise UserError(f"the scores of the test images {what}", f"{protocol.kind} on {target.pack.name}",
                        f"they must be numbers of shape {shape}")  # fmt: skip
    return scores
