"""``random-features``: an untrained network, measured by the protocols that do not train its layers."""

from __future__ import annotations

from transferlab.origins.definition import Asked, Origin
from transferlab.specs import Protocol
from transferlab.transfer.protocols import definition_of


def _measured(asked: Asked) -> Protocol | None:
    frozen = definition_of(asked.protocol).frozen
    return None if frozen is None else frozen(asked.protocol)


RANDOM_FEATURES = Origin(
    name="random-features",
    title="random features",
    explained="an untrained network under the same protocol",
    tells="what a network scores without any training",
    measured=_measured,
    is_floor=True,
    colour="#0072B2",
    dash=(2, 2),
)
