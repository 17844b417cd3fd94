"""The protocols that measure transfer, one file each; importing them loads no torch."""

from __future__ import annotations

from transferlab.definitions import Table
from transferlab.specs import Protocol
from transferlab.transfer.definition import ProtocolDefinition
from transferlab.transfer.protocols.detect import detect
from transferlab.transfer.protocols.finetune import finetune
from transferlab.transfer.protocols.induction import induction
from transferlab.transfer.protocols.knn import knn
from transferlab.transfer.protocols.probe import probe
from transferlab.transfer.protocols.refit import refit

PROTOCOLS = Table("protocol", ProtocolDefinition, [probe, knn, finetune, refit, induction, detect])


def definition_of(protocol: Protocol) -> ProtocolDefinition:
    """The definition of a study's protocol; raises UserError if its name is unknown."""
    return PROTOCOLS.find(protocol.kind, f"Protocol({protocol.kind!r})")
