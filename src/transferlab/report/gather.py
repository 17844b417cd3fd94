"""From the store to what a report shows: scores, estimates, checks, what is missing, samples and provenance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab import designs
from transferlab.answers.contrast import MEAN, Results, estimates
from transferlab.answers.sentences import points, sentence, summary
from transferlab.answers.study import Check, ConditionFacts, Missing, Score, StudyAnswers, TargetFacts
from transferlab.errors import UserError
from transferlab.images.pack import remarks
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.runners.packs import find
from transferlab.specs import (
    Contrast,
    Epochs,
    Estimate,
    Examples,
    PackRef,
    Plan,
    Protocol,
    Recipe,
    Transfer,
    restored,
)
from transferlab.transfer.targets import Target, view

N_SAMPLES = 24


def all_answers(store: Store) -> list[StudyAnswers]:
    """Every study of a store, answered, in the order in which they were last run.

    Raises:
        UserError: no study has been run there.
    """
    found = [answers(store, identity) for identity in store.studies()]
    if not found:
        raise UserError("no study has been run in this store", str(store.path), "run one: transferlab run --help")
    return found


def answers(store: Store, identity: str) -> StudyAnswers:
    """One study, answered from what the store has of it; what is missing is named."""
    plan = restored(store.studies()[identity])
    if not isinstance(plan, Plan):
        raise UserError("the stored study cannot be read", identity, "run the study's command again")
    records = {t.key: store.record(t.key) for t in plan.transfers}
    targets = [(reference, _view(store, plan, reference)) for reference in plan.targets]
    main = plan.protocols[0]
    facts = tuple(_target_facts(reference, target) for reference, target in targets)
    results = [
        _results(store, plan, reference, f, main, records) for reference, f in zip(plan.targets, facts, strict=True)
    ]
    declared = estimates(plan.contrasts, results)
    floor = "random-features"
    explored: tuple[Estimate, ...] = ()
    if any(each.scores.get(floor) for each in results):
        gain = Contrast(f"{plan.reference} against {floor}", {plan.reference: 1.0, floor: -1.0}, 0.0)
        explored = estimates([gain], results)
    return StudyAnswers(
        name=plan.name, question=plan.question, source=plan.source.name, n_seeds=plan.seeds, unit=plan.unit,
        conditions=_conditions(store, plan), targets=facts, scores=tuple(_scores(store, plan, facts, records)),
        estimates=declared, exploratory=explored, checks=_checks(plan, results), missing=tuple(_missing(store, plan)),
        samples=_samples(store, plan), protocol=_protocol(plan), provenance=_provenance(store, plan, records),
        notes=_notes(store, plan),
    )  # fmt: skip


def table_rows(store: Store) -> list[dict[str, str | int | float | None]]:
    """One row per cell and metric of every study, in the plans' order; nothing in it depends on when it was made."""
    rows: list[dict[str, str | int | float | None]] = []
    for plan in map(restored, store.studies().values()):
        names = {reference.digest: reference.name for reference in plan.targets}
        for training in plan.trainings:
            key = source_key(training.key)
            for metric, value in _metrics(store.record(key)).items():
                rows.append(_row(plan, training.condition, training.seed, "source", "own head", metric, value, key))
        for t in plan.transfers:
            for metric, value in _metrics(store.record(t.key)).items():
                target, protocol = names[t.cell.target], t.cell.protocol.label
                rows.append(_row(plan, t.condition, t.seed, target, protocol, metric, value, t.key))
    return rows


def _metrics(record: dict[str, Any] | None) -> dict[str, float]:
    return {} if record is None else cast("dict[str, float]", record["metrics"])


def _row(plan: Plan, *cells: str | int | float) -> dict[str, str | int | float | None]:
    columns = ("condition", "seed", "target", "protocol", "metric", "value", "key")
    return {"study": plan.name, "source": plan.source.name, **dict(zip(columns, cells, strict=True))}


def _view(store: Store, plan: Plan, reference: PackRef) -> Target | None:
    """The target's pack, if it is still there; answers do not need it."""
    try:
        return view(find(store, reference), own_classes=reference.digest == plan.source.digest)
    except UserError:
        return None


def _target_facts(reference: PackRef, target: Target | None) -> TargetFacts:
    if target is None:
        return TargetFacts(reference.name, "top1", float("nan"), 0, 0, 0, 0, ("its pack is gone",))
    notes = tuple(remarks(target.pack))
    sizes = (len(target.train), len(target.val), len(target.test))
    return TargetFacts(reference.name, target.metric, target.chance, *sizes, target.n_classes, notes)


