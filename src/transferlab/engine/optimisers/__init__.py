"""Optimisers, one definition each; importing them loads no torch."""

from __future__ import annotations

from transferlab.definitions import Table
from transferlab.engine.optimisers.adamw import adamw
from transferlab.engine.optimisers.definition import OptimiserDefinition
from transferlab.engine.optimisers.muon import muon
from transferlab.engine.optimisers.sgd import sgd

__all__ = ["OPTIMISERS", "OptimiserDefinition"]

OPTIMISERS = Table("optimiser", OptimiserDefinition, [muon, sgd, adamw])
