"""The only place where accuracies become percentage points."""

from __future__ import annotations


def points(value: float, *, signed: bool = False) -> str:
    """A share as percentage points with one digit, a true minus sign."""
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    if text in ("+0.0", "-0.0"):
        return "0.0"
    return text.replace("-", "−")
