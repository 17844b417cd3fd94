"""From the store to what a report shows: scores, estimates, checks, what is missing, samples and provenance.

All that answers need lies in the plan and the cells; packs are opened for pictures only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.contrast import MEAN, estimates
from transferlab.answers.estimate import Estimate
from transferlab.answers.sentences import sentence, summary
from transferlab.answers.study import Check, ConditionFacts, Missing, Score, StudyAnswers
from transferlab.errors import UserError
from transferlab.origins import ORIGINS
from transferlab.origins.definition import Comparison
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.planned import Plan, restored
from transferlab.report.beyond import Further, beyond
from transferlab.report.method import measured_how
from transferlab.report.results import Records, Results, metrics_of, results_of
from transferlab.runners.packs import find
from transferlab.specs import Contrast
from transferlab.transfer.metrics.top1 import TOP1

N_SAMPLES = 24
OWN, OWN_HEAD = "source", "own head"  # target and protocol of a network's accuracy on its own source
ALARM = "Do not trust the rest before this is explained."
NOT_RUN, NOT_TRAINED = "not run yet", "its pre-training is missing"
Row = dict[str, str | int | float | None]


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
    together, apart = (
        [results_of(store, plan, t, records) for t in plan.targets if t.apart == alone] for alone in (False, True)
    )
    floor = next((c.name for c in plan.conditions if c.is_floor), None)
    explored: tuple[Estimate, ...] = ()
    if floor is not None and any(each.scores.get(floor) for each in (*together, *apart)):
        gain = Contrast(f"{plan.reference} against {floor}", {plan.reference: 1.0, floor: -1.0}, 0.0)
        explored = estimates([gain], together, apart)
    conditions = tuple(_conditions(plan))
    samples = _samples(store, plan)
    notes = [*plan.notes, *(samples if isinstance(samples, tuple) else ()), *plan.source.notes, *_absent(plan)]
    return StudyAnswers(
        name=plan.name, question=plan.question, source=plan.source.name, n_seeds=plan.seeds, unit=plan.unit,
        conditions=conditions, targets=tuple(plan.targets), scores=tuple(_scores(store, plan, records)),
        estimates=estimates(plan.contrasts, together, apart), exploratory=explored,
        checks=tuple(_checks(plan, floor, together)), missing=tuple(_missing(store, plan)),
        samples=samples if isinstance(samples, dict) else {}, protocol=measured_how(plan),
        provenance=_provenance(store, plan, records), notes=tuple(notes),
        **beyond(Further(store, plan, conditions, together, apart)),
    )  # fmt: skip


def table_rows(store: Store, study: str | None = None) -> list[Row]:
    """One row per cell and metric of every study (or those of one name), in the plans' order.

    Nothing in it depends on when it was made.
    """
    rows: list[Row] = []
    stored = store.studies()
    for identity in identities(store, study) if study else stored:
        plan: Plan = restored(stored[identity])
        names = {t.digest: t.name for t in plan.targets}
        for training in plan.trainings:
            key = source_key(training.key)
            for metric, value in metrics_of(store.record(key)).items():
                rows.append(_row(plan, training.condition, training.seed, OWN, OWN_HEAD, metric, value, key))
        for t in plan.transfers:
            for metric, value in metrics_of(store.record(t.key)).items():
                rows.append(_row(plan, t.condition, t.seed, names[t.cell.target], t.label, metric, value, t.key))
    return rows


def _row(plan: Plan, *cells: str | int | float) -> Row:
    columns = ("condition", "seed", "target", "protocol", "metric", "value", "key")
    return {"study": plan.name, "source": plan.source.name, **dict(zip(columns, cells, strict=True))}


def _conditions(plan: Plan) -> Iterator[ConditionFacts]:
    """Every condition and control as its first seed drew it."""
    for c in plan.conditions:
        digests = tuple(t.cell.subset for t in plan.trainings if t.condition == c.name)
        yield ConditionFacts(
            c.name, c.is_control, c.n_images, c.n_labels, c.effective_labels, c.largest_share, digests, c.factor, tuple(c.shares),
            c.title if c.is_control else "", c.explained, c.colour, tuple(c.dash), c.is_floor,
        )  # fmt: skip


def _scores(store: Store, plan: Plan, records: Records) -> Iterator[Score]:
    """Every score that a report shows, under the study's first protocol first."""
    for training in plan.trainings:
        key = source_key(training.key)
        value = metrics_of(store.record(key)).get(TOP1.name)
        if value is not None:
            yield Score(training.condition, training.seed, OWN, OWN_HEAD, TOP1.name, value, key, True)
    targets, planned = {t.digest: t for t in plan.targets}, [p.label for p in plan.protocols]
    firsts = {t.cell.target: t.label for t in plan.transfers if t.compared and t.condition == plan.reference}
    beside = {t.key: t.compared and t.label != firsts.get(t.cell.target) for t in plan.transfers}
    shown = [t for t in plan.transfers if t.label in planned or t.compared]
    shown.sort(key=lambda t: planned.index(t.label) if t.label in planned else 0)
    further = {p.label: p.beside for p in plan.protocols}
    for more in dict.fromkeys(["", *(name for names in further.values() for name in names)]):
        for t in shown:
            record, target = records[t.key], targets[t.cell.target]
            if record is None or (more and (more not in further.get(t.label, ()) or more not in record["metrics"])):
                continue
            name, metric = f"{t.label}: {more}" if more else t.label, more or target.metric
            value = float(record["metrics"][metric])
            yield Score(t.condition, t.seed, target.name, name, metric, value, t.key, beside[t.key])


