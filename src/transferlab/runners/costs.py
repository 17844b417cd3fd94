"""What the missing cells of a plan cost, in parts; ``expected_parts`` is the one source of a plan's time."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from transferlab.identity import canonical
from transferlab.origins import ORIGINS
from transferlab.outcomes.store import Store
from transferlab.plan import cohorts, most_seen, networks_of_cells, source_key
from transferlab.planned import Plan, Transfer
from transferlab.runners.machine import Machine
from transferlab.runners.shares import Rates, rates, share
from transferlab.specs import Epochs, Examples
from transferlab.text import number_of
from transferlab.transfer.protocols import definition_of
from transferlab.transfer.targets import shots_for_validation

# Passes over the rows in all fits of a probe: 49 to 152 on the toy world and digits, 244 on Omniglot (LOG.md). Products with
# fewer than 32 classes take about as long as those with 32.
EVALUATIONS, LEAST_WIDTH = 200, 32
FACTORS = 8  # factorisations of a features × features matrix in all fits of a probe, each about 1.5 · features³
FOLD = 0.3  # of a probe's products, for the last fit of each fold; the penalty path is made about once (five folds: LOG.md)
PRE_TRAINING = "pre-training"
CELL_SECONDS = 0.1  # to open a network and to store a cell
COMMAND_SECONDS = 2.0  # of the command itself, before the first worker and after the last


@dataclass(frozen=True)
class Part:
    """A part of a plan's cost: what it is, what it is for, and its seconds of the whole time."""

    name: str
    buys: str
    seconds: float


def expected_parts(plan: Plan, store: Store, machine: Machine, study_file: str | None = None) -> list[Part]:
    """The parts of the time that the missing cells take, the longest first.

    Trainings take as long as the measured rate says, transfers as finished ones of their kind.
    """
    done = store.done()
    cores = share(plan, store, machine, study_file)
    speed = rates(plan, store, machine, cores, study_file)
    finished = {_kind(t): t.key for t in plan.transfers if t.key in done}
    known = {kind: float(record["seconds"]) for kind, key in finished.items() if (record := store.record(key))}
    seconds = {k: s for k, s in cell_seconds(plan, speed, known).items() if k not in done}
    return parts_of(plan, seconds, cores.n_workers, speed.start_seconds)


def expected_seconds(parts: Sequence[Part]) -> float:
    """The whole time."""
    return sum(part.seconds for part in parts)


