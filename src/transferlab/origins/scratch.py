"""``scratch``: no pre-training; every layer is trained on the target alone, from random weights."""

from __future__ import annotations

from dataclasses import replace

from transferlab.origins.definition import Asked, Origin
from transferlab.specs import Protocol
from transferlab.transfer.protocols import definition_of, finetune

MOST_EXAMPLES = 60_000  # and at most half of what pre-training sees, since two learning rates are tried


def _measured(asked: Asked) -> Protocol | None:
    """The protocol if it trains every layer; else fine-tuning at as many shots, the study's own if it has one."""
    definition = definition_of(asked.protocol)
    if definition.from_scratch is not None:
        return definition.from_scratch(asked.protocol)
    own = [p for p in asked.protocols if (d := definition_of(p)).from_scratch is not None and not d.boxes]
    if own:
        return next((p for p in own if p.shots == asked.protocol.shots), own[0])
    examples = min(MOST_EXAMPLES, asked.n_examples // 2)
    return replace(Protocol(finetune.name), shots=asked.protocol.shots, knobs={"examples": examples})


SCRATCH = Origin(
    name="scratch",
    title="from scratch",
    explained="all layers trained on the target alone",
    measured=_measured,
    colour="#D55E00",
    dash=(6, 2),
)
