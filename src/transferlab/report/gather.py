"""From a store to what a report shows: scores, estimates, checks, missing cells, sample images and provenance.

Plans and cells hold everything that answers need; packs are opened for pictures only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.contrast import estimates, saturated
from transferlab.answers.estimate import MEAN, SINGLE, Estimate
from transferlab.answers.rates import Rates
from transferlab.answers.recommend import helps as helps_in_words
from transferlab.answers.recommend import recommendations
from transferlab.answers.sentences import rates_in_short, sentence, summary
from transferlab.answers.study import OWN, OWN_HEAD, Check, Missing, NotRun, Score, StudyAnswers
from transferlab.contrasts import compare
from transferlab.errors import UserError
from transferlab.origins import ORIGINS
from transferlab.origins.definition import Comparison
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.planned import Plan
from transferlab.report.analyses import Measured, analyses
from transferlab.report.asked import asked, with_scores
from transferlab.report.helps import helps
from transferlab.report.method import measured_how
from transferlab.report.results import Records, Results, alike, metrics_of, of_plan, pack_of, results_of
from transferlab.report.thumbnails import thumbnails
from transferlab.runners.plans import plan_of, plans
from transferlab.transfer.metrics.top1 import TOP1

N_SAMPLES = 24
ALARM = "Do not trust the other results until this is explained."
NO_PACK = "The source's pack no longer exists, so sample images are left out."
NOT_RUN, NOT_TRAINED = "not run yet", "its pre-training is missing"
DAMAGED = "its files are damaged: run transferlab verify, then the study's command again"
Row = dict[str, str | int | float | None]


def all_answers(store: Store, study: str | None = None) -> list[StudyAnswers]:
    """The answers of ``gathered`` alone."""
    return gathered(store, study)[0]


def gathered(store: Store, study: str | None = None) -> tuple[list[StudyAnswers], list[NotRun]]:
    """The answers of every study that has a score, in the order in which they were last run, and the other studies.

    Args:
        study: only those of this name, identity, or beginning of an identity.

    Raises:
        UserError: none of them has a score, or there is none of this name.
    """
    run, waiting = with_scores(store, asked(store, study))
    return [answers_of(store, plan) for plan in run], waiting


def answers(store: Store, identity: str) -> StudyAnswers:
    """The answers of one study, from what the store holds; missing cells are listed."""
    return answers_of(store, plan_of(store, identity))


def answers_of(store: Store, plan: Plan) -> StudyAnswers:
    """``answers`` of a plan that has been read."""
    records = {t.key: store.record(t.key) for t in plan.transfers}
    together, apart, full = _results(store, plan, records)
    explored: tuple[Estimate, ...] = ()
    if plan.floor is not None and any(each.scores.get(plan.floor.name) for each in (*together, *apart)):
        explored = estimates([compare(plan.reference, plan.floor.name, 0.0)], together, apart, alike(plan))
    planned = estimates(plan.contrasts, together, apart, alike(plan))
    compared = [t for t in plan.targets if t.name in {each.target for each in together}]
    samples, remarks = _samples(store, plan)
    notes = [*plan.notes, *remarks, *plan.source.notes, *_from_outside(plan)]
    work, n_trained = _work(store, plan, records)
    subsets = {c.name: tuple(t.cell.subset for t in plan.trainings if t.condition == c.name) for c in plan.conditions}
    found = StudyAnswers(
        name=plan.name, question=plan.question, source=plan.source.name, n_seeds=plan.seeds, unit=plan.unit,
        conditions=tuple(plan.conditions), targets=tuple(plan.targets), scores=tuple(_scores(store, plan, records)),
        estimates=planned, exploratory=explored, checks=(), missing=tuple(_missing(store, plan, records)), samples=samples,
        helps=tuple(helps(store, plan, compared, records)), saturated=full,
        identity=plan.identity, method=measured_how(plan), provenance=_provenance(store, plan, work), notes=tuple(notes), subsets=subsets,
        recipe=plan.recipe, protocols=tuple(p.label for p in plan.protocols), n_source=plan.source.n_train, n_trained=n_trained,
        seconds=_seconds(work), pictures=thumbnails(store, plan),
        **analyses(Measured(store, plan, together, apart, planned)),
    )  # fmt: skip
    return replace(found, checks=tuple(_checks(plan, together, next(iter(found.rates), None))))


def _results(store: Store, plan: Plan, records: Records) -> tuple[list[Results], list[Results], tuple[str, ...]]:
    """Results of the targets that enter means, of the others, and the names of those that are saturated.

    If all of them are saturated they enter means nevertheless, since there are no others.
    """
    together, apart = (
        [results_of(store, plan, t, records) for t in plan.targets if t.apart == alone] for alone in (False, True)
    )
    names = [c.name for c in plan.conditions if not c.is_control]
    full = [each for each in together if saturated(each, names)]
    if not full or len(full) == len(together):
        return together, apart, ()
    return [each for each in together if each not in full], [*full, *apart], tuple(each.target for each in full)


def table_rows(store: Store, study: str | None = None) -> list[Row]:
    """One row per cell and metric of every study, or of those that ``study`` means, in the plans' order; without times."""
    rows: list[Row] = []
    for plan in asked(store, study) if study else plans(store):
        names, own = {t.digest: t.name for t in plan.targets}, plan.source.digest
        cells = [(source_key(t.key), t.condition, t.seed, OWN, own, OWN_HEAD) for t in plan.trainings]
        cells += [(t.key, t.condition, t.seed, names[t.cell.target], t.cell.target, t.label) for t in plan.transfers]
        for key, *facts in dict.fromkeys(cells):
            for metric, value in metrics_of(store.record(key)).items():
                rows.append(_row(plan, *facts, metric, value, key))
    return rows


