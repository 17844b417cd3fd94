"""``scratch``: no pre-training; every layer is trained on the target alone, from random weights."""

from __future__ import annotations

from transferlab.origins.definition import Asked, Origin
from transferlab.specs import Protocol
from transferlab.transfer.protocols import definition_of, finetune
from transferlab.transfer.protocols.finetune import MOST


def _measured(asked: Asked) -> Protocol | None:
    """The protocol from random weights if it trains every layer; else the study's own fine-tuning.

    Without one it is a fine-tuning of half as many examples as pre-training sees, at most MOST.
    """
    if (own := _from_scratch(asked.protocol)) is not None:
        return own
    tuned = [p for p in asked.protocols if not definition_of(p).boxes and _from_scratch(p) is not None]
    if tuned:
        return _from_scratch(next((p for p in tuned if p.shots == asked.protocol.shots), tuned[0]))
    examples = max(1, min(MOST, asked.n_examples // 2))
    return _from_scratch(finetune(shots=asked.protocol.shots, examples=examples))


def _from_scratch(protocol: Protocol) -> Protocol | None:
    change = definition_of(protocol).from_scratch
    return None if change is None else change(protocol)


SCRATCH = Origin(
    name="scratch",
    title="from scratch",
    explained="all layers trained on the target alone",
    tells="what pre-training gains over the target alone",
    measured=_measured,
    colour="#D55E00",
    dash=(6, 2),
)