def cell_seconds(plan: Plan, speed: Rates, known: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Seconds of one worker for each cell of a plan.

    Args:
        known: seconds of a transfer by its target and protocol, where one has been done.
    """
    sizes = {condition.name: condition.n_images for condition in plan.conditions}
    found = {t.key: most_seen(plan.recipe, sizes[t.condition]) / speed.trained for t in plan.trainings}
    found |= {source_key(key): plan.source.n_held_out / speed.passed for key in found}
    passed: set[tuple[str, str, object]] = set()  # features that an earlier cell of the network has computed
    for transfer in plan.transfers:
        if transfer.key not in found:
            kind = _kind(transfer)
            found[transfer.key] = known[kind] if kind in known else _transfer_seconds(transfer, plan, speed, passed)
    return {key: seconds + CELL_SECONDS for key, seconds in found.items()}


def _transfer_seconds(transfer: Transfer, plan: Plan, speed: Rates, passed: set[tuple[str, str, object]]) -> float:
    """Seconds of a transfer whose kind has not been done yet: as its protocol says, else those of a probe."""
    protocol = transfer.cell.protocol
    definition, target = definition_of(protocol), next(t for t in plan.targets if t.digest == transfer.cell.target)
    if (shots := protocol.shots) is not None:
        n_val = shots_for_validation(shots)
        target = replace(target, n_train=(shots - n_val) * target.n_classes, n_val=n_val * target.n_classes)
    if definition.cost is not None:
        return definition.cost(definition.settings(protocol.knobs), target, plan.recipe) / speed.trained
    n_train = target.n_train + target.n_val
    n_passed = 0
    n_folds = definition.folds(protocol)
    for rows, n in ((protocol.shots, 0 if n_folds else n_train), ("test", target.n_test)):  # folds test all images
        if (part := (transfer.cell.network, target.digest, rows)) not in passed:
            passed.add(part)
            n_passed += n
    d, c = speed.n_features, max(target.n_classes, LEAST_WIDTH)
    products = EVALUATIONS * (2 * n_train + 2 * d) * d * c + n_train * d**2 + FACTORS * 1.5 * d**3
    return n_passed / speed.passed + (1 + FOLD * n_folds) * products / speed.fitted


def _kind(transfer: Transfer) -> tuple[str, str]:
    """Target and protocol; transfers of one kind take about equally long."""
    return transfer.cell.target, canonical(transfer.cell.protocol)


def parts_of(plan: Plan, seconds: Mapping[str, float], n_workers: int, start_seconds: float) -> list[Part]:
    """The parts of the time in which so many workers do the missing cells, the longest first; they sum to the whole.

    Args:
        seconds: of one worker for each missing cell.
    """
    if not seconds:
        return []
    cells: dict[str, list[str]] = {}
    for key, network in networks_of_cells(plan).items():
        cells.setdefault(network, []).append(key)
    jobs = [sum(seconds.get(key, 0.0) for name in group for key in cells[name]) for group in cohorts(plan)]
    whole = wall_seconds([job for job in jobs if job], n_workers) + start_seconds + COMMAND_SECONDS
    names, networks = _parts_of_cells(plan), networks_of_cells(plan)
    grouped: dict[tuple[str, str], list[str]] = {}
    for key in seconds:
        grouped.setdefault(names[key], []).append(key)
    parts: list[Part] = []
    for (what, buys), keys in grouped.items():
        n = number_of(len({networks[key] for key in keys}), "network")
        length = f" × {_length(plan)}" if what == PRE_TRAINING else ""
        parts.append(Part(f"{what}: {n}{length}", buys, sum(seconds[key] for key in keys) / n_workers))
    rest = whole - expected_seconds(parts)
    parts.append(Part("start and end", "starting the workers, and waiting for the slowest one", rest))
    return sorted(parts, key=lambda part: -part.seconds)


def wall_seconds(jobs: Sequence[float], n_workers: int) -> float:
    """When the last worker ends, if each takes the next job as soon as it has ended one."""
    ends = [0.0] * n_workers
    for job in jobs:
        heapq.heapreplace(ends, ends[0] + job)
    return max(ends)


def _length(plan: Plan) -> str:
    length = plan.recipe.length
    if isinstance(length, Epochs):
        return f"{length.n:,g} passes"
    return f"{length.n:,} examples" if isinstance(length, Examples) else f"{length.max_examples:,} examples at most"


def _parts_of_cells(plan: Plan) -> dict[str, tuple[str, str]]:
    """Each cell's part: its name and what it is for; a cell of several conditions belongs to the first."""
    controls = {c.name: c for c in plan.conditions if c.is_control}
    targets = {target.digest: target.name for target in plan.targets}
    found: dict[str, tuple[str, str]] = {}
    for cell in (*plan.trainings, *plan.transfers):
        if control := controls.get(cell.condition):
            part = (
                f"control {control.control if control.repeats else control.title}",
                ORIGINS[control.control].tells or control.explained,
            )
        elif isinstance(cell, Transfer):
            part = (f"{cell.label} on {targets[cell.cell.target]}", definition_of(cell.cell.protocol).explained)
        else:
            part = (PRE_TRAINING, "the networks that the question compares")
        found.setdefault(cell.key, part)
        if not isinstance(cell, Transfer):
            own = part if control else ("source scores", "how well each network does its own task")
            found.setdefault(source_key(cell.key), own)
    return found
