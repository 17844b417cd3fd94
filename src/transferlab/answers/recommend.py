"""What an answer says first: whether pre-training helps, what to do, and how much there is to gain; at most three sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from transferlab.answers.estimate import MEAN, Estimate
from transferlab.answers.points import points
from transferlab.answers.sentences import NO_TITLES, sides, summary, with_unit
from transferlab.planned import NamedCondition
from transferlab.specs import TREND
from transferlab.text import number_of


class Help(NamedTuple):
    """The best condition against networks that were not pre-trained, and the protocol, by its label, that measured both."""

    protocol: str
    estimate: Estimate


def helps(
    found: Sequence[Help], n_conditions: int, unit: str = "", titles: Mapping[str, str] = NO_TITLES
) -> str | None:
    """Whether pre-training helps, against each kind of network without it; None without such networks.

    Args:
        n_conditions: of which the best is compared; the intervals are adjusted for the choice.
    """
    if not found:
        return None
    chosen = f" (the best of {n_conditions} conditions, which the interval allows for)" if n_conditions > 1 else ""
    return f"{'; '.join(_gain(each, unit, titles) for each in found)}{chosen}."


def _gain(each: Help, unit: str, titles: Mapping[str, str]) -> str:
    e = each.estimate
    subject, base = sides(e.contrast, unit, titles)
    told = f"{subject} against {base} {_where(e)} by {each.protocol}, {points(e.value, signed=True)} points"
    if e.low is None or e.high is None:
        return f"Whether pre-training helps needs at least three seeds: {told}"
    says = (
        "Pre-training helps"
        if e.low > 0
        else "Pre-training hurts"
        if e.high < 0
        else "Cannot tell whether pre-training helps"
    )
    return f"{says}: {told} ({span(e)})"


def recommendations(
    estimates: Sequence[Estimate],
    conditions: Sequence[NamedCondition],
    unit: str = "",
    titles: Mapping[str, str] = NO_TITLES,
) -> list[str]:
    """What to do, and what the whole range of levels gains, from the declared contrasts on the mean or the only target.

    Args:
        conditions: in the order of the question, without controls.
    """
    known = [e for e in estimates if e.n_seeds and e.low is not None]
    if not known:
        return []
    ladder = _ladder(known, conditions)
    if ladder:
        return [_enough(ladder, conditions, unit, titles), *_range(known, ladder, unit, titles)]
    short = summary(
        estimates, unit, "In short, on average over these targets" if known[0].target == MEAN else "In short"
    )
    return [short or _either(known[0], unit, titles)]


def _ladder(estimates: Sequence[Estimate], conditions: Sequence[NamedCondition]) -> list[Estimate]:
    """The last condition against the others, from the nearest to the first; empty if a study does not ask for that.

    Only of rising numbers: "enough" and "still rising" mean nothing for other conditions.
    """
    names, factors = [c.name for c in conditions], [c.factor for c in conditions]
    if any(low is None or high is None or not low < high for low, high in pairwise(factors)):
        return []
    found = {name: e for e in estimates if (name := _against_last(e, names[-1]))}
    held = [found[name] for name in reversed(names) if name in found]
    return held if len(held) > 1 else []


def _against_last(e: Estimate, last: str) -> str:
    """The condition that the last is compared with, whichever is named first; "" in other contrasts."""
    weights = {name: weight for name, weight in e.contrast.weights.items() if weight}
    others = [name for name in weights if name != last]
    return others[0] if weights.keys() > {*others} and len(others) == 1 and abs(weights[last]) == 1 else ""


def _enough(
    ladder: Sequence[Estimate], conditions: Sequence[NamedCondition], unit: str, titles: Mapping[str, str]
) -> str:
    """The smallest level beyond which at most the margin can be gained, or what is known of the step below the largest.

    Levels are tried from the largest down until one fails, so that each keeps its level without adjustment (a fixed sequence).
    """
    last = conditions[-1].name
    found: Estimate | None = None
    for e in ladder:
        if _gain_of(e, last)[2] > e.contrast.margin:
            break
        found = e
    nearest = found or ladder[0]
    level = _against_last(nearest, last)
    value, low, high = _gain_of(nearest, last)
    name, top = _titled(level, unit, titles), titles.get(last, last)
    if found is not None:
        bring = f"loses {points(-high)} to {points(-low)}" if high < 0 else f"brings at most {points(max(high, 0.0))}"
        fewer = _images(level, last, conditions)
        return f"{name} is enough {_where(nearest)}: {top} {bring} points{fewer}."
    if low > 0 and nearest.verdict.direction:
        return (f"Still rising at the largest level tried: {_titled(last, unit, titles)} gains {points(value)} points ({points(low)} to "
                f"{points(high)}) over {titles.get(level, level)} {_where(nearest)}, and more may gain more.")  # fmt: skip
    return (f"Not decided whether {name} is enough {_where(nearest)}: {top} brings {points(value, signed=True)} points "
            f"({points(low, signed=True)} to {points(high, signed=True)}), so a gain of more than {points(high)} can be excluded"
            f"{_more(nearest)}.")  # fmt: skip


def _range(known: Sequence[Estimate], ladder: Sequence[Estimate], unit: str, titles: Mapping[str, str]) -> list[str]:
    """What the whole range of levels gains, and each doubling."""
    ends = ladder[-1]
    last = next(
        name for name, weight in ends.contrast.weights.items() if weight and name != _against_last(ladder[0], name)
    )
    first = next(name for name, weight in ends.contrast.weights.items() if weight and name != last)
    value, low, high = _gain_of(ends, last)
    text = f"From {titles.get(first, first)} to {_titled(last, unit, titles)} the score changes by {points(value, signed=True)} points "
    text += f"({points(low, signed=True)} to {points(high, signed=True)})"
    if trend := next((e for e in known if e.contrast.name == TREND), None):
        text += f"; each doubling brings {points(trend.value, signed=True)} ({span(trend)})"
    return [f"{text}."]


def _either(e: Estimate, unit: str, titles: Mapping[str, str]) -> str:
    """The primary contrast as advice."""
    subject, base = sides(e.contrast, unit, titles)
    if e.verdict.direction:
        better, worse = (subject, base) if e.verdict.direction > 0 else (base, subject)
        low, high = sorted((abs(e.low or 0.0), abs(e.high or 0.0)))
        return f"Take {better}: it is {points(abs(e.value))} points ({points(low)} to {points(high)}) better than {worse} {_where(e)}."
    bound = points(max(abs(e.low or 0.0), abs(e.high or 0.0)))
    if e.verdict.settled:
        return f"Either will do: {subject} and {base} differ by at most {bound} points {_where(e)} ({span(e)})."
    return (f"Not decided between {subject} and {base} {_where(e)}: {points(e.value, signed=True)} points ({span(e)}), so a difference of "
            f"more than {bound} can be excluded{_more(e)}.")  # fmt: skip


def _more(e: Estimate) -> str:
    if e.more_seeds is None:
        return "; more seeds alone are unlikely to decide"
    total = e.n_seeds + e.more_seeds
    return f"; {number_of(e.more_seeds, 'more seed')} would decide with a probability of 80 % (--seeds {total})"


def _images(level: str, last: str, conditions: Sequence[NamedCondition]) -> str:
    """How many images the level needs instead of all; "" if it needs as many."""
    sizes = {c.name: c.n_images for c in conditions}
    return f", for {sizes[last]:,} instead of {sizes[level]:,} images" if sizes[level] < sizes[last] else ""


def _gain_of(e: Estimate, last: str) -> tuple[float, float, float]:
    """Value and interval of the last condition minus the other."""
    assert e.low is not None and e.high is not None
    return (e.value, e.low, e.high) if e.contrast.weights[last] > 0 else (-e.value, -e.high, -e.low)


def _titled(name: str, unit: str, titles: Mapping[str, str]) -> str:
    return with_unit(titles.get(name, name), unit)


def span(e: Estimate) -> str:
    """An estimate's interval in points."""
    assert e.low is not None and e.high is not None
    return f"{points(e.low, signed=True)} to {points(e.high, signed=True)}"


def _where(e: Estimate) -> str:
    return "on average over these targets" if e.target == MEAN else f"on {e.target}"
