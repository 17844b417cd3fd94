"""Estimates in words: the only place where accuracies become percentage points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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


def summary(estimates: Sequence[Estimate], unit: str = "", opening: str = "In short") -> str | None:
    """A chain of steps (each condition against the one before) in one sentence; None for other contrasts.

    Args:
        estimates: of one target, or of the mean over several, in the order of the conditions.
        opening: what stands before the colon.
    """
    pairs = [(_named(e.contrast, 1), _named(e.contrast, -1)) for e in estimates if e.n_seeds]
    if len(pairs) < 2 or any(low != high for (high, _), (_, low) in pairwise(pairs)):
        return None
    if any(e.low is None for e in estimates):
        return f"{opening}: under three seeds nothing can be told."
    what = f"more {unit}" if unit else "more"
    helps = [i for i, e in enumerate(estimates) if e.verdict == "better"]
    level = pairs[helps[-1]][0] if helps else pairs[0][1]
    said = f"{what} help up to {level}" if helps else f"no step from {level} on is sure to help"
    later = estimates[helps[-1] + 1 :] if helps else estimates
    hurts = [pairs[i][0] for i, e in enumerate(estimates) if e.verdict == "worse"]
    if hurts:
        said += f"; {' and '.join(hurts)} is worse than what comes before it"
    elif later and all(e.verdict == "the same within the margin" for e in later):
        said += f"; beyond {level} they change nothing by more than {points(later[0].contrast.margin)} points"
    elif later and helps:
        said += f"; whether more than {level} help cannot be told yet"
    return f"{opening}: {said}."


def _named(contrast: Contrast, sign: int) -> str:
    return " and ".join(name for name, weight in contrast.weights.items() if weight * sign > 0)


def sides(contrast: Contrast, unit: str = "") -> tuple[str, str]:
    """What is compared with what, in words; a numeric level gets its unit once, where it is first named."""
    first, base = _named(contrast, 1), _named(contrast, -1)
    return (f"{first} {unit}" if unit and first.replace(".", "", 1).isdigit() else first), base
