"""Does one task in this process: trains a cohort or measures a network, keeps the cells, and tells how it goes.

What goes wrong with a cell is told as an event, and the task goes on. Only what every cell would meet is raised.
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
from transferlab.events import Done, Event, Failed, Finished, Progressed, Resumed, Started
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.planned import Training, Transfer
from transferlab.runners import networks
from transferlab.runners.networks import Bench
from transferlab.tasks import Task
from transferlab.transfer.measure import Surroundings
from transferlab.transfer.problem import Network

FAILURES = (UserError, TrainingFailed, MemoryError, RuntimeError)  # a cell's own; anything else is raised
TELL_SECONDS = 0.5
Tell = Callable[[Event], None]


class Stop(Exception):
    """The process was asked to leave; the training at hand is saved."""


def do_task(task: Task, bench: Bench, tell: Tell) -> None:
    """Make those of a task's cells that are missing; ``Finished`` is told at its end, unless it was told to stop.

    Raises:
        Exception: what every cell would meet: a bug of ours, a disk that is full or read-only, a CUDA context that an
            error has broken.
    """
    with contextlib.suppress(Stop):
        with claimed(bench.store, task.networks) as mine:
            held = mine if task.kind == "train" else task.cells if mine else ()
            todo = [key for key in task.cells if key in held and not bench.store.has(key)]
            if todo and task.kind == "train":
                _train(todo, bench, tell)
            elif todo:
                _measure(task.networks[0], todo, bench, tell)
        # Told after the claims are released, so that the next task finds them free.
        tell(Finished(tuple(key for key in task.cells if key not in held)))


@contextlib.contextmanager
def claimed(store: Store, names: Sequence[str]) -> Generator[list[str]]:
    """Those of these networks that no other process holds, for as long as this lasts; none where the first is held.

    Another process takes the networks of a cohort in the same order, so the first decides who trains them. The others
    are claimed as well because a plan of more seeds groups the same networks differently.
    """
    with contextlib.ExitStack() as held:
        first = held.enter_context(store.claim(names[0]))
        yield [name for name in names if first and (name == names[0] or held.enter_context(store.claim(name)))]


def _train(keys: Sequence[str], bench: Bench, tell: Tell) -> None:
    """Train networks together; each is kept when it ends.

    Raises:
        Stop: the process was asked to leave; every network's training is saved.
    """
    words = {key: f"pre-train {_words(bench.trainings[key])}" for key in keys}
    whole = words[keys[0]] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
    tell(Started(tuple(keys), whole))
    watch = _Watch(bench, tell, whole, len(keys))
    members: dict[str, Member] = {}
    for key in keys:
        try:
            members[key] = networks.member(bench, bench.trainings[key].cell, watch.hooks(key))
        except FAILURES as failure:
            tell(_failed(key, words[key], failure))
    begun, names, stopped = time.monotonic(), list(members), False
    for number, ended in fit_cohort(list(members.values()), bench.plan.recipe, bench.place):
        key = names[number]
        if isinstance(ended, Fitted):
            networks.keep(bench, key, networks.trained(bench.trainings[key].cell, ended, len(members)), begun)
            tell(Done(key, words[key]))
        elif isinstance(ended, Stop):
            stopped = True  # once each member has saved itself
        else:
            tell(_failed(key, words[key], ended))
    if stopped:
        raise Stop


def _measure(name: str, keys: Sequence[str], bench: Bench, tell: Tell) -> None:
    """Make cells of one network: its source accuracy and its transfers.

    Raises:
        Stop: the process was asked to leave.
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
        tell(Started((key,), what))
        try:
            network = network or networks.opened(bench, name, transfer.untrained if transfer else None)
            begun = time.monotonic()
            if transfer is None:
                made = networks.source_accuracy(bench, name, network)
            else:
                cell, hooks = transfer.cell, _Watch(bench, tell, what, 1).hooks(key)
                around = Surroundings(bench.place, shared.setdefault(cell.target, {}), hooks)
                made = networks.transferred(transfer, network, bench.target(cell.target), around)
            networks.keep(bench, key, made, begun)
            tell(Done(key, what))
        except FAILURES as failure:
            tell(_failed(key, what, failure))


def _failed(key: str, what: str, failure: Exception) -> Failed:
    """A failure as an event.

    Raises:
        Exception: the failure itself where every cell would meet it.
    """
    broken = isinstance(failure, torch.AcceleratorError) or isinstance(failure.__cause__, OSError)
    if broken or not isinstance(failure, FAILURES):
        raise failure
    reason = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
    return Failed(key, what, reason, "".join(traceback.format_exception(failure)))


def _words(of: Training | Transfer) -> str:
    return f"{of.condition} · seed {of.seed}"


class _Watch:
    """The clock beside the trainings of one cell or cohort: tells their progress and says when to save them."""

    def __init__(self, bench: Bench, tell: Tell, what: str, n_networks: int) -> None:
        self.bench, self.tell, self.what, self.n_networks = bench, tell, what, n_networks
        self.begun = self.told = time.monotonic()
        self.first: dict[str, Progress] = {}
        self.latest: dict[str, Progress] = {}
        self.saved: dict[str, float] = {}

    def hooks(self, key: str) -> Hooks:
        """What the training of this cell is to call."""
        snapshot = networks.checkpoint(self.bench.store, key)
        if snapshot is not None:
            self.tell(Resumed(key, snapshot.step))
        return Hooks(
            progress=lambda progress: self._progress(key, progress), due=lambda step: self._due(key),
            save=lambda taken: self._save(key, taken), resume=snapshot,
        )  # fmt: skip

    def _progress(self, key: str, progress: Progress) -> None:
        """How far one network is; told now and then, for all that are trained together."""
        now = time.monotonic()
        if not self.first:
            self.begun = now
        self.first.setdefault(key, progress)
        self.latest[key] = progress
        too_soon = now - max(self.told, self.begun) < TELL_SECONDS  # for a rate too, after the first step
        if too_soon and progress.step < progress.n_steps:
            return
        self.told = now
        seen = sum(latest.n_seen - self.first[key].n_seen for key, latest in self.latest.items())
        share = sum(latest.step / latest.n_steps for latest in self.latest.values()) / self.n_networks
        self.tell(Progressed(self.what, share, progress.loss, seen / max(now - self.begun, 1e-6)))

    def _due(self, key: str) -> bool:
        """Whether to save a network now: at intervals, and before leaving."""
        now = time.monotonic()
        if not self.bench.stopping and now - self.saved.setdefault(key, self.begun) < self.bench.checkpoint_seconds:
            return False
        self.saved[key] = now
        return True

    def _save(self, key: str, snapshot: Snapshot) -> None:
        networks.save_checkpoint(self.bench.store, key, snapshot)
        if self.bench.stopping:
            raise Stop
