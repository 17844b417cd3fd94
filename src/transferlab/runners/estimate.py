"""Describes what a plan would take (cells, time, disk) and the status of a store's studies."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from transferlab.console import duration
from transferlab.engine import backbones
from transferlab.identity import canonical
from transferlab.outcomes.store import Store
from transferlab.plan import most_seen, networks_of_cells, source_key
from transferlab.planned import Plan, Transfer
from transferlab.runners.drive import failures, missing
from transferlab.runners.plans import plans
from transferlab.runners.prepare import Prepared
from transferlab.runners.shares import images_per_second, share
from transferlab.specs import Recipe
from transferlab.text import number_of
from transferlab.transfer.protocols import definition_of
from transferlab.transfer.targets import shots_for_validation

A_FEW_SECONDS = 4.0  # of a probe
BYTES_PER_CELL = 12_000  # record and rows of a transfer, about
MAX_NOTE = 400  # characters of a note; reports show it whole


def describe(prepared: Prepared) -> Iterator[str]:
    """The plan in lines: conditions, cells, what is done and why the rest is not, disk, and time.

    Time comes last, because its rate may have to be measured first.
    """
    plan, store = prepared.plan, prepared.store
    todo = set(missing(plan, store))
    trainings = {t.key for t in plan.trainings}
    transfers = {t.key for t in plan.transfers}
    yield plan.question or plan.name
    for kind, facts in (("source", plan.source), *(("target", target) for target in plan.targets)):
        yield f"  {kind}   {facts.spec} ({facts.name})"
        yield from (f"           {_cut(line)}" for line in prepared.images.get(facts.spec, ()))
        if kind == "target" and facts.digest == plan.source.digest:
            yield "           these are the source's own images; pre-training uses none of its test images."
    yield "  conditions"
    for condition in plan.conditions:
        own = [t for t in plan.trainings if t.condition == condition.name]
        if own:
            facts = prepared.subsets[own[0].cell.subset]
            size = f"{number_of(facts.n_images, 'image')}, {facts.n_labels} labels"
            if facts.effective_labels < 0.8 * facts.n_labels:  # far from balanced
                size += f" ({facts.effective_labels:.1f} effective)"
        else:
            yield f"    {condition.name:<32} not pre-trained"
            continue
        done = sum(t.key not in todo for t in own)
        yield f"    {condition.name:<32} {size:<30} {done} of {len(own)} pre-trained"
    yield from (f"  note     {_cut(note)}" for note in plan.notes)
    failed = todo & set(store.failures())
    scores = {source_key(key) for key in trainings}
    yield f"  pre-trainings  {len(trainings):>5}, {len(trainings - todo)} done, {len(trainings & todo)} to do"
    yield f"  source scores  {len(scores):>5}, {len(scores - todo)} done, {len(scores & todo)} to do"
    yield f"  transfers      {len(transfers):>5}, {len(transfers - todo)} done, {len(transfers & todo)} to do"
    if failed:
        yield f"  failed before  {len(failed):>5}, tried again by the next run"
    if todo:
        yield f"  disk           about {_expected_bytes(plan, todo) / 1e6:,.0f} MB"
        yield f"  why            {why(plan, prepared.earlier)}"
        where = f"on {prepared.machine.name}, {plan.precision}"
        if not prepared.machine.is_here:
            yield f"  time           unknown {where}: no GPU is visible here to measure it on"
        else:
            yield f"  time           about {duration(expected_seconds(prepared, todo))} {where}"
        yield "  next           the same command with run in place of plan"
    else:
        yield f"  next           transferlab report {shlex.quote(str(store.path))} --out report.html"


def _cut(note: str) -> str:
    return note if len(note) <= MAX_NOTE else note[:MAX_NOTE] + "…"


def why(plan: Plan, earlier: Sequence[Plan]) -> str:
    """Why cells are missing: the changes since the latest earlier plan of this study, or that there is none."""
    if not earlier:
        return "no study of this name has been run in this store"
    before = next((e for e in reversed(earlier) if e.identity == plan.identity), earlier[-1])
    changes = [
        f"{name} {old} → {new}"
        for name, old, new in (
            *((n, o, w) for n, o, w in zip(("DESIGN", "ENGINE", "TRANSFER"), before.code, plan.code, strict=False)),
            *(("recipe." + f.name, vars(before.recipe)[f.name], vars(plan.recipe)[f.name])
              for f in fields(plan.recipe) if f.name not in Recipe.NOT_IDENTITY),
            ("device", before.device, plan.device),
            ("precision", before.precision, plan.precision),
            ("seeds", before.seeds, plan.seeds),
        )
        if old != new
    ]  # fmt: skip
    if before.source.digest != plan.source.digest:
        changes.append(f"other source images: {before.source.spec} → {plan.source.spec}")
    known = {t.digest for t in before.targets}
    changes += [f"new target {t.name}" for t in plan.targets if t.digest not in known]
    designs = {c.name: c.design for c in before.conditions}
    changes += [f"new condition {c.name}" for c in plan.conditions if c.name not in designs]
    changes += [f"other design of {c.name}" for c in plan.conditions if designs.get(c.name, c.design) != c.design]
    if [p.protocol for p in before.protocols] != [p.protocol for p in plan.protocols]:
        changes.append("other protocols")
    return f"since it was last planned: {'; '.join(changes)}" if changes else "planned before and not done yet"


def expected_seconds(prepared: Prepared, todo: set[str]) -> float:
    """Time for the missing cells: trainings at the measured rate, transfers like finished ones of their kind."""
    plan, store = prepared.plan, prepared.store
    cores = share(plan, store, prepared.machine, prepared.study_file)
    rate = images_per_second(plan, store, prepared.machine, cores, prepared.study_file) / cores.n_workers
    seen = {t.key: most_seen(plan.recipe, prepared.subsets[t.cell.subset].n_images) for t in plan.trainings}
    seconds = sum(n for key, n in seen.items() if key in todo) / rate
    done = {_kind(t): t.key for t in plan.transfers if t.key not in todo}
    for t in {t.key: t for t in plan.transfers if t.key in todo}.values():
        record = store.record(done[_kind(t)]) if _kind(t) in done else None
        seconds += float(record["seconds"]) if record else _transfer_seconds(t, plan, rate)
    return seconds / cores.n_workers


def _transfer_seconds(transfer: Transfer, plan: Plan, rate: float) -> float:
    """Estimated time of a transfer whose kind has not been done yet, from the rate of pre-training in images/s."""
    protocol = transfer.cell.protocol
    definition, target = definition_of(protocol), next(t for t in plan.targets if t.digest == transfer.cell.target)
    if definition.cost is None:
        return A_FEW_SECONDS
    if (shots := protocol.shots) is not None:
        n_val = shots_for_validation(shots)
        target = replace(target, n_train=(shots - n_val) * target.n_classes, n_val=n_val * target.n_classes)
    return definition.cost(definition.settings(protocol.knobs), target, plan.recipe) / rate


def _kind(transfer: Transfer) -> tuple[str, str]:
    """Target and protocol; transfers of one kind take about equally long."""
    return transfer.cell.target, canonical(transfer.cell.protocol)


def status_text(store: Store) -> str:
    """The numbers of done, missing and failed cells of each study, in lines."""
    lines: list[str] = []
    for plan in plans(store):
        keys = networks_of_cells(plan)
        todo = missing(plan, store)
        failed = failures(plan, store)
        lines.append(f"{plan.name}: {number_of(plan.seeds, 'seed')} of {plan.source.name}: {len(keys) - len(todo)} of {len(keys)} "
                     f"cells done, {len(todo)} missing, {len(failed)} of them failed")  # fmt: skip
        lines.append(f"  study  {plan.identity}")
        lines += [f"  {kind} {facts.spec} ({facts.name}), digest {facts.digest}"
                  for kind, facts in (("source", plan.source), *(("target", target) for target in plan.targets))]  # fmt: skip
        lines += [f"  failed {key}: {reason}" for key, reason in failed]
    return "\n".join(lines) or "no study has been run in this store"


def _expected_bytes(plan: Plan, todo: set[str]) -> float:
    definition, detail = backbones.find(plan.recipe.backbone)
    weights = definition.weight_bytes(detail, plan.recipe.image_px)
    n_trainings = len({t.key for t in plan.trainings} & todo)
    return n_trainings * weights + (len(todo) - n_trainings) * BYTES_PER_CELL
