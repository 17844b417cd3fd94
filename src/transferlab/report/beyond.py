"""What the same runs say further: how many more images, what to collect next, whether the gain is leakage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab import designs
from transferlab.answers.contrast import MEAN, Results, estimates
from transferlab.answers.division import LEAST_RATIOS, Division, Way, budgets, divide, verify
from transferlab.answers.leakage import Found, Leakage, from_findings, without
from transferlab.answers.scaling import Forecast, forecast
from transferlab.answers.study import ConditionFacts, Scenes
from transferlab.errors import UserError
from transferlab.images.decode import decode
from transferlab.images.likeness import name_of_findings
from transferlab.outcomes.store import Store
from transferlab.planned import Plan
from transferlab.report.scenes import scenes_of
from transferlab.runners.packs import find
from transferlab.specs import TargetFacts
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.targets import Target, view

N_PAIRS, PAIR_PX = 16, 48
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Further:
    """What a report knows of a study when it asks for more than the declared contrasts.

    Args:
        results: of the targets over which means are taken. apart: of those that have a protocol of their own.
    """

    store: Store
    plan: Plan
    conditions: Sequence[ConditionFacts]
    results: Sequence[Results]
    apart: Sequence[Results]


def beyond(study: Further) -> dict[str, Any]:
    """The fields of StudyAnswers that go past the declared contrasts."""
    found = _leakage(study)
    return {
        "forecasts": _forecasts(study), "divisions": _divisions(study), "leakage": tuple(each for each, _ in found),
        "without": _without(study, found), "scenes": _scenes(study),
    }  # fmt: skip


def _forecasts(study: Further) -> tuple[Forecast, ...]:
    """For conditions that are numbers of images per class, by what their subsets really hold of each."""
    shown = _shown(study, designs.images_per_class.name)
    sizes = {c.name: c.n_images / c.n_labels for c in study.conditions if c.name in shown}
    names = sorted(shown, key=lambda name: sizes[name])
    if len({sizes[name] for name in names}) < 2:
        return ()
    rounded = [round(sizes[name], 1) for name in names]
    return tuple(forecast(target, rounded, scores, floor) for target, scores, floor in _tables(study, names))


def _divisions(study: Further) -> tuple[Division, ...]:
    """The best ratio at the smallest budget that has enough of them, tried on the largest that has two."""
    ways = {name: Way(int(knobs["n_classes"]), int(knobs["n_images"]))
            for name, knobs in _shown(study, designs.classes_by_images.name).items()}  # fmt: skip
    groups = budgets(ways)
    small = next((group for group in groups if len({ways[name].ratio for name in group}) >= LEAST_RATIOS), None)
    if small is None:
        return ()
    large = [group for group in groups[groups.index(small) + 1 :] if len(group) > 1]
    found = {
        target: divide(target, [ways[name] for name in small], scores) for target, scores, _ in _tables(study, small)
    }
    if large:
        for target, scores, _ in _tables(study, large[-1]):
            if found[target].kind == "best" and len(scores):
                told = verify(found[target], [ways[name] for name in large[-1]], scores)
                found[target] = replace(found[target], verified=told)
    return tuple(found.values())


def _scenes(study: Further) -> tuple[Scenes, ...]:
    """For each target with boxes what the reference condition found; of the first seed that is done."""
    found: list[Scenes] = []
    for facts in study.plan.targets:
        target = _view(study, facts) if facts.has_boxes else None
        for t in study.plan.transfers if target is not None else ():
            at = (t.condition, t.cell.target, t.compared)
            if at == (study.plan.reference, facts.digest, True) and study.store.has(t.key) and target is not None:
                found += scenes_of(
                    target, study.store.arrays(t.key), facts.name, f"the network of {t.condition}, seed {t.seed}"
                )
                break
    return tuple(found)


def _shown(study: Further, design: str) -> dict[str, dict[str, Any]]:
    """Conditions, if all are of one design, with its knobs."""
    shown = {c.name: c.design for c in study.plan.conditions if not c.is_control}
    fits = all(held is not None and held.name == design for held in shown.values())
    return {name: dict(held.knobs) for name, held in shown.items() if held is not None} if fits else {}


def _tables(study: Further, names: Sequence[str]) -> list[tuple[str, Floats, float]]:
    """The mean over targets where there are several, then each: name, scores float [K, n], score of no pre-training.

    Only seeds that have every condition count, on every target for the mean.
    """
    told: list[tuple[str, Floats, float]] = []
    groups = [list(range(len(study.results)))] if len(study.results) > 1 else []
    for group in [*groups, *([i] for i in range(len(study.results)))]:
        chosen = [study.results[i] for i in group]
        whole: list[set[int]] = [set(each.scores.get(name, {})) for each in chosen for name in names]
        seeds = sorted(whole[0].intersection(*whole))
        scores = np.zeros((len(seeds), len(names)))
        for each in chosen:
            scores += np.array([[each.scores[name][s] for name in names] for s in seeds]).reshape(scores.shape)
        floor = sum(_floor(study, i) for i in group) / len(group)
        told.append((MEAN if len(group) > 1 else chosen[0].target, scores / len(group), floor))
    return told


def _floor(study: Further, i: int) -> float:
    """A target's score without pre-training: of the floor, else of a constant guess."""
    floor = next((c.name for c in study.conditions if c.is_floor), "")
    if found := study.results[i].scores.get(floor):
        return sum(found.values()) / len(found)
    chance = next(facts.chance for facts in study.plan.targets if facts.name == study.results[i].target)
    return 0.0 if np.isnan(chance) else chance


