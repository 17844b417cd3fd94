"""Does a plan's missing cells on this machine: worker processes, their progress, crashes and hangs."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from transferlab.errors import UserError
from transferlab.outcomes.store import Store
from transferlab.plan import cohorts, networks_of_cells
from transferlab.planned import Plan
from transferlab.runners.machine import Machine
from transferlab.runners.shares import WORKER_ENVIRONMENT, Share, share


@dataclass(frozen=True)
class Message:
    """What a worker tells: an event (``doing``, ``resumed``, ``progress``, ``done``, ``failed``) and its details."""

    worker: int
    event: str
    details: Mapping[str, Any]


@dataclass(eq=False)
class _Worker:
    number: int
    process: subprocess.Popen[str]
    errors: IO[bytes]
    heard: float
    has_told: bool = False
    doing: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Stopped(Exception):
    """The run was stopped by the user; what is done is kept and the same command goes on."""


def missing(plan: Plan, store: Store) -> list[str]:
    """Keys of the plan's cells that the store does not have, in order."""
    return [key for key in networks_of_cells(plan) if not store.has(key)]


def run(
    plan: Plan, store: Store, machine: Machine, tell: Callable[[Message], None], hang_seconds: float = 900.0
) -> int:
    """Do what is missing; a cell that fails is recorded and the rest goes on.

    Another process may work on the same store: nothing is trained twice, and this one waits for the other's cells.

    Args:
        tell: is given every worker's messages, for progress.
        hang_seconds: a worker silent for so long is killed, and its cell recorded as failed.

    Returns:
        how many cells are still missing.

    Raises:
        Stopped: on Ctrl-C or SIGTERM, after the workers saved where they were.
        UserError: the disk is full or read-only.
    """
    groups, cores = cohorts(plan), share(plan, store, machine)
    failed: set[str] = set()
    alone: set[str] = set()
    while todo := {key for key in _networks_missing(plan, store) if key not in failed}:
        # All that is left may be in another process's hands; a group is claimed by its first key.
        if not any(_is_free(store, group[0]) for group in groups if todo & set(group)):
            time.sleep(1.0)
            continue
        crew = _Crew(plan, store, cores, failed, alone)
        crew.work(tell, hang_seconds)
        failed, alone = failed | crew.failed, alone | crew.alone
    return len(missing(plan, store))


def _networks_missing(plan: Plan, store: Store) -> list[str]:
    return sorted({network for key, network in networks_of_cells(plan).items() if not store.has(key)})


def _is_free(store: Store, network: str) -> bool:
    with store.claim(network) as mine:
        return mine


class _Crew:
    """Worker processes over one pass of the plan: started, listened to, replaced when they die, stopped."""

    def __init__(self, plan: Plan, store: Store, cores: Share, failed: set[str], alone: set[str]) -> None:
        self.plan, self.store, self.cores = plan, store, cores
        self.failed, self.alone = set(failed), set(alone)  # to be skipped; and not to be trained beside others
        self.inbox: queue.Queue[tuple[_Worker, str | None]] = queue.Queue()
        self.workers: list[_Worker] = []

    def work(self, tell: Callable[[Message], None], hang_seconds: float) -> None:
        for number in range(self.cores.n_workers):
            self._start(number)
        try:
            with _terminate_is_interrupt():
                while self.workers:
                    self._listen(tell, hang_seconds)
        except KeyboardInterrupt:
            self._stop()
            raise Stopped from None
        finally:
            for worker in self.workers:
                worker.process.kill()
                worker.process.wait()
                worker.errors.close()

    def _start(self, number: int) -> None:
        told = {"TRANSFERLAB_SKIP": ",".join(sorted(self.failed)), "TRANSFERLAB_ALONE": ",".join(sorted(self.alone))}
        command = [sys.executable, "-m", "transferlab.runners.worker", str(self.store.path), self.plan.identity]
        threads = {name: str(self.cores.n_threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        environment = {**os.environ, **WORKER_ENVIRONMENT, **threads, **told}
        if self.plan.device == "cuda":
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(self.cores.n_workers)))).split(",")
            environment["CUDA_VISIBLE_DEVICES"] = visible[number]
        errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the workers in order
        )  # fmt: skip
        worker = _Worker(number, process, errors, time.monotonic())
        self.workers.append(worker)
        threading.Thread(target=self._read, args=(worker,), daemon=True).start()

    def _read(self, worker: _Worker) -> None:
        with worker.process.stdout or contextlib.nullcontext(()) as lines:
            for line in lines:
                self.inbox.put((worker, line))
        self.inbox.put((worker, None))

    def _listen(self, tell: Callable[[Message], None], hang_seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            worker, line = self.inbox.get(timeout=1.0)
            worker.heard = time.monotonic()
            if line is None:
                self._ended(worker, tell)
                return
            details = json.loads(line)
            event = details.pop("event")
            if event == "mistake":
                raise UserError(**details)
            worker.has_told = True
            if event == "doing":
                worker.doing = details
            if event in ("done", "failed"):  # the others of a cohort go on
                left = [key for key in worker.doing.get("networks", ()) if key != details["network"]]
                worker.doing = {**worker.doing, "networks": left, "key": left[0], "network": left[0]} if left else {}
            if event == "failed":
                self.failed.add(details["network"])
            tell(Message(worker.number, event, details))
        for worker in self.workers:
            if time.monotonic() - worker.heard > hang_seconds:
                worker.process.kill()

    def _ended(self, worker: _Worker, tell: Callable[[Message], None]) -> None:
        """A worker is gone: at the plan's end, or by a crash, which is its cell's failure and no one else's."""
        code = worker.process.wait()
        self.workers.remove(worker)
        worker.errors.seek(0)
        last_words = worker.errors.read()[-4000:].decode(errors="replace")
        worker.errors.close()
        if code == 0:
            return
        if not worker.has_told:
            raise RuntimeError(f"a worker died before its first cell (exit {code}):\n{last_words}")
        together = set(worker.doing.get("networks", ())) - self.alone
        if len(together) > 1:  # one of them took the process along: each is tried by itself, so that it fails alone
            self.alone |= together
        elif worker.doing:
            reason = _reason(code)
            self.store.write_failure(worker.doing["key"], {**worker.doing, "reason": reason, "traceback": last_words})
            self.failed.add(worker.doing["network"])
            tell(Message(worker.number, "failed", {**worker.doing, "reason": reason}))
        self._start(worker.number)

    def _stop(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(timeout=30)


def _reason(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed: most often by the system, for want of memory, or because it hung"
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"its process ended with {name}"


@contextlib.contextmanager
def _terminate_is_interrupt() -> Any:
    """Within, SIGTERM stops like Ctrl-C (only the main thread may say so)."""
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


def failures(plan: Plan, store: Store) -> Sequence[tuple[str, str]]:
    """Key and reason of the plan's cells that failed and are still missing."""
    noted = store.failures()
    return [(key, str(noted[key].get("reason", "no reason kept"))) for key in missing(plan, store) if key in noted]
