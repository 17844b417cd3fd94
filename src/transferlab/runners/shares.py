"""How a machine's cores are shared out: so many workers of so many threads, measured once and kept in the store."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass

from transferlab.identity import digest, plain
from transferlab.outcomes.store import Store
from transferlab.plan import cohorts, most_seen
from transferlab.planned import Plan
from transferlab.runners.machine import Machine
from transferlab.specs import Epochs

# glibc then keeps activations instead of returning pages to the kernel: 1.2 times the images/s on two cores.
WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "500000000",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "CUDA_DEVICE_MAX_CONNECTIONS": "32",  # hardware queues, for the streams of a cohort; 8 where nothing is said
}
SECONDS = 2.0  # of measuring: enough to choose by; benchmarks ask for more
MOST_THREADS = 8  # a small network's step has no work for more
WORTH_MEASURING = 1_000_000  # examples of a plan: on fewer, the better share gains less than measuring takes


@dataclass(frozen=True)
class Share:
    """Workers side by side, and threads of each; on CUDA a worker has a GPU."""

    n_workers: int
    n_threads: int


def share(plan: Plan, store: Store, machine: Machine, study_file: str | None = None) -> Share:
    """The share under which the plan's networks are done soonest, by measurement where there is a choice.

    It follows from the whole plan, not from what is left, and is kept with the store: the number of threads changes a
    result's last bits. Small plans take one-thread workers unmeasured.

    Args:
        study_file: a Python file whose extensions the plan uses.
    """
    n_networks = max(1, len(cohorts(plan)))
    choices = possible(n_networks, machine)
    if len(choices) == 1 or not _is_worth_measuring(plan, store):
        return choices[0]
    rates = {choice: images_per_second(plan, store, machine, choice, study_file) for choice in choices}
    return soonest(n_networks, rates)


def _is_worth_measuring(plan: Plan, store: Store) -> bool:
    """Whether the plan's trainings see enough examples; no more subsets are read than it takes to tell."""
    by_epochs = isinstance(plan.recipe.length, Epochs)
    seen = 0
    for training in plan.trainings:
        seen += most_seen(plan.recipe, len(store.read_subset(training.cell.subset).rows) if by_epochs else 0)
        if seen >= WORTH_MEASURING:
            return True
    return False


def possible(n_networks: int, machine: Machine) -> list[Share]:
    """The ways to share out a machine among so many networks, one-thread workers first."""
    if machine.device == "cuda":
        return [Share(min(machine.n_units, n_networks), 4)]
    found: dict[Share, None] = {}
    for n_threads in (2**power for power in range(MOST_THREADS.bit_length())):
        if n_threads <= machine.n_units:
            n_workers = min(machine.n_units // n_threads, n_networks)
            found[Share(n_workers, min(machine.n_units // n_workers, MOST_THREADS))] = None
    return list(found)


def soonest(n_networks: int, rates: dict[Share, float]) -> Share:
    """The share that ends first with equal networks, from images a second of all its workers together."""
    return min(rates, key=lambda at: math.ceil(n_networks / at.n_workers) * at.n_workers / rates[at])


def images_per_second(plan: Plan, store: Store, machine: Machine, at: Share, study_file: str | None = None) -> float:
    """Training speed of the plan's recipe, all workers together; takes seconds once, then the store has it."""
    recipe = plain(plan.recipe, identity_only=True)
    key = digest("calibration", machine.name, recipe, plan.device, plan.precision, at.n_workers, at.n_threads)
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
    rate = sum(float(json.loads(text)["images_per_second"]) for text in printed)
    store.write_pack_index(f"calibration-{key}", {"images_per_second": rate})
    return rate
