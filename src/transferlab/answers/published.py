"""What the checks of the findings of Huh et al. (2016) share; each finding is in the file of its question.

A finding becomes a quantity with one value per seed, on the mean over targets, and bounds for it. The study agrees if the
whole interval lies within the bounds, and disagrees if all of it lies outside. Few of the paper's numbers are given, because
we had only parts of its text, the project page and readers' notes. Quantities and bounds are ours, committed before any network is
trained that they judge; the reasons are in LOG.md.

Losses are shares of a gain, which is what pre-training brings: over random features on targets, over guessing on the source. As shares
of the score, the losses of a target would be small where random features already score much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from transferlab.answers.contrast import Results, estimate
from transferlab.answers.estimate import LEVEL
from transferlab.answers.intervals import Interval, holm, of_seeds
from transferlab.answers.noise import Alike
from transferlab.answers.points import points
from transferlab.answers.study import StudyAnswers
from transferlab.planned import NamedCondition
from transferlab.specs import Contrast

Says = Literal["agrees", "disagrees", "cannot tell"]
Seeds = Mapping[int, float]
PREFIX = "paper-"  # of the names of studies at the paper's levels
SMALL_LOSS = 0.25  # of the gain over random features
MOST = 0.5  # of the gain over random features
NEARLY = 0.01
AN_EIGHTH = 127 / 1000
NO_SHARE = "not run yet, or pre-training gains nothing for certain, of which a share could be lost"


@dataclass(frozen=True)
class Finding:
    """A finding of the paper beside a study's own result.

    Args:
        name: F1 to F5; F5 has two parts. claim: in our words. published: what the paper reports, as far as known.
        value: mean over seeds, with its 95 % interval over seeds; None without results.
        here: what the study measured, in words.
    """

    name: str
    claim: str
    published: str
    says: Says
    value: Interval | None
    here: str


def all_and_few_labels(study: StudyAnswers) -> tuple[NamedCondition, NamedCondition]:
    """The conditions with all labels, and with about an eighth of them."""
    whole = max(conditions_of(study), key=lambda c: c.n_labels)
    return whole, nearest(study, AN_EIGHTH * whole.n_labels, lambda c: c.n_labels)


def better_on(study: StudyAnswers, a: str, b: str) -> list[str]:
    """The targets on which a is better than b, with Holm's adjustment over all targets."""
    each = {name: minus(over_targets(study, a, [name]), over_targets(study, b, [name])) for name in targets_of(study)}
    found = {name: of_seeds(np.array(list(values.values()))) for name, values in each.items() if values}
    told = {name: f for name, f in found.items() if f.p_value is not None}
    adjusted = holm([f.p_value or 0.0 for f in told.values()])
    return [name for (name, f), p in zip(told.items(), adjusted, strict=True) if f.value > 0 and p <= LEVEL]


def over_seeds(values: Seeds) -> Interval | None:
    """The mean of a quantity over seeds with its interval, by its own spread; None without values."""
    return of_seeds(np.array([values[seed] for seed in sorted(values)])) if values else None


def over_conditions(study: StudyAnswers, weights: Mapping[str, float], tried: int = 1) -> Interval | None:
    """A contrast of conditions on the mean over targets, by the spread that all conditions share, as in the study's own contrasts.

    Args:
        tried: of how many contrasts it is the most extreme; the interval is adjusted for them (Bonferroni).
    """
    names = [c.name for c in conditions_of(study)]
    results = Results("", "", {name: over_targets(study, name) for name in names}, {})
    contrast = Contrast("", weights, 0.0)
    return estimate(contrast, [results], Alike(tuple(names)), 1 - LEVEL / tried).interval


def finding_on(
    name: str, claim: str, published: str, value: Interval | None, bound: tuple[float, float], here: str, *,
    signed: bool = True, nothing: str = "not run yet",
) -> Finding:  # fmt: skip
    """The finding on a quantity that should lie between two bounds; ``here`` has a placeholder for it.

    Args:
        signed: whether its sign is shown. nothing: what to say without a value.
    """
    if value is None:
        return Finding(name, claim, published, "cannot tell", None, nothing)
    if value.low is None or value.high is None:
        text = f"{points(value.value, signed=signed)} (no interval with fewer than three seeds)"
        return Finding(name, claim, published, "cannot tell", value, here.format(text))
    low, high = bound
    inside, outside = value.low > low and value.high < high, value.high <= low or value.low >= high
    says: Says = "agrees" if inside else "disagrees" if outside else "cannot tell"
    middle, lower, upper = (points(x, signed=signed) for x in (value.value, value.low, value.high))
    return Finding(name, claim, published, says, value, here.format(f"{middle} ({lower} to {upper})"))


