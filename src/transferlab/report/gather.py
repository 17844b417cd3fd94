"""From the store to what a report shows: scores, estimates, checks, what is missing, samples and provenance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.contrast import MEAN, Results, estimates
from transferlab.answers.sentences import points, sentence, summary
from transferlab.answers.study import Check, Missing, Score, StudyAnswers, TargetFacts
from transferlab.errors import UserError
from transferlab.images.pack import remarks
from transferlab.outcomes.store import Store
from transferlab.plan import compared, source_key
from transferlab.planned import PackRef, Plan, restored
from transferlab.report.beyond import Further, beyond, class_weights, target_view
from transferlab.report.conditions import conditions
from transferlab.report.method import measured_how
from transferlab.runners.packs import find
from transferlab.specs import Contrast, Estimate, Protocol
from transferlab.transfer.metrics import mean_average_precision
from transferlab.transfer.targets import Target

N_SAMPLES = 24
OWN, OWN_HEAD = "source", "own head"  # target and protocol of a network's accuracy on its own source
FLOOR = "random-features"
# What induction tells besides the classes themselves, each a table of its own.
BESIDE = ("top5", "top1 within the superclass", "superclass top1", "superclass mean accuracy")
ALARM = "Do not trust the rest before this is explained."
NOT_RUN, NOT_TRAINED = "not run yet", "its pre-training is missing"


def all_answers(store: Store, study: str | None = None) -> list[StudyAnswers]:
    """Every study of a store (or those of one name), answered, in the order in which they were last run.

    Raises:
        UserError: no study has been run there, or none of this name.
    """
    return [answers(store, identity) for identity in identities(store, study)]


def identities(store: Store, study: str | None) -> list[str]:
    """Identities of the studies of a store, or of those of one name.

    Raises:
        UserError: there is none.
    """
    names = {identity: str(stored["name"]) for identity, stored in store.studies().items()}
    found = [identity for identity, name in names.items() if study in (None, name)]
    if study is not None and names and not found:
        raise UserError(
            f"the store has no study {study!r}", str(store.path), f"it has {', '.join(set(names.values()))}"
        )
    if not found:
        raise UserError("no study has been run in this store", str(store.path), "run one: transferlab run --help")
    return found


def answers(store: Store, identity: str) -> StudyAnswers:
    """One study, answered from what the store has of it; what is missing is named."""
    plan = restored(store.studies()[identity])
    if not isinstance(plan, Plan):
        raise UserError("the stored study cannot be read", identity, "run the study's command again")
    records = {t.key: store.record(t.key) for t in plan.transfers}
    names = _target_names(plan)
    facts = tuple(_target_facts(names[t.digest], target_view(store, plan, t), _metrics_on(plan, t, records))
                  for t in plan.targets)  # fmt: skip
    fact_of = {t.digest: fact for t, fact in zip(plan.targets, facts, strict=True)}
    results, apart = (
        [_results(store, plan, t, fact_of[t.digest], records, own) for t, own in each] for each in _compared_on(plan)
    )
    declared = estimates(plan.contrasts, results, apart)
    explored: tuple[Estimate, ...] = ()
    if any(each.scores.get(FLOOR) for each in (*results, *apart)):
        gain = Contrast(f"{plan.reference} against {FLOOR}", {plan.reference: 1.0, FLOOR: -1.0}, 0.0)
        explored = estimates([gain], results, apart)
    scores = tuple(_scores(store, plan, fact_of, records))
    found = conditions(store, plan)
    further = Further(store, plan, facts, found, results, apart)
    return StudyAnswers(
        name=plan.name, question=plan.question, source=plan.source.name, n_seeds=plan.seeds, unit=plan.unit,
        conditions=found, targets=facts, scores=scores,
        estimates=declared, exploratory=explored, checks=_checks(plan, results), missing=tuple(_missing(store, plan)),
        samples=_samples(store, plan), protocol=measured_how(plan), provenance=_provenance(store, plan, records),
        notes=_notes(store, plan), **beyond(further),
    )  # fmt: skip


def table_rows(store: Store, study: str | None = None) -> list[dict[str, str | int | float | None]]:
    """One row per cell and metric of every study (or those of one name), in the plans' order.

    Nothing in it depends on when it was made.
    """
    rows: list[dict[str, str | int | float | None]] = []
    stored = store.studies()
    for identity in identities(store, study) if study else stored:
        plan: Plan = restored(stored[identity])
        names = _target_names(plan)
        for training in plan.trainings:
            key = source_key(training.key)
            for metric, value in _metrics(store.record(key)).items():
                rows.append(_row(plan, training.condition, training.seed, OWN, OWN_HEAD, metric, value, key))
        for t in plan.transfers:
            for metric, value in _metrics(store.record(t.key)).items():
                target, protocol = names[t.cell.target], t.cell.protocol.label
                rows.append(_row(plan, t.condition, t.seed, target, protocol, metric, value, t.key))
    return rows


def _target_names(plan: Plan) -> dict[str, str]:
    """Each target's digest to its name; where two share a name, or it means something else, the spec follows."""
    names = [reference.name for reference in plan.targets]
    taken = {OWN, MEAN, *(name for name in names if names.count(name) > 1)}
    return {t.digest: f"{t.name} ({t.spec})" if t.name in taken else t.name for t in plan.targets}