def _leakage(study: Further) -> list[tuple[Leakage, TargetFacts]]:
    """What the store holds of each target, with pictures where the packs are still there."""
    found: list[tuple[Leakage, TargetFacts]] = []
    for facts in study.plan.targets:
        kept = study.store.pack_index(name_of_findings(study.plan.source.digest, facts.digest))
        if kept is not None:
            told = from_findings(facts.name, kept)
            found.append((replace(told, pairs=_pairs(study, facts, told.test)), facts))
    return found


def _pairs(study: Further, facts: TargetFacts, found: Found) -> NDArray[np.uint8] | None:
    """Images of the target, each followed by its likeness, from the most to the least alike."""
    try:
        target, source = find(study.store, facts), find(study.store, study.plan.source)
    except UserError:
        return None
    held = [decode(np.asarray(pack.squares[row]), PAIR_PX)
            for i in found.spread(N_PAIRS) for pack, row in ((target, found.rows[i]), (source, found.of[i]))]  # fmt: skip
    return np.stack(held) if held else None


def _without(study: Further, found: Sequence[tuple[Leakage, TargetFacts]]) -> tuple[Any, ...]:
    """The declared contrasts again without test images that are in the source; none where nothing is left out."""
    gone = {facts.name: told.test.rows for told, facts in found if told.test.rows}
    if not gone:
        return ()
    facts_of = {facts.name: facts for facts in study.plan.targets}
    kept: list[Results] = []
    for results in study.results:
        facts, metric = facts_of[results.target], METRICS.get(results.metric)
        if results.target not in gone or not facts.labels or metric is None:
            kept.append(results)
            continue
        held = study.store.labels(facts.labels)
        rows = np.flatnonzero(~np.isin(held["rows"], gone[results.target]))
        if not len(rows):
            return ()
        weights = None if metric.weights is None else metric.weights(held["labels"][rows])
        kept.append(without(results, rows, weights))
    return estimates(study.plan.contrasts, kept, study.apart)


def _view(study: Further, facts: TargetFacts) -> Target | None:
    """The target's images, if its pack is still there; only pictures need them."""
    try:
        return view(find(study.store, facts), own_classes=facts.own_classes)
    except UserError:
        return None