def _results(
    store: Store, plan: Plan, reference: PackRef, facts: TargetFacts, protocol: Protocol,
    records: Mapping[str, dict[str, Any] | None],
) -> Results:  # fmt: skip
    """Scores and per-example rows of one target under the study's first protocol (scratch under its own)."""
    scores: defaultdict[str, dict[int, float]] = defaultdict(dict)
    rows: defaultdict[str, dict[int, NDArray[np.float64]]] = defaultdict(dict)
    for t in plan.transfers:
        record = records[t.key]
        if t.cell.target != reference.digest or record is None or not _is_main(t, protocol):
            continue
        scores[t.condition][t.seed] = float(record["metrics"][facts.metric])
        if facts.metric != "mean average precision":
            rows[t.condition][t.seed] = store.arrays(t.key)["right"].astype(np.float64)
    weights = _class_weights(store, plan, reference) if facts.metric == "mean class accuracy" else None
    return Results(facts.name, facts.metric, dict(scores), dict(rows), weights)


def _is_main(transfer: Transfer, protocol: Protocol) -> bool:
    return transfer.cell.protocol == protocol or transfer.condition == "scratch"


def _class_weights(store: Store, plan: Plan, reference: PackRef) -> NDArray[np.float64] | None:
    """Weights with which the mean over examples is the mean over classes."""
    target = _view(store, plan, reference)
    if target is None:
        return None
    labels = target.pack.labels[target.test]
    counts = np.bincount(labels)
    return 1.0 / counts[labels] / (counts > 0).sum()


def _scores(
    store: Store, plan: Plan, facts: Sequence[TargetFacts], records: Mapping[str, dict[str, Any] | None]
) -> Iterator[Score]:
    by_digest = {reference.digest: fact for reference, fact in zip(plan.targets, facts, strict=True)}
    for training in plan.trainings:
        key = source_key(training.key)
        value = _metrics(store.record(key)).get("top1")
        if value is not None:
            yield Score(training.condition, training.seed, "source", "own head", "top1", value, key)
    for t in plan.transfers:
        record, fact = records[t.key], by_digest[t.cell.target]
        if record is not None:
            value = float(record["metrics"][fact.metric])
            yield Score(t.condition, t.seed, fact.name, t.cell.protocol.label, fact.metric, value, t.key)


def _conditions(store: Store, plan: Plan) -> tuple[ConditionFacts, ...]:
    found: list[ConditionFacts] = []
    for condition in plan.conditions:
        digests = tuple(t.cell.subset for t in plan.trainings if t.condition == condition.name)
        if not digests:
            found.append(ConditionFacts(condition.name, True, 0, 0, 0.0, 0.0, ()))
            continue
        facts = designs.facts(store.read_subset(digests[0]))
        found.append(ConditionFacts(
            condition.name, condition.is_control, facts.n_images, facts.n_labels, facts.effective_labels,
            facts.largest_share, digests, condition.factor,
        ))  # fmt: skip
    return tuple(found)


def _checks(plan: Plan, results: Sequence[Results]) -> tuple[Check, ...]:
    """The controls' verdicts: the A/A pair must not differ, shuffled labels must not help."""
    found: list[Check] = []
    names = {c.name for c in plan.conditions}
    if "a/a" in names:
        twins = Contrast("a/a", {plan.reference: 1.0, "a/a": -1.0}, 0.0)
        told = [e for e in estimates([twins], results) if e.n_seeds]
        differs = [e for e in told if e.verdict in ("better", "worse")]
        text = "; ".join(f"{e.target} {_span(e)}" for e in (differs or told[:1]))
        found.append(Check("a/a", bool(differs), f"Two draws of {plan.reference} {'differ' if differs else 'agree'}: {text}."
                           if told else "The A/A pair is not done yet."))  # fmt: skip
    if {"shuffled-labels", "random-features"} <= names:
        gain = Contrast("shuffled", {"shuffled-labels": 1.0, "random-features": -1.0}, 0.0)
        told = [e for e in estimates([gain], results) if e.n_seeds]
        loss = Contrast("shuffled", {"shuffled-labels": 1.0, plan.reference: -1.0}, 0.0)
        helps = [e for e in estimates([loss], results) if e.verdict == "better"]
        text = "; ".join(f"{e.target} {_span(e)}" for e in told[:1])
        sentence = f"Shuffled labels against random features: {text}."
        if helps:
            sentence = f"Shuffled labels do better than {plan.reference}: " + "; ".join(_span(e) for e in helps) + "."
        found.append(Check("shuffled-labels", bool(helps), sentence if told else "Shuffled labels are not done yet."))
    return tuple(found)


