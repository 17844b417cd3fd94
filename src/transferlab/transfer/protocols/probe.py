"""``probe``: multinomial logistic regression on frozen features, with a penalty chosen on validation examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.transfer.definition import FOLDS, ProtocolDefinition

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem


def _run(problem: Problem) -> Prediction:
    from transferlab.transfer.probe import fit_predict

    return fit_predict(problem)


probe = ProtocolDefinition(
    name="probe",
    title="linear probe",
    explained="logistic regression on frozen features",
    parameters={"folds": FOLDS},
    run=_run,
    many_labels=True,
)
