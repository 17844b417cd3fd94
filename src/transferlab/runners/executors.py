"""What does tasks: the interface between the driver and an executor, and the executors that there are.

An executor gets tasks and gives back events, both plain enough to be sent as JSON, and shares nothing with the driver
but the store. It knows nothing of a plan's order, and the driver nothing of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from transferlab.definitions import Definition, Table
from transferlab.events import Report
from transferlab.outcomes.store import Store
from transferlab.planned import Plan
from transferlab.runners.local import Local, Setup
from transferlab.runners.machine import Machine
from transferlab.runners.shares import share
from transferlab.tasks import Task


class Executor(Protocol):
    """Does several tasks at a time."""

    def n_free(self) -> int:
        """How many more tasks may start now."""
        ...

    def start(self, task: Task) -> int:
        """Begin a task; the number of the worker that does it, which is free again after ``Finished`` or ``Crashed``."""
        ...

    def wait(self, seconds: float) -> Sequence[Report]:
        """What was told since the last call; it waits for something, but no longer than this."""
        ...

    def stop(self) -> None:
        """Have every training saved and every task given up; returns when that is done."""
        ...

    def close(self) -> None:
        """End whatever still runs."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExecutorKind(Definition):
    """An executor that can be chosen by its name.

    Args:
        make: is given the plan, its store, the machine, the study file whose extensions the workers load (if any), and
            after how many seconds of silence a task counts as hung.
    """

    make: Callable[[Plan, Store, Machine, str | None, float], Executor]


def _local(plan: Plan, store: Store, machine: Machine, study_file: str | None, hang_seconds: float) -> Executor:
    cores = share(plan, store, machine, study_file)
    setup = Setup(str(store.path), plan.identity, cores.n_threads, study_file, locks=store.locks)
    return Local(setup, cores.n_workers, plan.device, hang_seconds)


LOCAL = ExecutorKind(
    name="local", title="this machine", explained="processes that share out its cores or GPUs", make=_local
)
EXECUTORS = Table("executor", ExecutorKind, [LOCAL])
