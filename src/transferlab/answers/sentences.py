"""Estimates, forecasts, divisions of a budget, near duplicates and learning rates in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from transferlab.answers.division import Division
from transferlab.answers.estimate import MEAN, Estimate, Wording
from transferlab.answers.leakage import Found, Leakage
from transferlab.answers.points import points
from transferlab.answers.rates import Pair, Rates
from transferlab.answers.scaling import Forecast
from transferlab.specs import TREND, Contrast
from transferlab.text import listed

NO_TITLES: Mapping[str, str] = MappingProxyType({})


def sentence(estimate: Estimate, unit: str = "", titles: Mapping[str, str] = NO_TITLES) -> str:
    """One estimate as a plain sentence with its interval and verdict.

    Args:
        unit: follows numeric levels. titles: display names of conditions and controls whose names are not to be shown.
    """
    subject, base = sides(estimate.contrast, unit, titles)
    where = _where(estimate.target)
    if estimate.n_seeds == 0:
        return f"{subject} against {base} {where}: no seed has results for all of these yet."
    seeds = f"{estimate.n_seeds} seed{'s' if estimate.n_seeds > 1 else ''}"
    if estimate.low is None or estimate.high is None:
        return (
            f"{subject} against {base} {where}: {points(estimate.value, signed=True)} points with {seeds}; "
            "an interval needs at least three seeds."
        )
    between = f"95 % interval {points(estimate.low, signed=True)} to {points(estimate.high, signed=True)}, {seeds}"
    if estimate.contrast.name == TREND:
        return f"{subject} changes the score {where} by {points(estimate.value, signed=True)} points ({between}): {estimate.verdict}."
    return estimate.verdict.sentence(estimate, Wording(subject, base, where, between))


def summary(estimates: Sequence[Estimate], unit: str = "", opening: str = "In short") -> str | None:
    """A chain of steps (each number against the smaller one before) in one sentence; None for other contrasts.

    Args:
        estimates: of one target, or of the mean over several, in the order of the conditions.
        opening: what stands before the colon.
    """
    pairs = [(_named(e.contrast, 1), _named(e.contrast, -1)) for e in estimates if e.n_seeds]
    if len(pairs) < 2 or any(low != high for (high, _), (_, low) in pairwise(pairs)) or not _rising(pairs):
        return None
    estimates = [e for e in estimates if e.n_seeds]
    if any(e.low is None for e in estimates):
        return f"{opening}: an answer needs at least three seeds."
    what = f"more {unit}" if unit else "more"
    helps = [i for i, e in enumerate(estimates) if e.verdict.direction > 0]
    level = pairs[helps[-1]][0] if helps else pairs[0][1]
    said = f"{what} help up to {level}" if helps else f"no step from {level} on helps significantly"
    later = estimates[helps[-1] + 1 :] if helps else estimates
    hurts = [pairs[i][0] for i, e in enumerate(estimates) if e.verdict.direction < 0]
    if hurts:
        said += f"; {' and '.join(hurts)} {'is' if len(hurts) == 1 else 'are'} worse than the level before"
    elif later and all(e.verdict.settled for e in later):
        said += f"; beyond {level}, no step changes the score by more than {points(later[0].contrast.margin)} points"
    elif later and helps:
        said += f"; whether more than {level} help is not clear yet"
    return f"{opening}: {said}."


def _rising(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether the conditions of each pair are numbers, the first larger than the second."""
    try:
        return all(float(high) > float(low) for high, low in pairs)
    except ValueError:
        return False


def _named(contrast: Contrast, sign: int, titles: Mapping[str, str] = NO_TITLES) -> str:
    return " and ".join(titles.get(name, name) for name, weight in contrast.weights.items() if weight * sign > 0)


def sides(contrast: Contrast, unit: str = "", titles: Mapping[str, str] = NO_TITLES) -> tuple[str, str]:
    """What is compared with what, in words; only the first level is followed by the unit."""
    if contrast.name == TREND:
        return f"Each doubling of the {unit}" if unit else "Each doubling", "none"
    return with_unit(_named(contrast, 1, titles), unit), _named(contrast, -1, titles)


