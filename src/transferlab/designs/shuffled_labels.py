"""Shuffled labels: any design's images with its labels in random order, the control for "did the labels matter?"."""

from __future__ import annotations

from dataclasses import replace

from transferlab.identity import stream
from transferlab.specs import Design, Subset

_PREFIX = "shuffled "


def shuffled(design: Design) -> Design:
    """The same rows as the design, its labels permuted among them."""
    return Design(_PREFIX + design.name, design.knobs)


def unshuffled(design: Design) -> str:
    """The name of the design whose labels are shuffled; the design's own name if they are not."""
    return design.name.removeprefix(_PREFIX)


def permuted(subset: Subset, seed: int, replicate: int) -> Subset:
    """The subset with its labels permuted; each label keeps its number of images."""
    order = stream("shuffled labels", seed, replicate).permutation(len(subset.labels))
    return replace(subset, labels=subset.labels[order])
