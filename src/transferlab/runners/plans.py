"""A store's plans: read back and checked; those that cannot be used are told and passed over, so that they stop no other study."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from transferlab.console import say
from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import Problem
from transferlab.plan import identity_of
from transferlab.planned import Plan, restored
from transferlab.typed import misfit
from transferlab.validate import MOST_SEEDS

MOST_CLASSES, MOST_IMAGES = 10**6, 10**9
MOST_TESTED = 10**8  # numbers of a test image are drawn again a thousand times
DIGEST = re.compile("[0-9a-f]{32}")
REMEDY = "run transferlab verify, then the study's command again"


def _tell(fault: UserError) -> None:
    say(f"left out: {fault}")


def plan_of(store: Store, identity: str) -> Plan:
    """A stored plan.

    Raises:
        UserError: it is missing, damaged, of another version, or says what no plan can say.
    """
    return _checked(restored(store.study(identity)), store, identity)


def plans(store: Store, study: str | None = None, told: Callable[[UserError], None] = _tell) -> list[Plan]:
    """The store's plans that can be read, or those of one name or identity, in the order in which they were last run.

    Args:
        told: receives what is wrong with each of the others, if any can be read; by default it is said on standard error.

    Raises:
        UserError: there are plans, and none of them can be read.
    """
    found: list[tuple[float, Plan]] = []
    faults: list[UserError] = []
    for identity in store.identities():
        try:
            when, stored = store.dated_study(identity)
            found.append((when, _checked(restored(stored), store, identity)))
        except UserError as fault:
            if identity in store.identities():  # verify may have set it aside just now
                faults.append(UserError(fault.what, f"{fault.where}, plan {identity}", fault.remedy))
    if faults and not found:
        raise faults[0]
    for fault in faults:
        told(fault)
    known = [plan for _, plan in sorted(found, key=lambda each: each[0])]
    return [plan for plan in known if study in (None, plan.name, plan.identity)]


def problems(store: Store) -> Iterator[Problem]:
    """Plans whose hash fits, but whose names, numbers or keys do not; those of another version are told and left alone."""
    for identity in store.identities():
        path = store.path / "studies" / f"{identity}.json"
        try:
            stored = restored(store.study(identity))
        except UserError as fault:
            if path.is_file() and str(path) not in fault.where:  # what cannot be read is told by outcomes.verify
                say(f"left alone: {path}: {fault}")
            continue
        try:
            follows = _follows(_checked(stored, store, identity))
        except UserError:
            follows = False
        if not follows:
            yield Problem(path, "the plan is not what was written")


def _checked(plan: Any, store: Store, identity: str) -> Plan:
    """The plan itself, if all of its values are of their type and in range, and all that it names is there."""
    where = str(store.path / "studies" / f"{identity}.json")
    if not isinstance(plan, Plan):
        raise UserError("another version of transferlab wrote this study", where, "use that version")
    if wrong := misfit(plan, Plan, frozenset({"knobs"})):
        raise UserError(f"the plan's {wrong.place} cannot be {wrong.shown}", where, REMEDY)
    if what := next(_impossible(plan, identity), None):
        raise UserError(f"the plan says what no plan can say: {what}", where, REMEDY)
    return plan


def _impossible(plan: Plan, identity: str) -> Iterator[str]:
    """What is out of range, or is named and not there; readers rely on all of it."""
    if not 1 <= plan.seeds <= MOST_SEEDS:
        yield f"{plan.seeds} seeds"
    if plan.identity != identity:
        yield "the identity of another study"
    if len(plan.code) != 3:
        yield f"{len(plan.code)} versions of its code"
    for t in plan.targets:
        if not (0 <= t.n_classes <= MOST_CLASSES and 0 <= t.n_test <= MOST_TESTED):
            yield f"{t.n_classes} classes and {t.n_test} test images"
        if not all(0 <= n <= MOST_IMAGES for n in (t.n_train, t.n_val)):
            yield f"{t.n_train} and {t.n_val} images"
        if not 0 <= t.folds <= MOST_IMAGES:
            yield f"{t.folds} folds"
    cells = [t.cell for t in plan.transfers]
    digests = [plan.source.digest, *(t.key for t in plan.trainings), *(t.cell.subset for t in plan.trainings),
               *(t.key for t in plan.transfers), *(c.network for c in cells), *(t.digest for t in plan.targets),
               *(t.labels for t in plan.targets if t.labels)]  # fmt: skip
    yield from (f"{text[:40]!r} as a digest" for text in digests if not DIGEST.fullmatch(text))
    seeds = {t.seed for t in plan.trainings} | {t.seed for t in plan.transfers}
    yield from (f"seed {seed} of {plan.seeds}" for seed in seeds if not 0 <= seed < plan.seeds)
    conditions = {c.name for c in plan.conditions}
    named = {plan.reference, *(t.condition for t in plan.trainings), *(t.condition for t in plan.transfers),
             *(name for c in plan.contrasts for name in c.weights), *(c.repeats for c in plan.conditions if c.repeats)}  # fmt: skip
    yield from (f"a condition {name[:40]!r} that it does not have" for name in named - conditions)
    if {c.target for c in cells} - {t.digest for t in plan.targets}:
        yield "a target that it does not have"


def _follows(plan: Plan) -> bool:
    """Whether the plan's identity and the keys of its cells are the digests of what it says."""
    _, engine, transfer = plan.code
    untrained = {t.cell.network: t.untrained for t in plan.transfers if t.untrained is not None}
    metrics = {"", *(t.metric for t in plan.targets)}  # the one that the study asks for, if any, is not kept apart
    return (
        plan.identity in {identity_of(plan, metric) for metric in metrics}
        and all(t.key == digest("pretrain", engine, t.cell) for t in plan.trainings)
        and all(t.key == digest("transfer", transfer, engine, t.cell) for t in plan.transfers)
        and all(key == digest("untrained", engine, network) for key, network in untrained.items())
    )
