"""The demo: two of the questions on the toy world, small enough for a few minutes on two cores."""

from __future__ import annotations

from pathlib import Path

from transferlab.runners.prepare import Wanted

STUDIES = ("images-per-class", "coarse-vs-fine")
TARGETS = ("toy?task=unseen", "toy?task=scenes", "toy?task=attributes")


def wanted(study: str, store: Path) -> Wanted:
    """One of STUDIES on the toy world: three seeds, the quick recipe."""
    return Wanted(study=study, source="toy", targets=TARGETS, store=store, seeds=3, recipe="quick")
