"""Analyses beyond the declared contrasts: how many more images, what to collect next, learning rates, leakage, classes, detections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab import designs
from transferlab.answers.classes import Classes, ImagesTested, classes_of
from transferlab.answers.contrast import Results, estimates, shares
from transferlab.answers.division import LEAST_RATIOS, Division, Way, budgets, divide, verify
from transferlab.answers.estimate import MEAN, Estimate
from transferlab.answers.leakage import Found, Leakage, from_findings, without
from transferlab.answers.rates import Declared, Rates, at_rates, prefer
from transferlab.answers.scaling import Forecast, forecast
from transferlab.answers.study import Scenes
from transferlab.designs import DesignDefinition
from transferlab.images.decode import decode
from transferlab.images.likeness import name_of_findings
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.planned import Plan
from transferlab.report.results import alike, metrics_of, names_of, of_plan, pack_of, predictions_of
from transferlab.report.scenes import scenes_of
from transferlab.specs import TargetFacts
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.metrics.top1 import TOP1
from transferlab.transfer.targets import view

N_PAIRS, PAIR_PX = 16, 48
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """A study's plan and results.

    Args:
        results: of the targets that enter means. apart: of those with a protocol of their own.
        planned: the estimates of the declared contrasts.
    """

    store: Store
    plan: Plan
    results: Sequence[Results]
    apart: Sequence[Results]
    planned: Sequence[Estimate]


def analyses(study: Measured) -> dict[str, Any]:
    """The fields of StudyAnswers that hold these analyses; one that fails is empty and named in ``failed``."""
    failed: dict[str, Exception] = {}

    def tried(name: str, analysis: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        try:
            return analysis()
        except Exception as error:  # noqa: BLE001  the other analyses are still correct; its section raises it
            failed[name] = error
            return ()

    found = tried("leakage", lambda: tuple(_leakage(study)))
    without, lacking = tried("without", lambda: _without(study, found)) or ((), ())
    return {
        "forecasts": tried("forecasts", lambda: _forecasts(study)),
        "divisions": tried("divisions", lambda: _divisions(study)),
        "rates": tried("rates", lambda: _rates(study)),
        "leakage": tuple(each for each, _ in found),
        "without": without,
        "with_copies": lacking,
        "classes": tried("classes", lambda: tuple(_classes(study))),
        "scenes": tried("scenes", lambda: _scenes(study)),
        "failed": failed,
    }


def _forecasts(study: Measured) -> tuple[Forecast, ...]:
    """For conditions that are numbers of images per class; sizes are those of the subsets as drawn."""
    design, shown = _shown(study)
    if design is None or not design.per_class:
        return ()
    sizes = {c.name: c.n_images / c.n_labels for c in study.plan.conditions if c.name in shown}
    names = sorted(shown, key=lambda name: sizes[name])
    if len({sizes[name] for name in names}) < 2:
        return ()
    rounded = [round(sizes[name], 1) for name in names]
    return tuple(forecast(target, rounded, scores, floor) for target, scores, floor in _tables(study, names))


def _divisions(study: Measured) -> tuple[Division, ...]:
    """The best ratio at the smallest budget with enough ratios, tested at the largest budget with at least two."""
    design, shown = _shown(study)
    if design is None or design.division is None:
        return ()
    ways = {name: Way(*(int(knobs[setting]) for setting in design.division)) for name, knobs in shown.items()}
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
                verified = verify(found[target], [ways[name] for name in large[-1]], scores)
                found[target] = replace(found[target], verified=verified)
    return tuple(found.values())


def _rates(study: Measured) -> tuple[Rates, ...]:
    """Where a control trained every condition at another learning rate, the contrasts at the two rates."""
    plan = study.plan
    again = {c.repeats: c.name for c in plan.conditions if c.repeats}
    if not again:
        return ()
    accuracies: dict[str, dict[int, float]] = {name: {} for name in (*again, *again.values())}
    for training in (t for t in plan.trainings if t.condition in accuracies):
        value = metrics_of(study.store.record(source_key(training.key))).get(TOP1.name)
        if value is not None:
            accuracies[training.condition][training.seed] = value
    preferences = [prefer(name, other, accuracies[name], accuracies[other]) for name, other in again.items()]
    first = next(c for c in plan.conditions if c.repeats)
    other_lr = next(t.cell.recipe.lr for t in plan.trainings if t.condition == first.name)
    declared = Declared(plan.contrasts, study.results, study.apart, study.planned, alike(plan))
    return (at_rates(declared, preferences, (plan.recipe.lr, other_lr), first.explained),)


def _scenes(study: Measured) -> tuple[Scenes, ...]:
    """For each target with boxes, the detections of the reference condition's first seed that has a result."""
    found: list[Scenes] = []
    for facts in (facts for facts in study.plan.targets if facts.has_boxes):
        wanted = (study.plan.reference, facts.digest, True)
        cells = (t for t in study.plan.transfers if (t.condition, t.cell.target, t.compared) == wanted)
        first, pack = next((t for t in cells if study.store.has(t.key)), None), pack_of(study.store, facts)
        if first is not None and pack is not None:
            network = f"the network of {first.condition}, seed {first.seed}"
            target = view(pack, own_classes=facts.own_classes)
            found += scenes_of(target, study.store.arrays(first.key), facts.name, network)
    return tuple(found)


