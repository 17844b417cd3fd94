"""Performs one task in this process: trains a cohort or measures a network, stores the cells and emits events.

The failure of a cell is an event, and the task continues. Only errors that would affect every cell are raised.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor

from transferlab.engine.cohort import fit_cohort
from transferlab.engine.fit import Fitted, Hooks, Member, Progress, Snapshot, TrainingFailed
from transferlab.errors import UserError
from transferlab.events import Discarded, Done, Event, Failed, Finished, Progressed, Resumed, Started
from transferlab.extensions import raised_outside
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.planned import Training, Transfer
from transferlab.runners import networks
from transferlab.runners.networks import Bench
from transferlab.tasks import Task
from transferlab.transfer.measure import Workspace
from transferlab.transfer.problem import Network

# Failures of a single cell; others are raised if all code is this package's.
FAILURES = (UserError, TrainingFailed, MemoryError, RuntimeError)
EVENT_SECONDS = 0.5  # between events of progress
Emit = Callable[[Event], None]


class Stop(Exception):
    """The process was asked to stop; the current training is saved."""


def do_task(task: Task, bench: Bench, emit: Emit) -> None:
    """Compute the missing cells of a task; emits ``Finished`` at the end, unless the process was asked to stop.

    Raises:
        Exception: an error that would affect every cell: a bug, a full or read-only disk, a broken CUDA context.
    """
    with contextlib.suppress(Stop):
        with claimed(bench.store, task.networks) as mine:
            held = mine if task.kind == "train" else task.cells if mine else ()
            todo = [key for key in task.cells if key in held and not bench.store.has(key)]
            if todo and task.kind == "train":
                _train(todo, bench, emit)
            elif todo:
                _measure(task.networks[0], todo, bench, emit)
        # Emitted after the locks are released, so that the next task can take them.
        emit(Finished(tuple(key for key in task.cells if key not in held)))


@contextlib.contextmanager
def claimed(store: Store, names: Sequence[str]) -> Generator[list[str]]:
    """Lock the networks that no other process has locked, and yield them; none if the first is locked.

    Every process takes the networks of a cohort in the same order, so the first decides which process trains them. The
    others are locked as well because a plan with more seeds groups the same networks differently.
    """
    with contextlib.ExitStack() as held:
        first = held.enter_context(store.claim(names[0]))
        yield [name for name in names if first and (name == names[0] or held.enter_context(store.claim(name)))]


def _train(keys: Sequence[str], bench: Bench, emit: Emit) -> None:
    """Train networks together, and store each when it is finished.

    Raises:
        Stop: the process was asked to stop; every training is saved.
    """
    words = {key: f"pre-train {_words(bench.trainings[key])}" for key in keys}
    whole = words[keys[0]] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
    emit(Started(tuple(keys), whole))
    monitor = _Monitor(bench, emit, whole, len(keys))
    members: dict[str, Member] = {}
    for key in keys:
        try:
            members[key] = networks.member(bench, bench.trainings[key].cell, monitor.hooks(key))
        except Exception as failure:  # noqa: BLE001
            emit(_failed(key, words[key], failure, bench.trainings[key].cell.brought))
    begun, names, stopped = time.monotonic(), list(members), False
    for number, ended in fit_cohort(list(members.values()), bench.trainings[keys[0]].cell.recipe, bench.place):
        key = names[number]
        if isinstance(ended, Fitted):
            networks.keep(bench, key, networks.trained(bench.trainings[key].cell, ended, len(members)), begun)
            emit(Done(key, words[key]))
        elif isinstance(ended, Stop):
            stopped = True  # raised after every member is saved
        else:
            emit(_failed(key, words[key], ended, bench.trainings[key].cell.brought))
    if stopped:
        raise Stop


def _measure(name: str, keys: Sequence[str], bench: Bench, emit: Emit) -> None:
    """Compute cells of one network: its source accuracy and its transfers.

    Raises:
        Stop: the process was asked to stop.
    """
    network: Network | None = None
    shared: dict[str, dict[tuple[str, bytes], Tensor]] = {}  # features of each target's images
    names = {reference.digest: reference.name for reference in bench.plan.targets}
    for key in keys:
        if bench.stopping:
            raise Stop
        transfer = None if key == source_key(name) else bench.transfers[key]
        what = f"source accuracy of {_words(bench.trainings[name])}" if transfer is None else (
            f"{transfer.label} on {names[transfer.cell.target]} of {_words(transfer)}")  # fmt: skip
        emit(Started((key,), what))
        try:
            network = network or networks.opened(bench, name, transfer.untrained if transfer else None)
            begun, hooks = time.monotonic(), _Monitor(bench, emit, what, 1).hooks(key)
            if transfer is None:
                made = networks.source_accuracy(bench, name, network, hooks)
            else:
                cell = transfer.cell
                workspace = Workspace(bench.place, shared.setdefault(cell.target, {}), hooks)
                made = networks.transferred(transfer, network, bench.target(cell.target), workspace)
            networks.keep(bench, key, made, begun)
            emit(Done(key, what))
        except Stop:
            raise
        except Exception as failure:  # noqa: BLE001
            emit(_failed(key, what, failure, _brought(bench, name, transfer)))


def _brought(bench: Bench, name: str, transfer: Transfer | None) -> Sequence[str]:
    """Codes of the definitions from outside the package that a network and its measurement use."""
    trained = bench.trainings.get(name)
    untrained = transfer.untrained if transfer else None
    return (
        *(trained.cell.brought if trained else ()), *(transfer.cell.brought if transfer else ()),
        *(untrained.brought if untrained else ()),
    )  # fmt: skip


def _failed(key: str, what: str, failure: Exception, brought: Sequence[str]) -> Failed:
    """A failure as an event.

    Args:
        brought: codes of the definitions from outside the package that the cell uses; they may raise anything.

    Raises:
        Exception: the failure itself if it would affect every cell.
    """
    disk = isinstance(failure.__cause__, OSError) and not raised_outside(failure)
    broken = disk or isinstance(failure, torch.AcceleratorError)
    if broken or not (brought or isinstance(failure, FAILURES)):
        raise failure
    reason = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
    return Failed(key, what, reason, "".join(traceback.format_exception(failure)))


def _words(of: Training | Transfer) -> str:
    return f"{of.condition} · seed {of.seed}"


class _Monitor:
    """Emits the progress of the trainings of one cell or cohort, and decides when they are saved."""

    def __init__(self, bench: Bench, emit: Emit, what: str, n_networks: int) -> None:
        self.bench, self.emit, self.what, self.n_networks = bench, emit, what, n_networks
        self.begun = self.reported = time.monotonic()
        self.first: dict[str, Progress] = {}
        self.latest: dict[str, Progress] = {}
        self.saved: dict[str, float] = {}

    def hooks(self, key: str) -> Hooks:
        """The hooks of this cell's training."""
        snapshot = networks.checkpoint(self.bench.store, key)
        if snapshot is not None:
            self.emit(Resumed(key, snapshot.step))
        elif self.bench.store.has_checkpoint(key):
            self._discard(key, "it is damaged, or of another cell or version")
        return Hooks(
            progress=lambda progress: self._progress(key, progress), due=lambda step: self._due(key),
            save=lambda taken: self._save(key, taken), discard=lambda reason: self._discard(key, reason), resume=snapshot,
        )  # fmt: skip

    def _discard(self, key: str, reason: str) -> None:
        self.bench.store.discard_checkpoint(key)
        self.emit(Discarded(key, self.what, reason))

    def _progress(self, key: str, progress: Progress) -> None:
        """Take in one network's progress; emits that of all networks, at most every EVENT_SECONDS."""
        now, before = time.monotonic(), self.latest.get(key)
        if not self.first or (before is not None and progress.n_seen < before.n_seen):  # the first pass, or another one
            self.begun, self.first = now, {**self.latest, key: progress}
        self.first.setdefault(key, progress)
        self.latest[key] = progress
        too_soon = now - max(self.reported, self.begun) < EVENT_SECONDS  # also after the first step, for a stable rate
        ends = progress.step == progress.n_steps and (before is None or before.step < progress.step)
        if too_soon and not ends:
            return
        self.reported = now
        seen = sum(latest.n_seen - self.first[key].n_seen for key, latest in self.latest.items())
        share = sum(latest.step / latest.n_steps for latest in self.latest.values()) / self.n_networks
        self.emit(Progressed(self.what, share, progress.loss, seen / max(now - self.begun, 1e-6)))

    def _due(self, key: str) -> bool:
        """Whether to save a network now: at intervals, and before stopping."""
        now = time.monotonic()
        if not self.bench.stopping and now - self.saved.setdefault(key, self.begun) < self.bench.checkpoint_seconds:
            return False
        self.saved[key] = now
        return True

    def _save(self, key: str, snapshot: Snapshot) -> None:
        networks.save_checkpoint(self.bench.store, key, snapshot)
        if self.bench.stopping:
            raise Stop
