"""Scores as percentage points; nothing else formats them."""

from __future__ import annotations


def points(value: float, *, signed: bool = False) -> str:
    """A share, 0…1, in percentage points with one digit and a true minus sign."""
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    if text in ("+0.0", "-0.0"):
        return "0.0"
    return text.replace("-", "−")
