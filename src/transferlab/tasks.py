"""Splits a plan into tasks and selects the tasks that may start now; pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from transferlab.plan import cohorts, source_key
from transferlab.planned import Plan


@dataclass(frozen=True)
class Task:
    """A unit of work: train a cohort of networks, or measure one network (its source accuracy and all its transfers).

    Args:
        networks: keys of the networks that no other task may use at the same time.
        cells: keys of the cells that it makes, in order; those of a training are its networks.
        needs: keys of the cells that must be done first.
    """

    kind: Literal["train", "measure"]
    networks: tuple[str, ...]
    cells: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunState:
    """The state of a run: keys of the cells that are done or that failed in this run, and of networks.

    Args:
        running: networks used by a task of this run.
        busy: networks locked by another process.
        alone: networks to train one at a time, because their cohort crashed.
    """

    done: set[str] = field(default_factory=set[str])
    failed: set[str] = field(default_factory=set[str])
    running: set[str] = field(default_factory=set[str])
    busy: set[str] = field(default_factory=set[str])
    alone: set[str] = field(default_factory=set[str])


def tasks_of(plan: Plan, last: Collection[str] = ()) -> list[Task]:
    """All tasks of a plan, each cohort's training before the measurements of its networks.

    Args:
        last: cells to measure after the others of their network, for example because they failed before and may crash
            the process again.
    """
    trained = {t.key for t in plan.trainings}
    groups = cohorts(plan)
    cells = {key: [source_key(key)] if key in trained else [] for group in groups for key in group}
    for transfer in plan.transfers:
        cells[transfer.cell.network].append(transfer.key)
    tasks: list[Task] = []
    for group in groups:
        if group[0] in trained:
            tasks.append(Task("train", group, group))
        for key in group:
            ordered = sorted(dict.fromkeys(cells[key]), key=lambda cell: cell in last)
            tasks.append(Task("measure", (key,), tuple(ordered), (key,) if key in trained else ()))
    return tasks


def open_tasks(tasks: Sequence[Task], at: RunState) -> list[Task]:
    """The tasks with cells that are neither done nor failed, in order."""
    return [task for task in tasks if not all(cell in at.done or cell in at.failed for cell in task.cells)]


def next_tasks(tasks: Sequence[Task], at: RunState, most: int) -> list[Task]:
    """At most ``most`` tasks that may start now, each reduced to the cells that are still missing.

    Measurements of trained networks come before further trainings; otherwise the order is that of ``tasks``. A task waits
    for the cells that it needs (a network whose training failed is never measured) and for networks in use.
    """
    if most == 0:
        return []
    to_measure: list[Task] = []
    others: list[Task] = []
    done, held = at.done, at.running | at.busy
    settled = done | at.failed if at.failed else done
    for task in tasks:
        if len(to_measure) == most:
            break
        if settled.issuperset(task.cells):  # first, because most tasks of a large run are done
            continue
        ready = to_measure if task.needs else others
        if len(ready) == most or not done.issuperset(task.needs):
            continue
        if task.kind == "measure" and task.networks[0] in held:
            continue
        left = tuple(cell for cell in task.cells if cell not in settled and cell not in held)
        if left and task.kind == "train":
            together = left[:1] if at.alone.intersection(left) else left
            ready.append(Task("train", together, together))
        elif left:
            ready.append(Task("measure", task.networks, left, task.needs))
    return (to_measure + others)[:most]
