"""``induction``: the source's own classes by nearest neighbours, among all classes and within coarse labels (Huh et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.definitions import Parameter
from transferlab.transfer.definition import ProtocolDefinition
from transferlab.transfer.superclasses import coarse_labels, one_rule, under_labels

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem


def _run(problem: Problem) -> Prediction:
    from transferlab.transfer.induction import fit_predict

    return fit_predict(problem)


induction = ProtocolDefinition(
    name="induction",
    title="induction",
    explained="the source's own classes by their nearest image on frozen features, among all classes and within coarse labels",
    parameters={
        "cut": Parameter(means="coarse labels from a cut of the taxonomy at depth", low=0, whole=True, in_label=True),
        "merge": Parameter(
            means="number of merge passes that make the coarse labels", low=1, whole=True, in_label=True
        ),
    },
    run=_run,
    own_classes=True,
    together=one_rule,
    check=coarse_labels,
    judge=lambda scores, labels, notes: under_labels(scores, labels, notes["label of class"]),
    leads=True,
    beside=("top5", "top1 within the superclass", "superclass top1", "superclass mean accuracy"),
)