def with_unit(title: str, unit: str) -> str:
    """A condition's title, if it is a number followed by the unit."""
    return f"{title} {unit}" if unit and title.replace(".", "", 1).isdigit() else title


def forecast_in_words(forecast: Forecast, unit: str = "") -> str:
    """The gain from twice the images, or why it cannot be predicted, and how well the laws predict the largest size."""
    where = _where(forecast.target)
    doubled = f"doubling to {2 * forecast.sizes[-1]:,.0f} {unit}".strip()
    failed = f"The gain from {doubled} {where} cannot be predicted: {forecast.cannot}"
    if forecast.check is None or forecast.next is None:
        return f"{failed}."
    check = forecast.check
    tried = (
        f"fitted without {check.size:,.0f}, the laws predict {points(check.low)} to {points(check.high)} % there; "
        f"{points(check.measured)} % was measured"
    )
    if forecast.cannot:
        return f"{failed} ({tried})."
    _, low, high = forecast.gain
    nothing = ", and perhaps nothing" if low < 0 else ""
    return (
        f"{doubled[0].upper()}{doubled[1:]} would bring {points(low, signed=True)} to {points(high, signed=True)} points "
        f"{where}{nothing} (95 % prediction interval over {forecast.n_seeds} seeds; {tried})."
    )


def division_in_words(division: Division) -> str:
    """The best way to spend a budget of images, what it implies for a larger one, and whether measurements there agree."""
    where, few, many = _where(division.target), division.ways[0], division.ways[-1]
    said = f"At {division.budget:,.0f} images {where}"
    span = f"{_way(few.classes, few.images)} and {_way(many.classes, many.images)}"
    if division.kind == "cannot":
        return f"{said}: the best division cannot be estimated with fewer than three ratios and three seeds."
    if division.kind == "flat":
        return f"{said}: cannot tell which division is best; any two between {span} differ by at most {points(division.within)} points."
    if division.kind != "best":
        end = many if division.kind == "more classes" else few
        return f"{said}: the {division.kind} the better, up to {_way(end.classes, end.images)}, the end of the measured range."
    low, high = ((division.budget * ratio) ** 0.5 for ratio in (division.low, division.high))
    text = f"{said} the best is about {_way(*division.best_at(division.budget))} ({low:,.0f} to {high:,.0f} classes)"
    return f"{text}{_verified(division)}."


def _verified(division: Division) -> str:
    checked = division.verified
    if checked is None:
        classes, images = division.best_at(4 * division.budget)
        return f"; at four times as many images, that ratio means {_way(classes, images)}, which was not measured"
    difference = checked.difference
    text = f"; at {checked.budget:,.0f}, that ratio means {_way(*division.best_at(checked.budget))}; measured there: "
    text += f"{_way(checked.nearest.classes, checked.nearest.images)} against {_way(checked.other.classes, checked.other.images)}"
    text += f" {points(difference.value, signed=True)} points"
    if difference.low is None or difference.high is None:
        return f"{text}, without an interval (it needs at least three seeds)"
    verdict = "agrees" if difference.low > 0 else "disagrees" if difference.high < 0 else "cannot tell"
    return f"{text} ({points(difference.low, signed=True)} to {points(difference.high, signed=True)}): {verdict}"


def leakage_in_words(found: Leakage) -> list[str]:
    """How much of a target is in the source's training images, and how much of its test set is in its own other images."""
    test, train, within = found.test, found.train, found.within
    others = f" and {_alike(train, 'training and validation images')}" if train.n else ""
    lines = [
        f"{found.target}: {_alike(test, 'test images')}{others} are copies of some of the source's {found.n_source:,} "
        "training images.",
        f"{found.target}: {_alike(within, 'images of its test split' if found.in_folds else 'test images')} are copies of its own "
        f"training or validation images{', and those without equal pixels may be in different folds' if found.in_folds else ''}.",
    ]
    if test.n_plain:
        lines.append(
            f"{found.target}: {test.n_plain:,} test images have too little contrast to be compared, except for equal pixels."
        )
    return lines