def _span(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{points(estimate.value, signed=True)} points, no interval under three seeds"
    return (
        f"{points(estimate.value, signed=True)} points ({points(estimate.low, signed=True)} to "
        f"{points(estimate.high, signed=True)})"
    )


def _missing(store: Store, plan: Plan) -> Iterator[Missing]:
    failures = store.failures()
    names = {reference.digest: reference.name for reference in plan.targets}
    untrained = {t.key for t in plan.trainings if not store.has(t.key)}
    for t in plan.trainings:
        if t.key in untrained:
            yield Missing(t.condition, t.seed, "pre-training", failures.get(t.key, {}).get("reason", "not run yet"))
    for t in plan.transfers:
        if not store.has(t.key):
            reason = "its pre-training is missing" if t.cell.network in untrained else "not run yet"
            yield Missing(t.condition, t.seed, names[t.cell.target], failures.get(t.key, {}).get("reason", reason))


def _samples(store: Store, plan: Plan) -> dict[str, NDArray[np.uint8]]:
    """The first images of each condition's first subset, spread over its labels."""
    try:
        pack = find(store, plan.source)
    except UserError:
        return {}
    found: dict[str, NDArray[np.uint8]] = {}
    for condition in plan.conditions:
        digests = [t.cell.subset for t in plan.trainings if t.condition == condition.name]
        if digests and not condition.is_control:
            subset = store.read_subset(digests[0])
            order = np.argsort(subset.labels, kind="stable")
            chosen = order[np.linspace(0, len(order) - 1, min(N_SAMPLES, len(order))).round().astype(int)]
            found[condition.name] = np.asarray(pack.images[subset.rows[chosen]])
    return found


def _protocol(plan: Plan) -> tuple[tuple[str, str], ...]:
    recipe = plan.recipe
    rule = recipe.augmentation
    steps = [f"crop after {rule.crop_px} px of padding" if rule.crop_px else "", "flip" if rule.flip else "",
             f"cutout {rule.cutout_px} px" if rule.cutout_px else "", f"colour {rule.colour}" if rule.colour else ""]  # fmt: skip
    return (
        ("Pre-training length", length_in_words(recipe)),
        ("Backbone", f"{recipe.backbone} at {recipe.image_px} px"),
        ("Optimiser", f"{recipe.optimiser}, batch {recipe.batch}, peak rate {recipe.lr}, {recipe.schedule}, weight decay "
                      f"{recipe.weight_decay}, label smoothing {recipe.label_smoothing}"),
        ("Augmentation", ", ".join(step for step in steps if step) or "none"),
        ("Transfer", "; ".join(_protocol_in_words(p) for p in plan.protocols)),
        ("Choices", "every choice is made on validation images; test labels are read once, afterwards"),
        ("Intervals", "95 %; one value per seed (a fresh draw of images, a fresh training), paired; Student's t, widened "
                      "by what new test images would add; Holm over the declared contrasts"),
    )  # fmt: skip


def length_in_words(recipe: Recipe) -> str:
    """The recipe's length, and what is therefore compared."""
    length = recipe.length
    if isinstance(length, Examples):
        return f"{length.n:,} examples seen, the same for every condition (fewer images are seen more often)"
    if isinstance(length, Epochs):
        return f"{length.n} passes over each subset (larger subsets are trained longer)"
    return f"until the validation loss is flat, at most {length.max_examples:,} examples"


def _protocol_in_words(protocol: Protocol) -> str:
    words = {
        "probe": "linear probe: logistic regression on frozen features",
        "knn": "cosine nearest neighbours on frozen features",
        "finetune": "fine-tuning of all layers",
    }[protocol.kind]
    return (
        words if protocol.shots is None else f"{words}, {protocol.shots} examples a class for training and validation"
    )


def _provenance(store: Store, plan: Plan, records: Mapping[str, dict[str, Any] | None]) -> tuple[tuple[str, str], ...]:
    note = store.note(plan.identity)
    trained = [r for r in (store.record(t.key) for t in plan.trainings) if r]
    done = [*trained, *(r for r in records.values() if r)]
    made: dict[str, Any] = done[-1]["made_by"] if done else {}
    seconds = sum(float(r["seconds"]) for r in done)
    pairs = [
        ("Command", str(note.get("command", "not kept"))),
        ("Study", plan.identity),
        ("Source", f"{plan.source.spec}, digest {plan.source.digest}"),
        *((f"Target {t.name}", f"{t.spec}, digest {t.digest}") for t in plan.targets),
        ("Seeds", f"0 to {plan.seeds - 1}"),
        ("Machine", f"{made.get('machine', 'unknown')}, {plan.device}, {plan.precision}, "
                    f"{made.get('threads', '?')} threads a worker"),
        ("Versions", ", ".join(f"{k} {made[k]}" for k in ("transferlab", "python", "torch", "torchvision", "timm", "numpy")
                               if k in made)),
        ("Cells", f"{len(done)} done, {seconds:,.0f} seconds of work in all"),
    ]  # fmt: skip
    return tuple(pairs)


def _notes(store: Store, plan: Plan) -> tuple[str, ...]:
    try:
        pack = find(store, plan.source)
    except UserError:
        return ("The source's pack is gone.",)
    return tuple(remarks(pack))


def headline(study: StudyAnswers) -> list[str]:
    """The study's answer in few sentences: alarms, then the mean over targets (or the one target)."""
    said = [check.sentence for check in study.checks if check.alarm]
    over = MEAN if len(study.targets) != 1 else study.targets[0].name
    told = [e for e in study.estimates if e.target == over]
    short = summary(told, study.unit)
    return [*said, *([short] if short else []), *(sentence(e, study.unit) for e in told)]