def _checks(plan: Plan, floor: str | None, results: Sequence[Results]) -> Iterator[Check]:
    """What the controls say of the study's soundness."""

    def between(condition: str, base: str) -> Sequence[Estimate]:
        contrast = Contrast(f"{condition} against {base}", {condition: 1.0, base: -1.0}, 0.0)
        return [e for e in estimates([contrast], results) if e.n_seeds]

    controls = {c.name for c in plan.conditions if c.is_control}
    for origin in ORIGINS.values():
        if origin.name in controls and origin.check is not None:
            yield origin.check(Comparison(plan.reference, floor, between))


def _absent(plan: Plan) -> Iterator[str]:
    """What of the plan is defined outside the package, and what this report cannot say without it."""
    for each in plan.brought:
        yield f"The {each.kind} {each.name} is defined in {each.place}, not in transferlab."
        if each.kind == ORIGINS.kind and each.name not in ORIGINS:
            yield f"This report was made without that definition; if {each.name} checks the study's soundness, its check is left out."


def _missing(store: Store, plan: Plan) -> list[Missing]:
    """Every cell that is not there, those that failed first."""
    failures, names = store.failures(), {t.digest: t.name for t in plan.targets}
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


def _samples(store: Store, plan: Plan) -> dict[str, NDArray[np.uint8]] | tuple[str]:
    """The first images of each condition's first subset, spread over its labels; a sentence where the pack is gone."""
    try:
        pack = find(store, plan.source)
    except UserError:
        return ("The source's pack is gone, so its sample images are left out.",)
    found: dict[str, NDArray[np.uint8]] = {}
    for condition in plan.conditions:
        digests = [t.cell.subset for t in plan.trainings if t.condition == condition.name]
        if digests and not condition.is_control:
            subset = store.read_subset(digests[0])
            order = np.argsort(subset.labels, kind="stable")
            chosen = order[np.linspace(0, len(order) - 1, min(N_SAMPLES, len(order))).round().astype(int)]
            found[condition.name] = np.asarray(pack.squares[subset.rows[chosen]])
    return found


def _provenance(store: Store, plan: Plan, records: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    note = store.note(plan.identity)
    trained = [r for r in (store.record(t.key) for t in plan.trainings) if r]
    done = [*trained, *(r for r in records.values() if r)]
    made: dict[str, Any] = done[-1]["made_by"] if done else {}
    seconds = sum(float(r["seconds"]) for r in done)
    versions = [
        f"{k} {made[k]}" for k in ("transferlab", "python", "torch", "torchvision", "timm", "numpy") if k in made
    ]
    return (
        ("Command", str(note.get("command", "not kept"))),
        ("Study", plan.identity),
        ("Source", f"{plan.source.spec}, digest {plan.source.digest}"),
        *((f"Target {t.name}", f"{t.spec}, digest {t.digest}") for t in plan.targets),
        *((f"From outside: {b.kind} {b.name}", f"{b.place}, code {b.code}") for b in plan.brought),
        ("Seeds", f"0 to {plan.seeds - 1}"),
        ("Machine", f"{made.get('machine', 'unknown')}, {plan.device}, {plan.precision}, "
                    f"{made.get('threads', '?')} threads a worker"),
        ("Versions", ", ".join(versions)),
        ("Cells", f"{len(done)} done, {seconds:,.0f} seconds of work in all"),
    )  # fmt: skip


def headline(study: StudyAnswers) -> list[str]:
    """The study's answer in few sentences: alarms, then ``answer``."""
    return [*(f"{ALARM} {check.sentence}" for check in study.checks if check.alarm), *answer(study)]


def answer(study: StudyAnswers) -> list[str]:
    """The declared contrasts in words, over the mean of the targets (or the one target), and what is sure on each.

    Targets that lead come first, such as the source's own classes where they are what the question asks about.
    """
    names = [target.name for target in study.targets]
    of = {name: [e for e in study.estimates if e.target == name] for name in (MEAN, *names)}
    if len(names) == 1:
        return _said([summary(of[names[0]], study.unit), *(sentence(e, study.unit) for e in of[names[0]])])
    leading = [target.name for target in study.targets if target.leads]
    first = [sentence(e, study.unit) for name in leading for e in of[name]]
    short = summary(of[MEAN], study.unit, "In short, on average over these targets")
    sure = {name: [e for e in of[name] if e.verdict.settled] for name in names if name not in leading}
    single = [summary(of[name], study.unit, f"On {name}") for name in sure if short and sure[name]]
    alone = [sentence(e, study.unit) for name in sure if not short for e in sure[name]]
    return _said([*first, short, *single, *(sentence(e, study.unit) for e in of[MEAN]), *alone])


def _said(lines: Sequence[str | None]) -> list[str]:
    return [line for line in lines if line]