def scores_of(study: StudyAnswers, condition: str, target: str, protocol: str) -> dict[int, float]:
    """Each seed's score, 0…1."""
    wanted = (condition, target, protocol)
    return {s.seed: s.value for s in study.scores if (s.condition, s.target, s.protocol) == wanted}


def targets_of(study: StudyAnswers) -> dict[str, str]:
    """The targets that enter the study's means, in order, each with the protocol by which it is compared."""
    together = [t for t in study.targets if not t.apart and t.name not in study.saturated]
    first: dict[bool, str] = {}  # of targets with boxes, and of the others
    has_boxes = {t.name: t.has_boxes for t in together}
    for s in study.scores:
        if s.target in has_boxes and not s.beside:
            first.setdefault(has_boxes[s.target], s.protocol)
    have = {(s.target, s.protocol) for s in study.scores}
    both = ((t.name, first.get(t.has_boxes, "")) for t in together)
    return {name: protocol for name, protocol in both if (name, protocol) in have}


def floor_of(study: StudyAnswers) -> str:
    """The control over which gains are measured; "" if the study has none."""
    return next((c.name for c in study.conditions if c.is_floor), "")


def over_targets(study: StudyAnswers, condition: str, targets: Sequence[str] = ()) -> dict[int, float]:
    """Each seed's mean over these targets, by default all, weighted as in contrasts; only of seeds that have all of them."""
    protocols, weights = targets_of(study), study.weights
    names = list(targets or protocols)
    each = [scores_of(study, condition, name, protocols[name]) for name in names]
    seeds: set[int] = set(each[0]).intersection(*each) if each else set()
    of = [weights.get(name, 1.0) for name in names]
    return {seed: float(np.average([scores[seed] for scores in each], weights=of)) for seed in seeds}


def on_own_classes(study: StudyAnswers, condition: str) -> dict[int, float]:
    """Each seed's score on the source's own classes, if the study's answer begins with them."""
    leading = [t.name for t in study.targets if t.leads]
    protocol = next((s.protocol for s in study.scores if s.target in leading), "")
    return scores_of(study, condition, leading[0], protocol) if leading else {}


def minus(a: Seeds, b: Seeds) -> dict[int, float]:
    """a - b for each seed that both have."""
    return {seed: a[seed] - b[seed] for seed in sorted(set(a) & set(b))}


def share(a: Seeds, b: Seeds) -> dict[int, float]:
    """The ratio of the means of a and b, with a value for each seed that both have, whose mean and spread are the ratio's.

    By the delta method: r + (a - r b) / mean of b, where r is the ratio of the means. A mean of the seeds' own ratios would be biased and at
    the mercy of a seed with a small b. Empty unless b is certainly positive: of a gain that may be none there is no share.
    """
    seeds = sorted(set(a) & set(b))
    whole = of_seeds(np.array([b[seed] for seed in seeds])) if seeds else None
    if whole is None or (whole.value if whole.low is None else whole.low) <= 0:
        return {}
    ratio = mean_of({seed: a[seed] for seed in seeds}) / whole.value
    return {seed: ratio + (a[seed] - ratio * b[seed]) / whole.value for seed in seeds}


def mean_of(values: Seeds) -> float:
    """The mean over seeds; NaN without any."""
    return float(np.mean(list(values.values()))) if values else float("nan")


def conditions_of(study: StudyAnswers) -> list[NamedCondition]:
    """The conditions without the controls, in order."""
    return [c for c in study.conditions if not c.is_control]


def nearest(study: StudyAnswers, wanted: float, size: Callable[[NamedCondition], int]) -> NamedCondition:
    """The condition, other than the largest, whose size is nearest to the wanted one by ratio."""
    *rest, _ = sorted(conditions_of(study), key=size)
    return min(rest, key=lambda c: abs(np.log(size(c) / wanted)))
