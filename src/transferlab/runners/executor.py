"""The interface between the driver and the executors that perform its tasks.

An executor receives tasks and returns events, both of which can be sent as JSON. It shares only the store with the driver.
The driver decides the order of tasks and knows nothing of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from transferlab.definitions import Definition
from transferlab.events import Report
from transferlab.outcomes.store import Store
from transferlab.planned import Plan
from transferlab.runners.machine import Machine
from transferlab.tasks import Task


class Executor(Protocol):
    """Performs several tasks at a time."""

    def n_free(self) -> int:
        """How many more tasks may start now."""
        ...

    def start(self, task: Task) -> int:
        """Begin a task; returns the number of its worker, which is free again after ``Finished`` or ``Crashed``."""
        ...

    def wait(self, seconds: float) -> Sequence[Report]:
        """The events since the last call; blocks until there is one, at most for ``seconds``."""
        ...

    def stop(self) -> None:
        """Save every training and abandon every task; returns when that is done."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExecutorKind(Definition):
    """An executor with a name.

    Args:
        make: from the plan, its store, the machine, the study file whose definitions the workers load (if any), and the
            seconds without an event after which a task counts as hung.
    """

    make: Callable[[Plan, Store, Machine, str | None, float], Executor]
