"""``refit``: a new last layer for all of the source's own classes on frozen features (Huh et al. 2016, the ImageNet column)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.transfer.definition import ProtocolDefinition

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem


def _run(problem: Problem) -> Prediction:
    from transferlab.transfer.refit import fit_predict

    return fit_predict(problem)


refit = ProtocolDefinition(
    name="refit",
    title="refitted last layer",
    explained="a new last layer for all the source's own classes on frozen features",
    run=_run,
    own_classes=True,
)