def _row(plan: Plan, *cells: str | int | float) -> Row:
    """Names may occur twice; ``study_id``, ``source_digest`` and ``target_digest`` do not."""
    of_study: Row = {
        "study": plan.name, "study_id": plan.identity, "source": plan.source.name, "source_digest": plan.source.digest
    }  # fmt: skip
    columns = ("condition", "seed", "target", "target_digest", "protocol", "metric", "value", "key")
    return {**of_study, **dict(zip(columns, cells, strict=True))}


def _scores(store: Store, plan: Plan, records: Records) -> Iterator[Score]:
    """Every score that a report shows, those of the study's first protocol first."""
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
            if record is None or more == target.metric:
                continue
            if more and (more not in further.get(t.label, ()) or more not in record["metrics"]):
                continue
            name, metric = f"{t.label}: {more}" if more else t.label, more or target.metric
            if (value := metrics_of(record).get(metric)) is not None:
                yield Score(t.condition, t.seed, target.name, name, metric, value, t.key, beside[t.key])


def _checks(plan: Plan, results: Sequence[Results], rates: Rates | None) -> Iterator[Check]:
    """The controls' checks of the study."""

    def between(condition: str, base: str) -> Sequence[Estimate]:
        return [e for e in estimates([compare(condition, base, 0.0)], results, (), alike(plan)) if e.n_seeds]

    controls = {c.control for c in plan.conditions if c.is_control}
    for origin in (of_plan(plan, ORIGINS, name) for name in ORIGINS if name in controls):
        if origin is not None and origin.check is not None:
            try:
                check = origin.check(Comparison(plan.reference, plan.floor, between, rates))
                if not isinstance(check, Check):  # pyright: ignore[reportUnnecessaryIsInstance]
                    raise TypeError(f"{check!r:.40} is no Check")
                yield check
            except (Exception, SystemExit) as error:  # an author's mistake must not cost the report
                if ORIGINS.brought(origin.name) is None:
                    raise
                yield Check(origin.name, False, f"Its check could not be made ({type(error).__name__}: {error}).")


def _from_outside(plan: Plan) -> Iterator[str]:
    """The plan's definitions from outside the package, and the controls among them that are not available here."""
    for each in plan.brought:
        yield f"The {each.kind} {each.name} is defined in {each.place}, not in transferlab."
        if each.kind == ORIGINS.kind and of_plan(plan, ORIGINS, each.name) is None:
            lack = "has changed since" if each.name in ORIGINS else "is not available here"
            yield f"That definition {lack}; if {each.name} checks the study's soundness, its check is left out."


def _missing(store: Store, plan: Plan, records: Records) -> list[Missing]:
    """Every cell without a result, those that failed first."""
    failures, names = store.failures(), {t.digest: t.name for t in plan.targets}
    untrained = {t.key for t in plan.trainings if not store.has(t.key)}
    cells = [(t.key, t.key, t.condition, t.seed, "pre-training") for t in plan.trainings]
    cells += [(source_key(t.key), t.key, t.condition, t.seed, OWN) for t in plan.trainings]
    cells += [(t.key, t.cell.network, t.condition, t.seed, names[t.cell.target]) for t in plan.transfers]
    found: list[Missing] = []
    damaged: set[str] | None = None
    for key, network, condition, seed, target in cells:
        if (key not in records and not store.has(key)) or (key in records and records[key] is None):
            # Listed by names only: those among the missing have no readable record.
            damaged = damaged if damaged is not None else store.done()
            reason = DAMAGED if key in damaged else NOT_TRAINED if network in untrained and key != network else NOT_RUN
            found.append(Missing(condition, seed, target, str(failures.get(key, {}).get("reason", reason))))
    return sorted(found, key=lambda m: m.reason in (NOT_RUN, NOT_TRAINED))


def _samples(store: Store, plan: Plan) -> tuple[dict[str, NDArray[np.uint8]], Sequence[str]]:
    """The first images of each condition's first subset, spread over its labels, and remarks on what was left out."""
    pack = pack_of(store, plan.source)
    if pack is None:
        return {}, [NO_PACK]
    found: dict[str, NDArray[np.uint8]] = {}
    for condition in plan.conditions:
        digests = [t.cell.subset for t in plan.trainings if t.condition == condition.name]
        if digests and not condition.is_control:
            try:
                subset = store.read_subset(digests[0])
            except UserError as error:  # pictures are not worth the report
                return {}, [f"Sample images are left out, because {error.what} ({error.where})."]
            order = np.argsort(subset.labels, kind="stable")
            chosen = order[np.linspace(0, len(order) - 1, min(N_SAMPLES, len(order))).round().astype(int)]
            found[condition.name] = np.asarray(pack.squares[subset.rows[chosen]])
    return found, []


