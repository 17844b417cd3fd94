"""The five findings of Huh et al. (2016), each as a number that studies of one's own can be asked for.

A finding becomes a quantity with one value per seed, over the mean of the targets, and a bound that the quantity must
keep to: it agrees where the whole interval does, disagrees where none of it does. What the paper reports is told with
what is known of it: the text itself, the project page and notes of readers were not all at hand, so few of its numbers
are. The bounds are ours, committed before the run in ``results/``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from transferlab.answers.intervals import Interval, of_seeds
from transferlab.answers.points import points
from transferlab.answers.study import ConditionFacts, StudyAnswers

Says = Literal["agrees", "disagrees", "cannot tell"]
Seeds = Mapping[int, float]
PREFIX = "paper-"  # of the names of studies at the paper's levels
FLOOR, OWN, OWN_HEAD = "random-features", "source", "own head"
DETECT = "detect"  # the protocol of targets with boxes
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


def findings(studies: Sequence[StudyAnswers]) -> list[Finding]:
    """Every finding whose study is among these; of two studies of one name the later one counts."""
    named = {study.name: study for study in studies}
    found: list[Finding] = []
    for name, rule in _RULES:
        if study := named.get(PREFIX + name):
            found.append(rule(study))
        if study := named.get(f"{PREFIX}{name}-epochs"):
            one = rule(study)
            found.append(replace(one, name=f"{one.name}, at equal passes"))
    return found


def _half_costs_little(study: StudyAnswers) -> Finding:
    whole = max(_conditions(study), key=lambda c: c.n_images)
    half = _nearest(study, whole.n_images / 2, lambda c: c.n_images)
    own = [_scores(study, c.name, OWN, OWN_HEAD) for c in (whole, half)]
    of_source = _share(_minus(*own), own[0])
    mean = _over_targets(study, whole.name)
    of_targets = _share(_minus(mean, _over_targets(study, half.name)), mean)
    return _finding(
        "F1", "Half of the images cost little on transfer, and less than on the source task itself.",
        "500 instead of about 1,000 images a class cost 1.3 to 1.5 points of detection mAP (the project page and a reader's "
        "note on the figure differ); transfer falls more slowly than accuracy on ImageNet.",
        _minus(of_source, of_targets), (0.0, np.inf),
        f"from {whole.n_images:,} to {half.n_images:,} images the targets lose {points(_mean(of_targets))} % of their score "
        f"and the source's own task {points(_mean(of_source))} %, a difference of {{}} points",
    )  # fmt: skip


def _few_labels_cost_little(study: StudyAnswers) -> Finding:
    whole, few = _all_and_few_labels(study)
    best = _over_targets(study, whole.name)
    loss = _share(_minus(best, _over_targets(study, few.name)), _minus(best, _over_targets(study, FLOOR)))
    better = [name for name in _targets(study) if _gains(study, few.name, whole.name, name)]
    return _finding(
        "F2", "An eighth of the labels costs little against the gain over a random start; on some task fewer are better.",
        "127 instead of 1,000 labels cost 2.8 points of detection mAP (project page); on at least one task fewer are better.",
        loss, (-np.inf, SMALL_LOSS),
        f"{few.n_labels} labels (in effect {few.effective_labels:.1f}) instead of {whole.n_labels} cost {{}} % of the gain over "
        f"random features; fewer are surely better on {', '.join(better) or 'no target'}",
    )  # fmt: skip


def _coarse_labels_suffice(study: StudyAnswers) -> Finding:
    whole, few = _all_and_few_labels(study)
    coarse, fine, floor = (_induced(study, name) for name in (few.name, whole.name, FLOOR))
    return _finding(
        "F3", "Features that separate fine classes arise without fine labels.",
        "Networks trained on coarse labels separate the 1,000 classes by nearest neighbours; the values are not known to us.",
        _minus(coarse, floor), (0.0, np.inf),
        f"by nearest neighbours, features of {few.n_labels} labels tell the {whole.n_labels} classes apart at {points(_mean(coarse))} %, "
        f"those of the classes themselves at {points(_mean(fine))}, random ones at {points(_mean(floor))}; coarse over random {{}} points",
    )  # fmt: skip


def _fewer_classes(study: StudyAnswers) -> Finding:
    fewer, more = (c.name for c in _conditions(study)[:2])
    return _finding(
        "F4", "At one budget, fewer classes with more images each are slightly better.",
        "Fewer classes with more images each are slightly better; budgets and values are not known to us.",
        _minus(_over_targets(study, fewer), _over_targets(study, more)), (0.0, np.inf), f"{fewer} against {more}: {{}} points",
    )  # fmt: skip


def _without_its_classes(study: StudyAnswers) -> Finding:
    without, _, whole = (c.name for c in _conditions(study))
    return _finding(
        "F5, classes", "Leaving out the target's own classes hardly matters.",
        "771 classes without PASCAL's are nearly as good on PASCAL detection as all 1,000.",
        _minus(_over_targets(study, without), _over_targets(study, whole)), (-NEARLY, np.inf), f"{without} against {whole}: {{}} points",
    )  # fmt: skip


def _more_can_fail(study: StudyAnswers) -> Finding:
    *parts, whole = (c.name for c in _conditions(study))
    gains = {part: _minus(_over_targets(study, whole), _over_targets(study, part)) for part in parts}
    least = min((part for part in parts if gains[part]), key=lambda part: _mean(gains[part]), default=parts[0])
    return _finding(
        "F5, more data", "More data do not always help.",
        "Adding data blindly does not always help and can hurt; values are not known to us.",
        gains[least], (-np.inf, NEARLY), f"{whole} against {least}, the least gain of {len(parts)}: {{}} points",
    )  # fmt: skip


def _all_and_few_labels(study: StudyAnswers) -> tuple[ConditionFacts, ConditionFacts]:
    whole = max(_conditions(study), key=lambda c: c.n_labels)
    return whole, _nearest(study, AN_EIGHTH * whole.n_labels, lambda c: c.n_labels)


def _gains(study: StudyAnswers, a: str, b: str, target: str) -> bool:
    """Whether a is surely better than b on a target, alone among comparisons."""
    each = _minus(_over_targets(study, a, [target]), _over_targets(study, b, [target]))
    found = of_seeds(np.array(list(each.values()))) if each else None
    return found is not None and found.low is not None and found.low > 0


_RULES: tuple[tuple[str, Callable[[StudyAnswers], Finding]], ...] = (
    ("images-per-class", _half_costs_little),
    ("class-count", _few_labels_cost_little),
    ("coarse-to-fine", _coarse_labels_suffice),
    ("classes-vs-images", _fewer_classes),
    ("exclude-target", _without_its_classes),
    ("more-data", _more_can_fail),
)


def _finding(name: str, claim: str, published: str, per_seed: Seeds, bound: tuple[float, float], here: str) -> Finding:
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


def _scores(study: StudyAnswers, condition: str, target: str, protocol: str) -> dict[int, float]:
    """Each seed's score, 0…1."""
    wanted = (condition, target, protocol)
    return {s.seed: s.value for s in study.scores if (s.condition, s.target, s.protocol) == wanted}