def _metrics(record: dict[str, Any] | None) -> dict[str, float]:
    return {} if record is None else cast("dict[str, float]", record["metrics"])


def _row(plan: Plan, *cells: str | int | float) -> dict[str, str | int | float | None]:
    columns = ("condition", "seed", "target", "protocol", "metric", "value", "key")
    return {"study": plan.name, "source": plan.source.name, **dict(zip(columns, cells, strict=True))}


def _metrics_on(plan: Plan, reference: PackRef, records: Mapping[str, dict[str, Any] | None]) -> set[str]:
    """The metrics that finished cells have on a target."""
    return {m for t in plan.transfers if t.cell.target == reference.digest for m in _metrics(records[t.key])}


def _target_facts(name: str, target: Target | None, metrics: Set[str]) -> TargetFacts:
    if target is None:
        metric = next((m for m in ("mean average precision", "mAP") if m in metrics), "top1")
        note = f"{name}: its pack is gone, so its sizes and the level of guessing are unknown, and {metric} is shown."
        return TargetFacts(name, metric, float("nan"), 0, 0, 0, 0, (note,))
    notes = tuple(remarks(target.pack))
    sizes = (len(target.train), len(target.val), len(target.test))
    return TargetFacts(name, target.metric, target.chance, *sizes, target.n_classes, notes)


def _compared_on(plan: Plan) -> tuple[list[tuple[PackRef, None]], list[tuple[PackRef, Protocol]]]:
    """The targets that the study's first protocol compares, and those that have one of their own: the source's classes."""
    asked = {(t.cell.target, t.cell.protocol.label) for t in plan.transfers}
    together: list[tuple[PackRef, None]] = []
    apart: list[tuple[PackRef, Protocol]] = []
    for target in plan.targets:
        first = compared(plan, target, plan.reference)
        own = next((p for p in plan.protocols if p.of_source and (target.digest, p.label) in asked), None)
        if first is not None and (target.digest, first.label) in asked:
            together.append((target, None))
        elif own is not None:
            apart.append((target, own))
    return together, apart


