"""Shuffled labels: a design's images under its labels in random order, the control for "did the labels matter?"."""

from __future__ import annotations

from dataclasses import replace

from transferlab.identity import stream
from transferlab.specs import Design, Subset

PREFIX = "shuffled "


def shuffled(design: Design) -> Design:
    """The same rows as the design, its labels permuted among them."""
    return Design(PREFIX + design.name, design.knobs)


def permuted(subset: Subset, seed: int, replicate: int) -> Subset:
    """The subset with its labels permuted; their counts stay."""
    order = stream("shuffled labels", seed, replicate).permutation(len(subset.labels))
    return replace(subset, labels=subset.labels[order])
