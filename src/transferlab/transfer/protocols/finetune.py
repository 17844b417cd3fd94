"""``finetune``: all layers and a new head, trained on a fixed number of the target's examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.definitions import Parameter
from transferlab.transfer.definition import ProtocolDefinition, unchanged

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem


def _run(problem: Problem) -> Prediction:
    from transferlab.transfer.finetune import fit_predict

    return fit_predict(problem)


finetune = ProtocolDefinition(
    name="finetune",
    title="fine-tuning",
    explained="all layers are trained",
    parameters={
        "examples": Parameter(means="training examples seen", default=60_000, low=1, high=10**9, whole=True),
        "lr": Parameter(means="peak learning rate (validation chooses between it and a quarter of it)", default=0.02,
                        low=1e-9, high=1e6),
    },
    run=_run,
    many_labels=True,
    frozen=None,
    from_scratch=unchanged,
    cost=lambda settings, target, recipe: 2.0 * settings["examples"],  # two learning rates
)  # fmt: skip
