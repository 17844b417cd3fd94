"""The definition of an origin: where the networks of a control come from; importing it loads no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from transferlab.answers.estimate import Estimate
from transferlab.answers.points import points
from transferlab.answers.rates import Rates
from transferlab.answers.study import Check
from transferlab.definitions import Definition
from transferlab.errors import UserError
from transferlab.planned import NamedCondition
from transferlab.specs import Design, Protocol


@dataclass(frozen=True)
class Asked:
    """A protocol that the study asks for, with all its protocols, and the most examples that pre-training sees."""

    protocol: Protocol
    protocols: Sequence[Protocol]
    n_examples: int


@dataclass(frozen=True)
class Comparison:
    """What an origin's check may use of a study's results.

    Args:
        reference: name of the condition that controls are built from. floor: the control that is the floor, if there is one.
        between: the estimates of one condition against another, on the mean over targets and on each; empty if no seed has both.
        rates: the declared contrasts at another learning rate, if the study has a control for it.
    """

    reference: str
    floor: NamedCondition | None
    between: Callable[[str, str], Sequence[Estimate]]
    rates: Rates | None = None


def as_asked(asked: Asked) -> Protocol | None:
    """The study's protocol unchanged."""
    return asked.protocol


@dataclass(frozen=True, kw_only=True)
class Origin(Definition):
    """Where a control's networks come from.

    Args:
        design: from the reference condition's design to the one that they are pre-trained on; None: they are not pre-trained.
        twin: whether they are drawn and trained independently of the reference condition's networks.
        divides_lr: every condition is trained once more, its learning rate divided by this, as a condition of its own, called by
            the condition's name and ``title``; None: the control has networks of the reference condition only.
        prepare: changes a freshly initialised network in place, given the network and a 63-bit seed; only for networks that are
            not pre-trained.
        measured: from a protocol of the study to the one by which they are measured; None: they are not measured by it.
        tells: what it tells about a study, a phrase that ``plan`` shows beside its cost; "" shows ``explained``.
        is_floor: whether scores are also reported as gains over this control.
        check: the control's check of the study; an alarm opens the report.
        colour, dash: its line in figures: a hexadecimal colour, chosen for readers without colour vision, and a dash pattern.
    """

    design: Callable[[Design], Design] | None = None
    twin: bool = False
    divides_lr: float | None = None
    prepare: Callable[[Any, int], None] | None = None
    measured: Callable[[Asked], Protocol | None] = as_asked
    tells: str = ""
    is_floor: bool = False
    check: Callable[[Comparison], Check] | None = None
    colour: str = "#5f6368"
    dash: tuple[float, ...] = (4, 3)

    def __post_init__(self) -> None:
        rate = self.divides_lr
        if rate is not None and not (0 < rate < math.inf and rate != 1 and self.title):
            raise UserError(
                f"divides_lr = {rate!r:.40} is not possible", f"control {self.name!r}",
                'give a number above 0 that is not 1, and a title such as "at half the rate"',
            )  # fmt: skip
        if rate is not None and (self.design or self.twin or self.prepare or self.is_floor):
            raise UserError(
                "a control that repeats every condition has no design, twin, prepare or is_floor", f"control {self.name!r}",
                "leave them out, or leave out divides_lr",
            )  # fmt: skip
        if not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise UserError(
                f"colour = {self.colour!r:.40} is not possible", f"control {self.name!r}", 'write for example "#5f6368"'
            )
        if len(self.dash) % 2 or not all(0 < length < math.inf for length in self.dash):
            raise UserError(
                f"dash = {self.dash!r:.40} is not possible", f"control {self.name!r}", "write for example (4, 3)"
            )


def repeated_name(condition: str, origin: Origin) -> str:
    """The name of a condition that a control repeats at another learning rate."""
    return f"{condition} {origin.title}"


def span(estimate: Estimate) -> str:
    """An estimate's value with its interval, in points."""
    value = points(estimate.value, signed=True)
    if estimate.low is None or estimate.high is None:
        return f"{value} points (an interval needs at least three seeds)"
    between = f"{points(estimate.low, signed=True)} to {points(estimate.high, signed=True)}"
    if not estimate.verdict.settled and not estimate.low <= 0 <= estimate.high:
        between += f", p {estimate.p_holm:.2f} after Holm's adjustment"
    return f"{value} points ({between})"
