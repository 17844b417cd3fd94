"""Describes what a plan would take (cells, time, disk) and the status of a store's studies."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields

from transferlab.console import duration
from transferlab.engine import backbones
from transferlab.outcomes.store import Store
from transferlab.plan import networks_of_cells, source_key
from transferlab.planned import Plan
from transferlab.runners.budget import in_words
from transferlab.runners.costs import Part, expected_parts, expected_seconds
from transferlab.runners.drive import failures, missing
from transferlab.runners.plans import plans
from transferlab.runners.prepare import Prepared
from transferlab.specs import Recipe, TargetFacts
from transferlab.text import number_of

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
        if isinstance(facts, TargetFacts) and facts.folds:
            yield f"           all {facts.n_test:,} images are tested, in {facts.folds} folds."
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
            parts = expected_parts(plan, store, prepared.machine, prepared.study_file)
            limit = "" if prepared.budget is None else f" of the {in_words(prepared.budget)} that you allow,"
            yield f"  time           about {duration(expected_seconds(parts))}{limit} {where}"
            yield from _parts(parts)
        yield from _repeated(plan, todo)
        yield "  next           the same command with run in place of plan"
    else:
        yield f"  next           transferlab report {shlex.quote(str(store.path))} --out report.html"


def _repeated(plan: Plan, todo: set[str]) -> Iterator[str]:
    """What a control that trains every condition once more adds to what is to do."""
    again = {c.name: c.control for c in plan.conditions if c.repeats}
    n_trainings = len({t.key for t in plan.trainings if t.condition in again} & todo)
    n_transfers = len({t.key for t in plan.transfers if t.condition in again} & todo)
    if n_trainings or n_transfers:
        yield (f"  control        {next(iter(again.values()))}: {number_of(n_trainings, 'pre-training')} and "
               f"{number_of(n_transfers, 'transfer')} of those to do")  # fmt: skip


def _parts(parts: Sequence[Part]) -> Iterator[str]:
    """A line for each part of the time: how long it takes, its share, what it is and what it is for."""
    whole, width = expected_seconds(parts), max(len(part.name) for part in parts)
    for part in parts:
        share = f"{part.seconds / whole:.0%}" if part.seconds >= whole / 200 else "<1%"
        yield f"    {duration(part.seconds):>12} {share.replace('%', ' %'):>5}  {part.name:<{width}}  {part.buys}"


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
