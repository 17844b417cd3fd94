"""What the findings of Huh et al. (2016) are made of; each finding stands with its question.

A finding becomes a quantity with one value per seed, over the mean of the targets, and a bound that the quantity must
keep to: it agrees where the whole interval does, disagrees where none of it does. What the paper reports is told with
what is known of it: the text itself, the project page and notes of readers were not all at hand, so few of its numbers
are. The bounds are ours, committed before the run in ``results/``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from transferlab.answers.intervals import Interval, of_seeds
from transferlab.answers.points import points
from transferlab.answers.study import ConditionFacts, StudyAnswers

Says = Literal["agrees", "disagrees", "cannot tell"]
Seeds = Mapping[int, float]
PREFIX = "paper-"  # of the names of studies at the paper's levels
OWN, OWN_HEAD = "source", "own head"
SMALL_LOSS = 0.25  # of the gap to random features
NEARLY = 0.01
AN_EIGHTH = 127 / 1000


@dataclass(frozen=True)
class Finding:
    """One finding beside one's own result.

    Args:
        name: F1 to F5; F5 has two parts. claim: in our words. published: what the paper reports, as far as known.
        value: mean over seeds, with its 95 % interval over seeds; None where nothing can be computed.
        here: what was measured, in words.
    """

    name: str
    claim: str
    published: str
    says: Says
    value: Interval | None
    here: str


def all_and_few_labels(study: StudyAnswers) -> tuple[ConditionFacts, ConditionFacts]:
    """The conditions with all labels, and with about an eighth of them."""
    whole = max(conditions_of(study), key=lambda c: c.n_labels)
    return whole, nearest(study, AN_EIGHTH * whole.n_labels, lambda c: c.n_labels)


def surely_better(study: StudyAnswers, a: str, b: str, target: str) -> bool:
    """Whether a is surely better than b on a target, alone among comparisons."""
    each = minus(over_targets(study, a, [target]), over_targets(study, b, [target]))
    found = of_seeds(np.array(list(each.values()))) if each else None
    return found is not None and found.low is not None and found.low > 0


def finding_on(
    name: str, claim: str, published: str, per_seed: Seeds, bound: tuple[float, float], here: str
) -> Finding:
    """The verdict on a quantity that should lie between two bounds; ``here`` has a place for it."""
    if not per_seed:
        return Finding(name, claim, published, "cannot tell", None, "not run yet")
    value = of_seeds(np.array([per_seed[seed] for seed in sorted(per_seed)]))
    if value.low is None or value.high is None:
        told = f"{points(value.value, signed=True)} (under three seeds there is no interval)"
        return Finding(name, claim, published, "cannot tell", value, here.format(told))
    low, high = bound
    inside, outside = value.low > low and value.high < high, value.high <= low or value.low >= high
    says: Says = "agrees" if inside else "disagrees" if outside else "cannot tell"
    told = f"{points(value.value, signed=True)} ({points(value.low, signed=True)} to {points(value.high, signed=True)})"
    return Finding(name, claim, published, says, value, here.format(told))


def scores_of(study: StudyAnswers, condition: str, target: str, protocol: str) -> dict[int, float]:
    """Each seed's score, 0…1."""
    wanted = (condition, target, protocol)
    return {s.seed: s.value for s in study.scores if (s.condition, s.target, s.protocol) == wanted}


def targets_of(study: StudyAnswers) -> dict[str, str]:
    """The targets over which the study takes its means, in order, each with the protocol that it is compared by."""
    together = [t for t in study.targets if not t.apart]
    first: dict[bool, str] = {}  # of targets with boxes, and of the others
    has_boxes = {t.name: t.has_boxes for t in together}
    for s in study.scores:
        if s.target in has_boxes and not s.beside:
            first.setdefault(has_boxes[s.target], s.protocol)
    have = {(s.target, s.protocol) for s in study.scores}
    both = ((t.name, first.get(t.has_boxes, "")) for t in together)
    return {name: protocol for name, protocol in both if (name, protocol) in have}


def floor_of(study: StudyAnswers) -> str:
    """The control over which gains are read; "" where the study has none."""
    return next((c.name for c in study.conditions if c.is_floor), "")


def over_targets(study: StudyAnswers, condition: str, targets: Sequence[str] = ()) -> dict[int, float]:
    """Each seed's mean over these targets, or all; of seeds that have them all."""
    protocols = targets_of(study)
    each = [scores_of(study, condition, name, protocols[name]) for name in targets or protocols]
    seeds: set[int] = set(each[0]).intersection(*each) if each else set()
    return {seed: float(np.mean([scores[seed] for scores in each])) for seed in seeds}


def on_own_classes(study: StudyAnswers, condition: str) -> dict[int, float]:
    """Each seed's score on the source's own classes, where the study's answer opens with them."""
    leading = [t.name for t in study.targets if t.leads]
    protocol = next((s.protocol for s in study.scores if s.target in leading), "")
    return scores_of(study, condition, leading[0], protocol) if leading else {}


def minus(a: Seeds, b: Seeds) -> dict[int, float]:
    """Differences of the seeds that both have."""
    return {seed: a[seed] - b[seed] for seed in sorted(set(a) & set(b))}


def share(a: Seeds, b: Seeds) -> dict[int, float]:
    """What a is of b, where b is above nothing."""
    return {seed: a[seed] / b[seed] for seed in sorted(set(a) & set(b)) if b[seed] > 0}


def mean_of(values: Seeds) -> float:
    """The mean over seeds; NaN without any."""
    return float(np.mean(list(values.values()))) if values else float("nan")


def conditions_of(study: StudyAnswers) -> list[ConditionFacts]:
    """The conditions without the controls, in order."""
    return [c for c in study.conditions if not c.is_control]


def nearest(study: StudyAnswers, wanted: float, size: Callable[[ConditionFacts], int]) -> ConditionFacts:
    """The condition whose size is the nearest to the wanted one, by ratio, the largest left out."""
    *rest, _ = sorted(conditions_of(study), key=size)
    return min(rest, key=lambda c: abs(np.log(size(c) / wanted)))