def _results(
    store: Store, plan: Plan, reference: PackRef, facts: TargetFacts, records: Mapping[str, dict[str, Any] | None],
    own: Protocol | None,
) -> Results:  # fmt: skip
    """Scores and per-example rows of one target under its own protocol, else the study's first (scratch under its)."""
    scores: defaultdict[str, dict[int, float]] = defaultdict(dict)
    rows: defaultdict[str, dict[int, NDArray[np.float64] | NDArray[np.bool_]]] = defaultdict(dict)
    ranked: dict[tuple[str, int], tuple[NDArray[np.float32], NDArray[np.int8]]] = {}
    n_examples = 0
    for t in plan.transfers:
        record = records[t.key]
        if (
            t.cell.target != reference.digest
            or record is None
            or t.cell.protocol != (own or compared(plan, reference, t.condition))
        ):
            continue
        scores[t.condition][t.seed] = float(record["metrics"][facts.metric])
        held = store.arrays(t.key)
        if facts.metric == "mean average precision":
            ranked[t.condition, t.seed] = (held["scores"].astype(np.float32), held["labels"])
        elif reference.has_boxes:
            rows[t.condition][t.seed] = held["value"]
        else:
            rows[t.condition][t.seed] = held["right"]  # a byte an example; contrasts make floats of them, one at a time
        n_examples = len(held["value"] if reference.has_boxes else next(iter(held.values())))
    target = target_view(store, plan, reference) if facts.metric == "mean class accuracy" else None
    weights = None if target is None else class_weights(target.pack.labels[target.test])

    def redrawn(condition: str, seed: int, examples: NDArray[np.int64]) -> float:
        found, labels = ranked[condition, seed]
        return mean_average_precision(found[examples], labels[examples])

    return Results(facts.name, facts.metric, dict(scores), dict(rows), weights, redrawn if ranked else None, n_examples)


def _scores(
    store: Store, plan: Plan, fact_of: Mapping[str, TargetFacts], records: Mapping[str, dict[str, Any] | None]
) -> Iterator[Score]:
    """Every score that a report shows, under the study's first protocol first."""
    for training in plan.trainings:
        key = source_key(training.key)
        value = _metrics(store.record(key)).get("top1")
        if value is not None:
            yield Score(training.condition, training.seed, OWN, OWN_HEAD, "top1", value, key)
    targets, order = {t.digest: t for t in plan.targets}, [p.label for p in plan.protocols]
    shown = [t for t in plan.transfers if t.condition != "scratch"
             or t.cell.protocol == compared(plan, targets[t.cell.target], "scratch")]  # fmt: skip
    shown.sort(key=lambda t: order.index(t.cell.protocol.label) if t.cell.protocol.label in order else 0)
    for more in ("", *BESIDE):
        for t in shown:
            record, fact, protocol = records[t.key], fact_of[t.cell.target], t.cell.protocol
            if record is None or (more and (protocol.kind != "induction" or more not in record["metrics"])):
                continue
            name, metric = f"{protocol.label}: {more}" if more else protocol.label, more or fact.metric
            yield Score(t.condition, t.seed, fact.name, name, metric, float(record["metrics"][metric]), t.key)


def _checks(plan: Plan, results: Sequence[Results]) -> tuple[Check, ...]:
    """The controls' verdicts: the A/A pair must not differ, shuffled labels must not help."""
    names = {c.name for c in plan.conditions}
    found: list[Check] = []
    if "a/a" in names:
        found.append(_twins(plan.reference, _against(plan.reference, "a/a", results)))
    if "shuffled-labels" in names:
        gain = _against("shuffled-labels", FLOOR, results) if FLOOR in names else ()
        found.append(_shuffled(plan.reference, _against("shuffled-labels", plan.reference, results), gain))
    return tuple(found)


def _against(condition: str, base: str, results: Sequence[Results]) -> tuple[Estimate, ...]:
    """The difference of two conditions over the targets and on each, where any seed has both."""
    found = estimates([Contrast(f"{condition} against {base}", {condition: 1.0, base: -1.0}, 0.0)], results)
    return tuple(e for e in found if e.n_seeds)


def _twins(reference: str, told: Sequence[Estimate]) -> Check:
    if not told:
        return Check("a/a", False, "The A/A pair is not done yet.")
    differs = [e for e in told if e.verdict in ("better", "worse")]
    said = "differ" if differs else "show no sure difference" if told[0].low is not None else "compared"
    text = "; ".join(f"{e.target} {_span(e)}" for e in (differs or told[:1]))
    return Check("a/a", bool(differs), f"Two draws of {reference} {said}: {text}.")


def _shuffled(reference: str, told: Sequence[Estimate], gain: Sequence[Estimate]) -> Check:
    """What shuffled labels do against the reference; where they do not help, against random features."""
    helps = [e for e in told if e.verdict == "better"]
    if helps:
        text = "; ".join(f"{e.target} {_span(e)}" for e in helps)
        return Check("shuffled-labels", True, f"Shuffled labels do better than {reference}: {text}.")
    for base, each in (("random features", gain), (reference, told)):
        if each:
            text = f"{each[0].target} {_span(each[0])}"
            return Check("shuffled-labels", False, f"Shuffled labels against {base}: {text}.")
    return Check("shuffled-labels", False, "Shuffled labels are not done yet.")


