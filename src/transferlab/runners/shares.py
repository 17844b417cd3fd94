"""Divides a machine's cores into workers and threads, by a measurement that is made once and stored."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass

from transferlab.engine.backbones import BACKBONES
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.errors import UserError
from transferlab.identity import digest, plain
from transferlab.outcomes.store import Store
from transferlab.plan import cohorts, most_seen
from transferlab.planned import Plan
from transferlab.runners.machine import Machine
from transferlab.specs import Epochs

# With these, glibc keeps pages instead of returning them to the kernel: 1.2 times the images/s on two cores.
WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "500000000",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "CUDA_DEVICE_MAX_CONNECTIONS": "32",  # hardware queues for the streams of a cohort; the default is 8
}
SECONDS = 2.0  # of a measurement, enough for a choice; benchmarks measure longer
MAX_THREADS = 8  # a step of a small network cannot use more
WORTH_MEASURING = 1_000_000  # examples of a plan; with fewer, measuring costs more than it gains


@dataclass(frozen=True)
class Share:
    """The number of parallel workers, and of threads per worker; on CUDA each worker has one GPU."""

    n_workers: int
    n_threads: int


def share(plan: Plan, store: Store, machine: Machine, study_file: str | None = None) -> Share:
    """The share that finishes the plan's networks first, by measurement where there is a choice.

    It depends on the whole plan, not on what is left, and its measurement is stored, because the number of threads changes
    the last bits of a result. Small plans take one-thread workers without a measurement.

    Args:
        study_file: a Python file whose extensions the plan uses.
    """
    n_networks = max(1, len(cohorts(plan)))
    choices = possible(n_networks, machine)
    if len(choices) == 1 or not _is_worth_measuring(plan, store):
        return choices[0]
    return fastest(n_networks, {c: images_per_second(plan, store, machine, c, study_file) for c in choices})


def _is_worth_measuring(plan: Plan, store: Store) -> bool:
    """Whether the plan's trainings see enough examples; reads as few subsets as possible."""
    by_epochs = isinstance(plan.recipe.length, Epochs)
    seen = 0
    for training in plan.trainings:
        seen += most_seen(plan.recipe, len(store.read_subset(training.cell.subset).rows) if by_epochs else 0)
        if seen >= WORTH_MEASURING:
            return True
    return False


def possible(n_networks: int, machine: Machine) -> list[Share]:
    """The ways to divide a machine among ``n_networks``, one-thread workers first."""
    if machine.device == "cuda":
        return [Share(min(machine.n_units, n_networks), 4)]
    found: dict[Share, None] = {}
    for n_threads in (2**power for power in range(MAX_THREADS.bit_length())):
        if n_threads <= machine.n_units:
            n_workers = min(machine.n_units // n_threads, n_networks)
            found[Share(n_workers, min(machine.n_units // n_workers, MAX_THREADS))] = None
    return list(found)


def fastest(n_networks: int, rates: dict[Share, float]) -> Share:
    """The share that finishes equal networks first.

    Args:
        rates: images per second of all workers together.
    """
    return min(rates, key=lambda at: math.ceil(n_networks / at.n_workers) * at.n_workers / rates[at])


def images_per_second(plan: Plan, store: Store, machine: Machine, at: Share, study_file: str | None = None) -> float:
    """Training speed of the plan's recipe, all workers together; measured in seconds once, then read from the store.

    Raises:
        UserError: a definition from outside the package fails, with its file and line.
    """
    recipe = plain(plan.recipe, identity_only=True)
    codes = [brought.code for brought in plan.brought if brought.kind in (BACKBONES.kind, OPTIMISERS.kind)]
    key = digest("calibration", machine.name, recipe, plan.device, plan.precision, at.n_workers, at.n_threads, *codes)
    kept = store.pack_index(f"calibration-{key}")
    if kept is not None:
        return float(kept["images_per_second"])
    words = [json.dumps(recipe), plan.device, plan.precision, str(SECONDS), *([study_file] if study_file else [])]
    command = [sys.executable, "-m", "transferlab.runners.calibrate", *words]
    environment = {**os.environ, **WORKER_ENVIRONMENT, "OMP_NUM_THREADS": str(at.n_threads)}
    side_by_side = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(at.n_workers)
    ]
    printed = [process.communicate()[0] for process in side_by_side]
    failed = [process.returncode for process in side_by_side if process.returncode]
    if failed:
        raise RuntimeError(f"measuring the speed of {plan.recipe.backbone} ended with exit code {failed[0]}")
    answers = [json.loads(text) for text in printed]
    if faults := [answer["fault"] for answer in answers if "fault" in answer]:
        raise UserError(*faults[0])
    rate = sum(float(answer["images_per_second"]) for answer in answers)
    store.write_pack_index(f"calibration-{key}", {"images_per_second": rate})
    return rate
