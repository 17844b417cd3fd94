"""``knn``: nearest neighbours by cosine on frozen features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.definitions import Parameter
from transferlab.transfer.definition import ProtocolDefinition

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem


def _run(problem: Problem) -> Prediction:
    from transferlab.transfer.knn import fit_predict

    return fit_predict(problem)


knn = ProtocolDefinition(
    name="knn",
    title="nearest neighbours",
    explained="by cosine similarity of frozen features",
    parameters={
        "k": Parameter(means="number of neighbours (chosen on validation where none is given)", low=1, whole=True)
    },
    run=_run,
)
