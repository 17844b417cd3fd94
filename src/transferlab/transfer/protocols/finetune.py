"""``finetune``: all layers and a new head, for as long as the target has images, at a rate that short races choose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from transferlab.definitions import Parameter
from transferlab.errors import UserError
from transferlab.specs import Protocol, Recipe, TargetFacts
from transferlab.transfer.definition import ProtocolDefinition

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem

# Examples that the last training sees, from the number n of the target's training and validation images: PER_ROOT · √n. That is
# 6 passes over 4,000 images and 21 over 300.
PER_ROOT = 370.0
LEAST, MOST = 4_000, 60_000
FROM_SCRATCH = 3.0  # random weights get so many times as many


class Rung(NamedTuple):
    """One round of the races.

    Args:
        n_rates: how many rates take part.
        share, least: each training sees this share of the last training's examples, but at least so many, and at most half.
    """

    n_rates: int
    share: float
    least: int


# A short race favours high rates, so that small targets need a larger share: on 220 images of 20 classes (see LOG, 2026-11-30) a rate of
# 0.16 is ahead of 0.04 after 400 examples, behind it after 3,000, and worse by 2.6 points after 6,000.
RUNGS = (Rung(4, 1 / 16, 768), Rung(2, 1 / 8, 3072))
FACTORS = (3.0, 1.0, 1 / 3, 1 / 9)  # of the setting lr


def examples_of(settings: Mapping[str, Any], n_images: int) -> int:
    """Examples that the last training sees: the setting, or as follows from the number of training and validation images."""
    if "examples" in settings:
        return int(settings["examples"])
    return round(min(MOST, max(LEAST, settings.get("times", 1) * PER_ROOT * math.sqrt(n_images))))


def rates_of(settings: Mapping[str, Any]) -> list[float]:
    """The peak learning rates that race, highest first."""
    return [settings["lr"] * factor for factor in FACTORS]


def races_of(n_examples: int, n_val: int) -> list[tuple[int, int]]:
    """The rounds of the races: how many rates take part, and how many examples each training sees.

    Args:
        n_examples: of the last training. n_val: validation images; without them there are no races.
    """
    rounds: list[tuple[int, int]] = []
    for rung in RUNGS if n_val else ():
        n_seen = max(1, round(min(n_examples / 2, max(rung.least, rung.share * n_examples))))
        if not rounds or n_seen > rounds[-1][1]:  # the same once more would tell nothing
            rounds.append((rung.n_rates, n_seen))
    return rounds


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
