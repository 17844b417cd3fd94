"""The executor "local": worker processes on this machine, each of which performs one task after another.

A worker that crashes, hangs or is killed ends only its own task; a new worker replaces it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO

from transferlab.errors import UserError
from transferlab.events import EVENTS, Crashed, Finished, Left, Report, from_line, to_line
from transferlab.outcomes.store import Store
from transferlab.planned import Plan
from transferlab.runners.executor import Executor, ExecutorKind
from transferlab.runners.machine import Machine
from transferlab.runners.shares import WORKER_ENVIRONMENT, share
from transferlab.tasks import Task

MOST_STILLBORN = 5
STOP_SECONDS = 30.0  # for saving the trainings; slower workers are killed


@dataclass(frozen=True)
class Setup:
    """The first line that a worker reads: the store's path, the study's identity in it, and settings.

    Args:
        n_threads: threads per operation.
        study_file: a Python file whose definitions the study uses.
        checkpoint_seconds: interval at which trainings are saved.
        locks: whether networks in use are locked against other processes.
    """

    store: str
    study: str
    n_threads: int
    study_file: str | None = None
    checkpoint_seconds: float = 60.0
    locks: bool = True


@dataclass(eq=False)
class _Worker:
    number: int
    process: subprocess.Popen[str]
    errors: IO[bytes]
    heard: float
    task: Task | None = None
    has_reported: bool = False
    has_left: bool = False  # it said so; an exit code proves nothing, because code from outside may end the process


class Local:
    """At most ``n_workers`` worker processes, each started when first needed."""

    def __init__(self, setup: Setup, n_workers: int, device: str, hang_seconds: float) -> None:
        self.setup, self.n_workers, self.device, self.hang_seconds = setup, n_workers, device, hang_seconds
        self.workers: dict[int, _Worker] = {}
        self.has_reported = False  # any worker; until then a death is not the fault of a cell
        self.n_stillborn = 0  # workers in a row that ended before any event
        self.inbox: queue.Queue[tuple[_Worker, str | None]] = queue.Queue()

    def n_free(self) -> int:
        return self.n_workers - sum(worker.task is not None for worker in self.workers.values())

    def start(self, task: Task) -> int:
        idle = (w for w in self.workers.values() if w.task is None and w.process.poll() is None)
        worker = next(idle, None) or self._hire()
        worker.task, worker.heard = task, time.monotonic()
        _send(worker, to_line(task))
        return worker.number

    def wait(self, seconds: float) -> list[Report]:
        """The events since the last call.

        Raises:
            RuntimeError: a worker ended before any event of the run; with the end of its standard error.
            UserError: so did several, all killed by the system.
        """
        reports: list[Report] = []
        with contextlib.suppress(queue.Empty):
            reports += self._heard(*self.inbox.get(timeout=seconds))
            while True:
                reports += self._heard(*self.inbox.get_nowait())
        for worker in self.workers.values():
            if worker.task is not None and time.monotonic() - worker.heard > self.hang_seconds:
                worker.process.kill()
        return reports

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.process.terminate()
            _hang_up(worker)
        until = time.monotonic() + STOP_SECONDS
        for worker in self.workers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(timeout=max(0.0, until - time.monotonic()))

    def close(self) -> None:
        for worker in self.workers.values():
            worker.process.kill()
            worker.process.wait()
            _hang_up(worker)
            worker.errors.close()

    def _hire(self) -> _Worker:
        taken = {n for n, w in self.workers.items() if w.task is not None or w.process.poll() is None}
        number = min(set(range(self.n_workers)) - taken)
        threads = {name: str(self.setup.n_threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        environment = {**os.environ, **WORKER_ENVIRONMENT, **threads}
        if self.device == "cuda":
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(self.n_workers)))).split(",")
            environment["CUDA_VISIBLE_DEVICES"] = visible[number]
        errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        process = subprocess.Popen(
            [sys.executable, "-m", "transferlab.runners.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, text=True, env=environment,
            start_new_session=True,  # Ctrl-C reaches only this process, which then stops the workers
        )  # fmt: skip
        worker = self.workers[number] = _Worker(number, process, errors, time.monotonic())
        threading.Thread(target=self._read, args=(worker,), daemon=True).start()
        _send(worker, to_line(self.setup))
        return worker

    def _read(self, worker: _Worker) -> None:
        with worker.process.stdout or contextlib.nullcontext(()) as lines:
            for line in lines:
                self.inbox.put((worker, line))
        self.inbox.put((worker, None))

    def _heard(self, worker: _Worker, line: str | None) -> list[Report]:
        if line is None:
            return self._ended(worker)
        worker.heard, self.n_stillborn = time.monotonic(), 0
        worker.has_reported = self.has_reported = True
        event = from_line(line, EVENTS)
        if isinstance(event, Left):
            worker.has_left = True
            return []
        if isinstance(event, Finished):
            worker.task = None
        return [Report(worker.number, event)]

    def _ended(self, worker: _Worker) -> list[Report]:
        code = worker.process.wait()
        if self.workers.get(worker.number) is worker:
            del self.workers[worker.number]
        _hang_up(worker)
        worker.errors.seek(0)
        errors = worker.errors.read()[-4000:].decode(errors="replace")
        worker.errors.close()
        if worker.task is None:
            return []
        self.n_stillborn += not worker.has_reported
        killed_at_start = not worker.has_reported and code < 0 and self.n_stillborn <= MOST_STILLBORN
        if not self.has_reported and not killed_at_start and code < 0:
            raise UserError(f"no worker comes to its first cell: {_reason(code)}", f"{self.n_stillborn} workers",
                            "free some memory, or use a machine with more")  # fmt: skip
        if not self.has_reported and not killed_at_start:
            raise RuntimeError(f"a worker died before its first cell (exit {code}):\n{errors}")
        # Asked to leave, it has saved its training; killed at its start, it had none. Another worker continues the task.
        goes_on = worker.has_left or killed_at_start
        event = Finished(worker.task.cells) if goes_on else Crashed(_reason(code), errors)
        return [Report(worker.number, event)]


def _send(worker: _Worker, line: str) -> None:
    """Write a line to a worker; if it has just died, the thread that reads from it reports that."""
    if worker.process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.write(line)
            worker.process.stdin.flush()


def _hang_up(worker: _Worker) -> None:
    if worker.process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.close()


def _reason(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed: usually by the system, because memory ran out, or because it hung"
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"its process ended with {name}"


def _local(plan: Plan, store: Store, machine: Machine, study_file: str | None, hang_seconds: float) -> Executor:
    cores = share(plan, store, machine, study_file)
    setup = Setup(str(store.path), plan.identity, cores.n_threads, study_file, locks=store.locks)
    return Local(setup, cores.n_workers, plan.device, hang_seconds)


LOCAL = ExecutorKind(name="local", make=_local)
