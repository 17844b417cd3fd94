"""One worker process: does the networks of a plan that nobody else has claimed, and tells its parent how it goes.

Started by ``runners.local`` as ``python -m transferlab.runners.worker STORE STUDY``; speaks JSON lines on standard
output. SIGTERM makes it save the training at hand and leave.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from transferlab.engine.fit import Progress
from transferlab.errors import UserError
from transferlab.outcomes.store import Store
from transferlab.plan import cohorts
from transferlab.planned import Plan, restored
from transferlab.runners.networks import FAILURES, Bench, Stop, train, transfer

CHECKPOINT_SECONDS = 60.0
TELL_SECONDS = 0.5


class Surroundings:
    """Clock, pipe and signals around the networks that this process works on."""

    def __init__(self) -> None:
        self.stopping = False
        self.told = self.begun = time.monotonic()
        self.at: dict[str, Any] = {}
        self.saved: dict[str, float] = {}
        self.first: dict[str, Progress] = {}  # of each network that is being trained
        self.latest: dict[str, Progress] = {}
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def doing(self, what: Mapping[str, Any]) -> None:
        """Begin a cell, or the training of several: ``key``, ``network``, ``what`` (words), and all ``networks``."""
        self.at = dict(what)
        self.begun = time.monotonic()
        self.saved, self.first, self.latest = {}, {}, {}
        self.tell("doing", **self.at)

    def tell(self, event: str, **details: Any) -> None:
        print(json.dumps({"event": event, **details}), flush=True)

    def progress(self, key: str, progress: Progress) -> None:
        """How far one network is; told for all that are trained together."""
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
        shares = [latest.step / latest.n_steps for latest in self.latest.values()]
        share = sum(shares) / len(self.at.get("networks", shares))
        rate = seen / max(now - self.begun, 1e-6)
        self.tell("progress", **self.at, share=share, loss=progress.loss, images_per_second=rate)

    def due(self, key: str) -> bool:
        """Whether to save a network now: at intervals, and before leaving."""
        now = time.monotonic()
        if not self.stopping and now - self.saved.setdefault(key, self.begun) < CHECKPOINT_SECONDS:
            return False
        self.saved[key] = now
        return True


def main(store_path: str, identity: str) -> None:
    """Do what is missing; a disk that is full or read-only ends it, since every cell would meet it."""
    around = Surroundings()
    try:
        _work(around, Path(store_path), identity)
    except UserError as mistake:
        around.tell("mistake", what=mistake.what, where=mistake.where, remedy=mistake.remedy)
    sys.stdout.flush()


def _work(around: Surroundings, store_path: Path, identity: str) -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if os.environ.get("TRANSFERLAB_DETERMINISTIC"):
        torch.use_deterministic_algorithms(True)
    store = Store.open(store_path, create=False)
    plan = restored(store.studies()[identity])
    if not isinstance(plan, Plan):
        raise TypeError(f"{identity} is not a plan")
    skip, begun = set(os.environ.get("TRANSFERLAB_SKIP", "").split(",")), time.time()
    bench = Bench(plan, store, around)
    alone = set(os.environ.get("TRANSFERLAB_ALONE", "").split(","))
    for group in cohorts(plan):
        if around.stopping:
            break
        if not (keys := [key for key in group if key not in skip and not bench.complete(key)]):
            continue
        with _claimed(store, group, keys) as mine:
            free = [key for key in mine if not _has_failed_since(store, begun, key)]
            for together in [[key] for key in free] if alone & set(free) else [free]:
                _guarded(bench, together)


@contextlib.contextmanager
def _claimed(store: Store, group: Sequence[str], keys: Sequence[str]) -> Generator[list[str]]:
    """Those of these networks that are this process's now: none where another works on the group.

    The group's first key is claimed for all of it. The others are claimed as well, since a plan of more seeds groups
    the same networks otherwise.
    """
    with contextlib.ExitStack() as held:
        mine = held.enter_context(store.claim(group[0]))
        yield [key for key in keys if mine and (key == group[0] or held.enter_context(store.claim(key)))]


def _has_failed_since(store: Store, begun: float, network: str) -> bool:
    """Whether another worker has tried it meanwhile: once a run is enough."""
    return any(f.get("network") == network and f.get("when", 0.0) >= begun for f in store.failures().values())


def _guarded(bench: Bench, networks: Sequence[str]) -> None:
    """These networks with all their transfers; what fails is recorded with its circumstances, and the rest goes on."""
    with contextlib.suppress(Stop):
        train(bench, networks)
        for network in networks:
            done = False
            while not done and network not in bench.failed:
                try:
                    transfer(bench, network)
                    done = True
                except FAILURES as failure:
                    bench.fail(bench.around.at, failure)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
