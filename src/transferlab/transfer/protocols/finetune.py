"""``finetune``: all layers and a new head, for as long as the target has images, at a rate that short races choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transferlab.definitions import Parameter
from transferlab.errors import UserError
from transferlab.specs import Protocol, Recipe, TargetFacts
from transferlab.transfer.definition import ProtocolDefinition
from transferlab.transfer.races import LEAST, MOST, PER_ROOT, examples_of, races_of

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem

FROM_SCRATCH = 3.0  # random weights get so many times as many examples


def _run(problem: Problem) -> Prediction:
    from transferlab.transfer.finetune import fit_predict

    return fit_predict(problem)


def _cost(settings: Mapping[str, Any], target: TargetFacts, recipe: Recipe) -> float:
    """The last training, the races, and passes over validation and test images, which cost a third of training on them."""
    n_examples = examples_of(settings, target.n_train + target.n_val)
    races = sum(n_rates * (n_seen + target.n_val / 3) for n_rates, n_seen in races_of(n_examples, target.n_val))
    return races + n_examples + target.n_test / 3


def _from_scratch(protocol: Protocol) -> Protocol:
    """As long as the study says, or else three times as long as fine-tuning."""
    if "examples" in protocol.knobs:
        return protocol
    return replace(protocol, knobs={**protocol.knobs, "times": FROM_SCRATCH * float(protocol.knobs.get("times", 1))})  # type: ignore[arg-type]


def _one_length(settings: Mapping[str, Any]) -> None:
    if "examples" in settings and "times" in settings:
        raise UserError("examples and times both set the length", finetune.name, "give one of them")


finetune = ProtocolDefinition(
    name="finetune",
    title="fine-tuning",
    explained="all layers are trained with a new head; four learning rates race, those with the lower validation loss go on, and the "
    f"best one trains anew on training and validation images together, for {PER_ROOT:g} · √images examples, at least {LEAST:,} "
    f"and at most {MOST:,}, unless a length follows",
    parameters={
        "examples": Parameter(means="examples seen by the last training", low=1, high=10**9, whole=True),
        "times": Parameter(means="length of the last training in multiples of that", low=1e-3, high=1e3),
        "lr": Parameter(means="peak learning rate (three times it, it, a third and a ninth of it race)", default=0.05, low=1e-9,
                        high=1e6),
    },
    run=_run,
    many_labels=True,
    frozen=None,
    from_scratch=_from_scratch,
    together=_one_length,
    cost=_cost,
)  # fmt: skip
