"""Estimates in words: the only place where accuracies become percentage points."""

from __future__ import annotations

from transferlab.specs import Contrast, Estimate


def points(value: float, *, signed: bool = False) -> str:
    """A share as percentage points with one digit, a true minus sign."""
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    if text in ("+0.0", "-0.0"):
        return "0.0"
    return text.replace("-", "−")


def sentence(estimate: Estimate, unit: str = "") -> str:
    """One estimate as a plain sentence with its interval and verdict; ``unit`` follows numeric levels."""
    subject, base = sides(estimate.contrast, unit)
    where = f"on {estimate.target}" if estimate.target != "mean over these targets" else "on average over these targets"
    if estimate.n_seeds == 0:
        return f"{subject} against {base} {where}: no seed has all of it yet."
    seeds = f"{estimate.n_seeds} seed{'s' if estimate.n_seeds > 1 else ''}"
    if estimate.low is None or estimate.high is None:
        return (
            f"{subject} against {base} {where}: {points(estimate.value, signed=True)} points with {seeds}; "
            "under three seeds there is no interval."
        )
    between = f"95 % interval {points(estimate.low, signed=True)} to {points(estimate.high, signed=True)}, {seeds}"
    if estimate.verdict in ("better", "worse"):
        size = points(abs(estimate.value))
        return f"{subject} is {estimate.verdict} than {base} {where}, by {size} points ({between})."
    if estimate.verdict == "the same within the margin":
        return (
            f"{subject} is the same as {base} {where}, within {points(estimate.contrast.margin)} points: "
            f"{points(estimate.value, signed=True)} ({between})."
        )
    text = f"{subject} against {base} {where}: cannot tell, {points(estimate.value, signed=True)} points ({between})"
    if estimate.more_seeds is not None:
        return f"{text}; about {estimate.more_seeds} more seed{'s' if estimate.more_seeds > 1 else ''} would decide."
    if (estimate.low > 0 or estimate.high < 0) and (estimate.p_holm or 0.0) > 0.05:
        return f"{text}; alone it would count, but not among so many comparisons (p {estimate.p_holm:.2f} after Holm)."
    return f"{text}; more seeds alone would hardly decide."


def sides(contrast: Contrast, unit: str = "") -> tuple[str, str]:
    """What is compared with what, in words; a numeric level gets its unit once, where it is first named."""
    plus = [name for name, weight in contrast.weights.items() if weight > 0]
    minus = [name for name, weight in contrast.weights.items() if weight < 0]
    first = " and ".join(plus)
    if unit and all(name.replace(".", "", 1).isdigit() for name in plus):
        first = f"{first} {unit}"
    return first, " and ".join(minus)
