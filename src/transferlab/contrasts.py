"""Contrasts that a study declares before it runs: rules over its conditions, or single pairs."""

from __future__ import annotations

from transferlab.specs import Contrast, ContrastRule


def steps(margin: float = 0.01) -> ContrastRule:
    """Each condition against the one before it.

    Args:
        margin: in 0…1; within it two conditions count as the same.
    """
    return ContrastRule("steps", margin)


def against(base: str, margin: float = 0.01) -> ContrastRule:
    """Each condition against one of them."""
    return ContrastRule("against", margin, base)


def ends(margin: float = 0.01) -> ContrastRule:
    """The last condition against the first."""
    return ContrastRule("ends", margin)


def compare(condition: str, base: str, margin: float = 0.01) -> Contrast:
    """One condition against another."""
    return Contrast(f"{condition} against {base}", {condition: 1.0, base: -1.0}, margin)
