"""What the checks of the findings of Huh et al. (2016) share; each finding is in the file of its question.

A finding becomes a quantity with one value per seed, on the mean over targets, and bounds for it. The study agrees if the
whole interval lies within the bounds, and disagrees if all of it lies outside. Few of the paper's numbers are given, because
we had only parts of its text, the project page and readers' notes. The bounds are ours, committed to ``results/`` before
the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from transferlab.answers.intervals import Interval, of_seeds
from transferlab.answers.points import points
from transferlab.answers.study import StudyAnswers
from transferlab.planned import NamedCondition

Says = Literal["agrees", "disagrees", "cannot tell"]
Seeds = Mapping[int, float]
PREFIX = "paper-"  # of the names of studies at the paper's levels
SMALL_LOSS = 0.25  # of the gap to random features
NEARLY = 0.01
AN_EIGHTH = 127 / 1000


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


def significantly_better(study: StudyAnswers, a: str, b: str, target: str) -> bool:
    """Whether a is significantly better than b on a target, without adjustment for other comparisons."""
    each = minus(over_targets(study, a, [target]), over_targets(study, b, [target]))
    found = of_seeds(np.array(list(each.values()))) if each else None
    return found is not None and found.low is not None and found.low > 0


def finding_on(
    name: str, claim: str, published: str, per_seed: Seeds, bound: tuple[float, float], here: str
) -> Finding:
    """The finding on a quantity that should lie between two bounds; ``here`` has a placeholder for it."""
    if not per_seed:
        return Finding(name, claim, published, "cannot tell", None, "not run yet")
    value = of_seeds(np.array([per_seed[seed] for seed in sorted(per_seed)]))
    if value.low is None or value.high is None:
        text = f"{points(value.value, signed=True)} (no interval with fewer than three seeds)"
        return Finding(name, claim, published, "cannot tell", value, here.format(text))
    low, high = bound
    inside, outside = value.low > low and value.high < high, value.high <= low or value.low >= high
    says: Says = "agrees" if inside else "disagrees" if outside else "cannot tell"
    text = f"{points(value.value, signed=True)} ({points(value.low, signed=True)} to {points(value.high, signed=True)})"
    return Finding(name, claim, published, says, value, here.format(text))


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
    """a / b for each seed that both have with a positive b."""
    return {seed: a[seed] / b[seed] for seed in sorted(set(a) & set(b)) if b[seed] > 0}


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