def _alike(found: Found, what: str) -> str:
    n, exact = len(found.rows), sum(found.exact)
    share = f" ({100 * n / found.n:.1f} %; {exact:,} exact)" if n else ""
    return f"{n:,} of {found.n:,} {what}{share}"


BETTER_RATE = "each condition is trained at the better of its two learning rates"


def rates_in_short(rates: Rates) -> str:
    """How many verdicts change at another learning rate."""
    parts = [_in_short(pairs, clause) for clause, pairs in _settings(rates)]
    if len(parts) == 1:
        rate = rates.title if rates.preferences[0].takes_other else "at the study's rate"
        parts.append(f"every condition does better {rate} by the source's validation images")
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}."


def rates_in_words(rates: Rates, unit: str = "", titles: Mapping[str, str] = NO_TITLES) -> list[str]:
    """Each verdict that changes at another learning rate, with the difference then and the change."""
    return [
        _changed(pair, clause, unit, titles) for clause, pairs in _settings(rates) for pair in pairs if pair.changes
    ]


def preferences_in_words(rates: Rates) -> list[str]:
    """The rate at which each condition does better on the source's validation images."""
    lines: list[str] = []
    groups = {f"at the study's learning rate, {rates.lr:g}": [p.condition for p in rates.preferences if p.chosen == p.condition],
              f"at {rates.other_lr:g}": [p.condition for p in rates.preferences if p.chosen == p.again]}  # fmt: skip
    parts = [
        f"{listed(names)} {'does' if len(names) == 1 else 'do'} better {where}"
        for where, names in groups.items()
        if names
    ]
    if parts:
        lines.append(f"By accuracy on the source's validation images, {', and '.join(parts)}.")
    if unknown := [p.condition for p in rates.preferences if not p.chosen]:
        lines.append(f"No rate is chosen for {listed(unknown)}: no seed has validation accuracies at both rates.")
    return lines


def _settings(rates: Rates) -> list[tuple[str, tuple[Pair, ...]]]:
    """The other ways to set the rates, each as a clause that follows "if", and its contrasts; one if all do better at one rate."""
    alike = all(p.chosen for p in rates.preferences) and len({p.takes_other for p in rates.preferences}) == 1
    found = [(f"every condition is trained {rates.title}", rates.other), (BETTER_RATE, rates.better)]
    return found[:1] if alike else found


def _in_short(pairs: Sequence[Pair], clause: str) -> str:
    known, n_changed = [pair for pair in pairs if pair.known], sum(pair.changes for pair in pairs)
    if not known:
        return f"whether a verdict changes if {clause} needs at least three seeds with all networks"
    some = " that can be compared so far" if len(known) < len(pairs) else ""
    if not n_changed:
        return f"no verdict{some} changes if {clause}"
    if len(known) == 1:
        return f"the only verdict{some} changes if {clause}"
    return f"{n_changed} of {len(known)} verdicts{some} {'change' if n_changed > 1 else 'changes'} if {clause}"


def _changed(pair: Pair, clause: str, unit: str, titles: Mapping[str, str]) -> str:
    planned, then, change = pair
    subject, base = sides(planned.contrast, unit, titles)
    said = (
        f"The verdict on {subject} against {base} {_where(planned.target)} changes from {planned.verdict} to {then.verdict} if "
        f"{clause}: the difference is {points(planned.value, signed=True)} points as planned, {points(then.value, signed=True)} then"
    )
    if change is None:
        return f"{said}, of the same networks; only Holm's adjustment differs."
    if change.low is None or change.high is None:
        return f"{said}."
    between = f"{points(change.low, signed=True)} to {points(change.high, signed=True)}"
    return f"{said}, a change of {points(change.value, signed=True)} (95 % interval {between}, {change.n_seeds} seeds)."


def _way(classes: float, images: float) -> str:
    return f"{classes:,.0f} classes × {images:,.0f} images"


def _where(target: str) -> str:
    return "on average over these targets" if target == MEAN else f"on {target}"