def _classes(study: Measured) -> Iterator[Classes]:
    """The reference condition's results class by class, beside the floor's, where cells hold what was predicted."""
    plan, store = study.plan, study.store
    for facts in plan.targets:
        if facts.has_boxes or facts.many_labels or not facts.labels:
            continue
        shown = predictions_of(store, plan, facts, plan.reference)
        if shown.of_seed:
            labels, pack = store.labels(facts.labels)["labels"], pack_of(store, facts)
            names = None if pack is None else names_of(pack.taxonomy)
            base = predictions_of(store, plan, facts, plan.floor.name) if plan.floor else None
            yield classes_of(ImagesTested(facts.name, labels, names, facts.folds), shown, base)


def _shown(study: Measured) -> tuple[DesignDefinition | None, dict[str, dict[str, Any]]]:
    """The design of all conditions, and each condition's settings; None if they have several, or it is not available here."""
    shown = {c.name: c.design for c in study.plan.conditions if not c.is_control}
    names = {"" if held is None else held.name for held in shown.values()}
    design = designs.DESIGNS.get(names.pop()) if len(names) == 1 else None
    return design, {name: dict(held.knobs) for name, held in shown.items() if held is not None}


def _tables(study: Measured, names: Sequence[str]) -> list[tuple[str, Floats, float]]:
    """The mean over targets if there are several, then each target: name, scores float [K, n], score without pre-training.

    Only seeds that have every condition are used; for the mean, on every target.
    """
    tables: list[tuple[str, Floats, float]] = []
    groups = [list(range(len(study.results)))] if len(study.results) > 1 else []
    for group in [*groups, *([i] for i in range(len(study.results)))]:
        chosen = [study.results[i] for i in group]
        whole: list[set[int]] = [set(each.scores.get(name, {})) for each in chosen for name in names]
        seeds = sorted(whole[0].intersection(*whole))
        scores, weights = np.zeros((len(seeds), len(names))), shares([each.n_examples for each in chosen])
        for weight, each in zip(weights, chosen, strict=True):
            scores += weight * np.array([[each.scores[name][s] for name in names] for s in seeds]).reshape(scores.shape)
        floor = float(sum(weight * _floor(study, i) for weight, i in zip(weights, group, strict=True)))
        tables.append((MEAN if len(group) > 1 else chosen[0].target, scores, floor))
    return tables


def _floor(study: Measured, i: int) -> float:
    """A target's score without pre-training: that of the floor, else of a constant guess."""
    floor = study.plan.floor
    if found := study.results[i].scores.get(floor.name if floor else ""):
        return sum(found.values()) / len(found)
    chance = next(facts.chance for facts in study.plan.targets if facts.name == study.results[i].target)
    return chance or 0.0


def _leakage(study: Measured) -> list[tuple[Leakage, TargetFacts]]:
    """What the store holds on each target, with pictures if the packs still exist."""
    found: list[tuple[Leakage, TargetFacts]] = []
    for facts in study.plan.targets:
        kept = study.store.pack_index(name_of_findings(study.plan.source.digest, facts.digest))
        if kept is not None:
            leakage = from_findings(facts.name, kept)
            leakage = leakage.with_all_tested() if facts.folds else leakage
            found.append((replace(leakage, pairs=_pairs(study, facts, leakage.test)), facts))
    return found


def _pairs(study: Measured, facts: TargetFacts, found: Found) -> NDArray[np.uint8] | None:
    """Images of the target, each followed by its duplicate, from the most to the least alike."""
    target, source = pack_of(study.store, facts), pack_of(study.store, study.plan.source)
    if target is None or source is None:
        return None
    held = [decode(np.asarray(pack.squares[row]), PAIR_PX)
            for i in found.spread(N_PAIRS) for pack, row in ((target, found.rows[i]), (source, found.of[i]))]  # fmt: skip
    return np.stack(held) if held else None


def _without(
    study: Measured, found: Sequence[tuple[Leakage, TargetFacts]]
) -> tuple[tuple[Estimate, ...], tuple[str, ...]]:
    """The declared contrasts without the test images that are in the source, and targets whose results still have them.

    The contrasts are empty if there are no such images, or a target's results cannot be computed again without them.
    """
    copies = {facts.name: leakage.test.rows for leakage, facts in found if leakage.test.rows}
    facts_of = {facts.name: facts for facts in study.plan.targets}
    kept: dict[str, Results] = {}
    lacking: list[str] = []
    for results in (*study.results, *study.apart):
        again = _again(study, results, facts_of[results.target], copies.get(results.target, ()))
        kept |= {results.target: again} if again is not None else {}
        lacking += [] if again is not None else [results.target]
    if not copies or lacking:
        return (), tuple(lacking)
    together, apart = ([kept[each.target] for each in group] for group in (study.results, study.apart))
    return estimates(study.plan.contrasts, together, apart, alike(study.plan)), ()


def _again(study: Measured, results: Results, facts: TargetFacts, copies: Sequence[int]) -> Results | None:
    """A target's results without these rows; None if no test image is left, or the results do not say which were right."""
    if not copies:
        return results
    metric = of_plan(study.plan, METRICS, results.metric)
    if metric is None or not facts.labels or not (results.rows or results.score_of):
        return None
    held = study.store.labels(facts.labels)
    rows = np.flatnonzero(~np.isin(held["rows"], copies))
    return without(results, rows, metric.share(held["labels"][rows])) if len(rows) else None