def _span(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{points(estimate.value, signed=True)} points, no interval under three seeds"
    between = f"{points(estimate.low, signed=True)} to {points(estimate.high, signed=True)}"
    if estimate.verdict == "cannot tell" and not estimate.low <= 0 <= estimate.high:
        between += f", p {estimate.p_holm:.2f} after Holm"
    return f"{points(estimate.value, signed=True)} points ({between})"


def _missing(store: Store, plan: Plan) -> list[Missing]:
    """Every cell that is not there, those that failed first."""
    failures, names = store.failures(), _target_names(plan)
    untrained = {t.key for t in plan.trainings if not store.has(t.key)}
    cells = [(t.key, t.key, t.condition, t.seed, "pre-training") for t in plan.trainings]
    cells += [(source_key(t.key), t.key, t.condition, t.seed, OWN) for t in plan.trainings]
    cells += [(t.key, t.cell.network, t.condition, t.seed, names[t.cell.target]) for t in plan.transfers]
    found: list[Missing] = []
    for key, network, condition, seed, target in cells:
        if not store.has(key):
            reason = NOT_TRAINED if network in untrained and key != network else NOT_RUN
            found.append(Missing(condition, seed, target, str(failures.get(key, {}).get("reason", reason))))
    return sorted(found, key=lambda m: m.reason in (NOT_RUN, NOT_TRAINED))


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
            found[condition.name] = np.asarray(pack.squares[subset.rows[chosen]])
    return found


def _provenance(store: Store, plan: Plan, records: Mapping[str, dict[str, Any] | None]) -> tuple[tuple[str, str], ...]:
    note, names = store.note(plan.identity), _target_names(plan)
    trained = [r for r in (store.record(t.key) for t in plan.trainings) if r]
    done = [*trained, *(r for r in records.values() if r)]
    made: dict[str, Any] = done[-1]["made_by"] if done else {}
    seconds = sum(float(r["seconds"]) for r in done)
    pairs = [
        ("Command", str(note.get("command", "not kept"))),
        ("Study", plan.identity),
        ("Source", f"{plan.source.spec}, digest {plan.source.digest}"),
        *((f"Target {names[t.digest]}", f"{t.spec}, digest {t.digest}") for t in plan.targets),
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
        return (*plan.notes, "The source's pack is gone.")
    return (*plan.notes, *remarks(pack))


def headline(study: StudyAnswers) -> list[str]:
    """The study's answer in few sentences: alarms, then ``answer``."""
    return [*(f"{ALARM} {check.sentence}" for check in study.checks if check.alarm), *answer(study)]


def answer(study: StudyAnswers) -> list[str]:
    """The declared contrasts in words, over the mean of the targets (or the one target), and what is sure on each.

    What the source's own classes say by induction is the answer to its question, so it comes first.
    """
    names = [target.name for target in study.targets]
    of = {name: [e for e in study.estimates if e.target == name] for name in (MEAN, *names)}
    if len(names) == 1:
        return _said([summary(of[names[0]], study.unit), *(sentence(e, study.unit) for e in of[names[0]])])
    induced = {s.target for s in study.scores if s.protocol.startswith("induction")}
    first = [sentence(e, study.unit) for name in names if name in induced for e in of[name]]
    short = summary(of[MEAN], study.unit, "In short, on average over these targets")
    sure = {name: [e for e in of[name] if e.verdict != "cannot tell"] for name in names if name not in induced}
    single = [summary(of[name], study.unit, f"On {name}") for name in sure if short and sure[name]]
    alone = [sentence(e, study.unit) for name in sure if not short for e in sure[name]]
    return _said([*first, short, *single, *(sentence(e, study.unit) for e in of[MEAN]), *alone])


def _said(lines: Sequence[str | None]) -> list[str]:
    return [line for line in lines if line]
