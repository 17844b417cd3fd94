"""One worker process: does the networks of a plan that nobody else has claimed, and tells its parent how it goes.

Started by ``runners.local`` as ``python -m transferlab.runners.worker STORE STUDY``; speaks JSON lines on standard
output. SIGTERM makes it save the training at hand and leave.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transferlab.engine.fit import Progress, TrainingFailed
from transferlab.errors import UserError
from transferlab.outcomes.store import Store
from transferlab.plan import cohorts
from transferlab.runners.networks import Bench, Stop, do_network
from transferlab.specs import Plan, restored

CHECKPOINT_SECONDS = 60.0
TELL_SECONDS = 0.5


class Surroundings:
    """Clock, pipe and signals around the networks that this process works on."""

    def __init__(self) -> None:
        self.stopping = False
        self.saved = self.told = time.monotonic()
        self.begun, self.begun_seen = self.saved, 0
        self.at: dict[str, Any] = {}
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def doing(self, what: Mapping[str, Any]) -> None:
        """Begin a cell: ``key``, ``network``, ``what`` (words)."""
        self.at = dict(what)
        self.saved = self.begun = time.monotonic()
        self.begun_seen = -1
        self.tell("doing", **self.at)

    def tell(self, event: str, **details: Any) -> None:
        print(json.dumps({"event": event, **details}), flush=True)

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if self.begun_seen < 0:
            self.begun, self.begun_seen = now, progress.n_seen
        if now - self.told < TELL_SECONDS and progress.step < progress.n_steps:
            return
        self.told = now
        rate = (progress.n_seen - self.begun_seen) / max(now - self.begun, 1e-6)
        share = progress.step / progress.n_steps
        self.tell("progress", **self.at, share=share, loss=progress.loss, images_per_second=rate)

    def due(self, step: int) -> bool:
        """Whether to save now: at intervals, and before leaving."""
        if not self.stopping and time.monotonic() - self.saved < CHECKPOINT_SECONDS:
            return False
        self.saved = time.monotonic()
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
    for group in cohorts(plan):
        if around.stopping:
            break
        if group[0] in skip or bench.complete(group[0]):
            continue
        with store.claim(group[0]) as mine:
            if mine and not _has_failed_since(store, begun, group[0]):
                _guarded(bench, group[0])


def _has_failed_since(store: Store, begun: float, network: str) -> bool:
    """Whether another worker has tried it meanwhile: once a run is enough."""
    return any(f.get("network") == network and f.get("when", 0.0) >= begun for f in store.failures().values())


def _guarded(bench: Bench, network: str) -> None:
    """One network with all its transfers; what fails is recorded with its circumstances, and the rest goes on."""
    while network not in bench.failed:
        try:
            do_network(bench, network)
            return
        except Stop:
            return
        except (UserError, TrainingFailed, MemoryError, torch.OutOfMemoryError, RuntimeError) as failure:
            if isinstance(failure.__cause__, OSError):
                raise
            at = bench.around.at
            reason = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
            bench.store.write_failure(at["key"], {**at, "reason": reason, "traceback": traceback.format_exc()})
            bench.around.tell("failed", **at, reason=reason)
            bench.failed.add(at["key"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
