"""``finetune``: all layers are trained, for as long as the target has images, from a last layer that is a probe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transferlab.definitions import Parameter
from transferlab.errors import UserError
from transferlab.specs import Protocol, Recipe, TargetFacts
from transferlab.transfer.definition import ProtocolDefinition

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem

# Examples seen, from the number n of the target's training and validation images: PER_ROOT · √n. That is 8 passes over 4,000
# images and 32 over 280.
PER_ROOT = 530.0
LEAST, MOST = 4_000, 60_000
# From random weights, in multiples of fine-tuning's length and rate.
LONGER, FASTER = 3.0, 3.0
MOST_TIMES, MOST_LR = 1e3, 1e6


def examples_of(settings: Mapping[str, Any], n_images: int) -> int:
    """Examples that the training sees: the setting, or as follows from the number of training and validation images."""
    if "examples" in settings:
        return int(settings["examples"])
    return round(settings.get("times", 1) * min(MOST, max(LEAST, PER_ROOT * math.sqrt(n_images))))


def _run(problem: Problem) -> Prediction:
    from transferlab.transfer.finetune import fit_predict

    n_images = len(problem.rows("train")) + len(problem.rows("val"))
    return fit_predict(problem, examples_of(problem.settings, n_images))


def _cost(settings: Mapping[str, Any], target: TargetFacts, recipe: Recipe) -> float:
    """The training, and passes over images for the probe and the test, which cost a third of training; not the probe's fit."""
    n_images = target.n_train + target.n_val
    probed = n_images if settings["head"] == "probed" else 0
    return examples_of(settings, n_images) + (probed + target.n_test) / 3


def _from_scratch(protocol: Protocol) -> Protocol:
    """From a random last layer, at three times the rate and, unless the study sets the length, with three times ``times``."""
    knobs = finetune.settings(protocol.knobs)
    knobs |= {"head": "random", "lr": _times(FASTER, knobs["lr"], MOST_LR)}
    if "examples" not in protocol.knobs:
        knobs["times"] = _times(LONGER, knobs.get("times", 1.0), MOST_TIMES)
    return replace(protocol, knobs=knobs)


def _times(factor: float, value: Any, most: float) -> float:
    """A multiple as people write it: 0.15, not 0.15000000000000002."""
    return min(most, float(f"{factor * float(value):.12g}"))


def _one_length(settings: Mapping[str, Any]) -> None:
    if "examples" in settings and "times" in settings:
        raise UserError("examples and times both set the length", finetune.name, "give one of them")


finetune = ProtocolDefinition(
    name="finetune",
    title="fine-tuning",
    explained="all layers are trained on training and validation images together, from a last layer that is a linear probe (from scratch a "
    f"random one). Training sees {PER_ROOT:g} · √images examples, at least {LEAST:,} and at most {MOST:,}, where no other number is stated",
    parameters={
        "examples": Parameter(means="examples seen", low=1, high=10**9, whole=True),
        "times": Parameter(means="examples seen, in multiples of what follows from the target", low=1e-3, high=MOST_TIMES),
        "lr": Parameter(means="peak learning rate", default=0.05, low=1e-9, high=MOST_LR),
        "head": Parameter(means="the last layer to begin with", default="probed", words=("probed", "random")),
    },
    run=_run,
    many_labels=True,
    frozen=None,
    from_scratch=_from_scratch,
    together=_one_length,
    cost=_cost,
)  # fmt: skip
