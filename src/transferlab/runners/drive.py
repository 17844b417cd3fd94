"""Runs a plan: passes its missing tasks to an executor, follows the events and records failures."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence

from transferlab.errors import UserError
from transferlab.events import Crashed, Done, Failed, Finished, Halted, Report, Started
from transferlab.outcomes.store import Store
from transferlab.plan import networks_of_cells
from transferlab.planned import Plan
from transferlab.runners.executor import Executor
from transferlab.runners.executors import EXECUTORS
from transferlab.runners.machine import Machine
from transferlab.tasks import RunState, Task, next_tasks, open_tasks, tasks_of

BUSY_SECONDS = 1.0  # until a network locked by another process is tried again


class Stopped(Exception):
    """The user stopped the run; finished work is kept, and the same command continues."""


def missing(plan: Plan, store: Store) -> list[str]:
    """Keys of the plan's cells that the store does not have, in order."""
    done = store.done()
    return [key for key in networks_of_cells(plan) if key not in done]


def failures(plan: Plan, store: Store) -> Sequence[tuple[str, str]]:
    """Key and reason of the plan's cells that failed and are still missing."""
    noted = store.failures()
    return [(key, str(noted[key].get("reason", "no reason kept"))) for key in missing(plan, store) if key in noted]


def run(
    plan: Plan,
    store: Store,
    machine: Machine,
    report: Callable[[Report], None],
    hang_seconds: float = 900.0,
    study_file: str | None = None,
    on: str = "local",
) -> int:
    """Compute the missing cells; a failure is recorded, and the other cells are computed nevertheless.

    Other processes may work on the same store: nothing is trained twice, and this process waits for their cells.

    Args:
        report: receives every event.
        hang_seconds: a task without an event for this long is killed, and its cell recorded as failed.
        study_file: the Python file whose definitions the workers load.
        on: the executor that performs the tasks, a name in EXECUTORS.

    Returns:
        the number of cells still missing.

    Raises:
        Stopped: on Ctrl-C or SIGTERM, after the workers have saved their trainings.
        UserError: the disk is full or read-only.
    """
    cells = networks_of_cells(plan)
    at = RunState(done=store.done() & set(cells))
    if len(at.done) < len(cells):
        executor = EXECUTORS.find(on, "run").make(plan, store, machine, study_file, hang_seconds)
        try:
            with _terminate_is_interrupt():
                Drive(tasks_of(plan, store.failures()), at, store, executor, report).work()
        except KeyboardInterrupt:
            executor.stop()
            raise Stopped from None
        finally:
            executor.close()
    return len(cells) - len(at.done)


class _Running:
    """A running task and its latest ``Started``."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.started = Started(task.cells if task.kind == "train" else task.cells[:1], task.kind)


class Drive:
    """The state of one run, and how each event changes it."""

    def __init__(
        self, tasks: Sequence[Task], at: RunState, store: Store, executor: Executor, report: Callable[[Report], None]
    ) -> None:
        self.tasks, self.at, self.store, self.executor, self.report = open_tasks(tasks, at), at, store, executor, report
        self.running: dict[int, _Running] = {}
        self.n_ended = 0
        self.waited_for: set[str] = set()  # cells that another process is computing
        self.tried = 0.0  # when the first of them was found locked (seconds, monotonic)

    def work(self) -> None:
        """Start tasks and follow their events until no more can be done."""
        while True:
            for task in next_tasks(self.tasks, self.at, self.executor.n_free()):
                self.running[self.executor.start(task)] = _Running(task)
                self.at.running.update(task.networks)
            if not self.running and not self.at.busy:
                return
            for report in self.executor.wait(BUSY_SECONDS):
                self._take(report)
            if self.at.busy and time.monotonic() - self.tried >= BUSY_SECONDS:
                self.at.done.update(key for key in self.waited_for if self.store.has(key))
                self.at.busy.clear()
                self.waited_for.clear()

    def _take(self, report: Report) -> None:
        event, running = report.event, self.running[report.worker]
        self.report(report)
        if isinstance(event, Halted):
            raise UserError(event.what, event.where, event.remedy)
        if isinstance(event, Started):
            running.started = event
        elif isinstance(event, Done):
            self.at.done.add(event.key)
        elif isinstance(event, Failed):
            self._fail(event)
        elif isinstance(event, Finished):
            self._end(report.worker)
            self.at.done.update(set(running.task.cells) - self.at.failed - set(event.left))
            if event.left:
                self.tried = self.tried if self.at.busy else time.monotonic()
                self.waited_for.update(event.left)
                self.at.busy.update(event.left if running.task.kind == "train" else running.task.networks)
        elif isinstance(event, Crashed):
            self._end(report.worker)
            self._crashed(running, report.worker, event)

    def _end(self, worker: int) -> None:
        self.at.running.difference_update(self.running.pop(worker).task.networks)
        self.n_ended += 1
        if self.n_ended % 1000 == 0:  # so that the scheduler skips finished tasks
            self.tasks = open_tasks(self.tasks, self.at)

    def _crashed(self, running: _Running, worker: int, event: Crashed) -> None:
        """Record the failure of the current cell; a cohort is retried one network at a time, to find the cause."""
        begun = set(running.started.keys) - self.at.failed
        # What is stored is done, although the worker died before it reported that.
        self.at.done.update(key for key in begun if self.store.has(key))
        left = [key for key in running.started.keys if key in begun - self.at.done]
        if len(left) > 1:
            self.at.alone.update(left)
        elif left:  # otherwise it died between two cells, and the task continues with the next
            failed = Failed(left[0], running.started.what, event.reason, event.traceback)
            self._fail(failed)
            self.report(Report(worker, failed))

    def _fail(self, event: Failed) -> None:
        self.store.write_failure(event.key, vars(event))
        self.at.failed.add(event.key)


@contextlib.contextmanager
def _terminate_is_interrupt() -> Generator[None]:
    """Handle SIGTERM like Ctrl-C; only the main thread may set a handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