def _targets(study: StudyAnswers) -> dict[str, str]:
    """The targets that the study compares, in order, each with its protocol: the first of the study, or ``detect``."""
    first = next((s.protocol for s in study.scores if s.target != OWN and s.condition != "scratch"), "")
    have = {(s.target, s.protocol) for s in study.scores}
    both = ((t.name, next((p for p in (first, DETECT) if (t.name, p) in have), "")) for t in study.targets)
    return {name: protocol for name, protocol in both if protocol}


def _over_targets(study: StudyAnswers, condition: str, targets: Sequence[str] = ()) -> dict[int, float]:
    """Each seed's mean over these targets, or all; of seeds that have them all."""
    protocols = _targets(study)
    each = [_scores(study, condition, name, protocols[name]) for name in targets or protocols]
    seeds: set[int] = set(each[0]).intersection(*each) if each else set()
    return {seed: float(np.mean([scores[seed] for scores in each])) for seed in seeds}


def _induced(study: StudyAnswers, condition: str) -> dict[int, float]:
    """Each seed's top-1 over the source's own classes by nearest neighbours."""
    protocol = next((s.protocol for s in study.scores if s.protocol.startswith("induction")), "")
    return {s.seed: s.value for s in study.scores if s.condition == condition and s.protocol == protocol}


def _minus(a: Seeds, b: Seeds) -> dict[int, float]:
    return {seed: a[seed] - b[seed] for seed in sorted(set(a) & set(b))}


def _share(a: Seeds, b: Seeds) -> dict[int, float]:
    """What a is of b, where b is above nothing."""
    return {seed: a[seed] / b[seed] for seed in sorted(set(a) & set(b)) if b[seed] > 0}


def _mean(values: Seeds) -> float:
    return float(np.mean(list(values.values()))) if values else float("nan")


def _conditions(study: StudyAnswers) -> list[ConditionFacts]:
    return [c for c in study.conditions if not c.is_control]


def _nearest(study: StudyAnswers, wanted: float, size: Callable[[ConditionFacts], int]) -> ConditionFacts:
    """The condition whose size is the nearest to the wanted one, by ratio, the largest left out."""
    *rest, _ = sorted(_conditions(study), key=size)
    return min(rest, key=lambda c: abs(np.log(size(c) / wanted)))