def _work(store: Store, plan: Plan, records: Records) -> tuple[list[dict[str, Any]], int]:
    """The records of all cells that are done, and how many of them are pre-trainings."""
    trained = [store.record(key) for key in dict.fromkeys(t.key for t in plan.trainings)]
    of_source = [store.record(key) for key in dict.fromkeys(source_key(t.key) for t in plan.trainings)]
    done = [record for record in (*trained, *of_source, *records.values()) if record]
    return done, sum(record is not None for record in trained)


def _seconds(work: Sequence[Mapping[str, Any]]) -> float:
    return sum(float(record["seconds"]) for record in work)


def _provenance(store: Store, plan: Plan, done: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    note = store.note(plan.identity)
    made: dict[str, Any] = done[-1]["made_by"] if done else {}
    threads = made.get("threads", "?")
    packages = ("transferlab", "python", "torch", "torchvision", "timm", "numpy")
    return (
        ("Command", str(note.get("command", "not kept"))),
        ("Study", plan.identity),
        ("Source", f"{plan.source.spec}, digest {plan.source.digest}"),
        *((f"Target {t.name}", f"{t.spec}, digest {t.digest}") for t in plan.targets),
        *((f"From outside: {b.kind} {b.name}", f"{b.place}, code {b.code}") for b in plan.brought),
        ("Seeds", f"0 to {plan.seeds - 1}"),
        ("Machine", f"{made.get('machine', 'unknown')}, {plan.device}, {plan.precision}, "
                    f"{threads} {'thread' if threads == 1 else 'threads'} per worker"),
        ("Versions", ", ".join(f"{name} {made[name]}" for name in packages if name in made)),
        ("Cells", f"{len(done)} done, {_seconds(done):,.0f} seconds of work in all"),
    )  # fmt: skip


def headline(study: StudyAnswers) -> list[str]:
    """The study's answer in a few sentences: alarms, then ``answer``."""
    return [*(f"{ALARM} {check.sentence}" for check in study.checks if check.alarm), *answer(study)]


def answer(study: StudyAnswers) -> list[str]:
    """What matters first in at most four sentences (whether pre-training helps, what to do, what there is to gain, whether the
    learning rate decides), then the declared contrasts in words."""
    first = first_sentences(study)
    return [*first, *(line for line in comparisons(study) if line not in first)]


def first_sentences(study: StudyAnswers) -> list[str]:
    """At most four; the rest of an answer folds away."""
    conditions, titles = [c for c in study.conditions if not c.is_control], study.titles
    leading = next((t.name for t in study.targets if t.leads), None)
    on = [e for e in study.estimates if (e.target == leading if leading else e.family != SINGLE)]
    helped = helps_in_words(study.helps, len(conditions), study.unit, titles)
    advice = recommendations(on, conditions, study.unit, titles)
    rates = [rates_in_short(each) for each in study.rates if study.estimates]
    return [*filter(None, [helped]), *advice, *rates][:4]


def comparisons(study: StudyAnswers) -> list[str]:
    """The declared contrasts, on the mean over targets or the only target, and settled ones on each target.

    Targets that lead come first, for example the source's own classes if the question is about them.
    """
    if not study.estimates:
        return ["This study declares no contrasts."]
    names, titles = [target.name for target in study.targets], study.titles
    of = {name: [e for e in study.estimates if e.target == name] for name in (MEAN, *names)}
    if not of[MEAN]:  # one target is left where others are saturated or apart
        of[MEAN] = [e for e in study.estimates if e.family != SINGLE]
    controls = {c.name for c in study.conditions if c.is_control}
    is_chain = all(controls.isdisjoint(e.contrast.weights) for e in study.estimates)  # of levels, which a summary needs
    said = {name: [sentence(e, study.unit, titles) for e in of[name]] for name in of}
    if len(names) == 1:
        return [*filter(None, [summary(of[names[0]], study.unit) if is_chain else None]), *said[names[0]]]
    leading = [target.name for target in study.targets if target.leads]
    first = [line for name in leading for line in said[name]]
    short = summary(of[MEAN], study.unit, "In short, on average over these targets") if is_chain else None
    told = {*leading, *(e.target for e in of[MEAN])}
    settled = {name: [e for e in of[name] if e.verdict.settled] for name in names if name not in told}
    if short:
        single = [summary(of[name], study.unit, f"On {name}") for name, found in settled.items() if found]
        return [*first, short, *filter(None, single), *said[MEAN]]
    return [*first, *said[MEAN], *(sentence(e, study.unit, titles) for found in settled.values() for e in found)]
