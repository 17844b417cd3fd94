"""Divides a machine's cores into workers and threads, by a measurement that is made once and stored."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass, fields, replace

from transferlab.engine.backbones import BACKBONES
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.errors import UserError
from transferlab.identity import digest, plain
from transferlab.outcomes.store import Store
from transferlab.plan import cohorts, most_seen
from transferlab.planned import Plan
from transferlab.runners.machine import Machine
from transferlab.specs import Examples

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


@dataclass(frozen=True)
class Rates:
    """How fast one worker is while all of them work.

    Args:
        trained, passed: images a second of pre-training, and of forward passes.
        fitted: multiply-adds a second of the probe's passes over features.
        n_features: length of the backbone's feature vector.
        start_seconds: until a worker that is started begins to work.
    """

    trained: float
    passed: float
    fitted: float
    n_features: float
    start_seconds: float


def share(plan: Plan, store: Store, machine: Machine, study_file: str | None = None) -> Share:
    """The share that finishes the plan's networks first, by measurement where there is a choice.

    It depends on the whole plan, not on what is left, and its measurement is stored, because the number of threads changes
    the last bits of a result. Small plans take one-thread workers without a measurement.

    Args:
        study_file: a Python file whose extensions the plan uses.
    """
    n_networks = max(1, len(cohorts(plan)))
    choices = possible(n_networks, machine)
    if len(choices) == 1 or not _is_worth_measuring(plan):
        return choices[0]
    return fastest(n_networks, {c: images_per_second(plan, store, machine, c, study_file) for c in choices})


def _is_worth_measuring(plan: Plan) -> bool:
    """Whether the plan's trainings see enough examples."""
    sizes = {condition.name: condition.n_images for condition in plan.conditions}
    return sum(most_seen(plan.recipe, sizes[t.condition]) for t in plan.trainings) >= WORTH_MEASURING


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
    """Training speed of the plan's recipe, all workers together; raises UserError as ``rates``."""
    return rates(plan, store, machine, at, study_file).trained * at.n_workers


def rates(plan: Plan, store: Store, machine: Machine, at: Share, study_file: str | None = None) -> Rates:
    """The speed of the plan's recipe; measured in seconds once, then read from the store.

    Raises:
        UserError: a definition from outside the package fails, with its file and line.
    """
    name = calibration(plan, machine, at)
    kept = store.pack_index(name)
    if kept is None:
        kept = _measured(plan, at, study_file)
        store.write_pack_index(name, kept)
    return Rates(**{field.name: kept[field.name] for field in fields(Rates)})


def calibration(plan: Plan, machine: Machine, at: Share) -> str:
    """The name under which a store keeps the speed; the length of trainings does not matter to it."""
    recipe = plain(replace(plan.recipe, length=Examples(0)), identity_only=True)
    codes = [brought.code for brought in plan.brought if brought.kind in (BACKBONES.kind, OPTIMISERS.kind)]
    key = digest("speed", machine.name, recipe, plan.device, plan.precision, at.n_workers, at.n_threads, *codes)
    return f"calibration-{key}"


def _measured(plan: Plan, at: Share, study_file: str | None) -> dict[str, float]:
    """The fields of ``Rates``, from as many processes side by side as there are workers."""
    recipe = json.dumps(plain(plan.recipe, identity_only=True))
    words = [recipe, plan.device, plan.precision, str(SECONDS), *([study_file] if study_file else [])]
    command = [sys.executable, "-m", "transferlab.runners.calibrate", *words]
    environment = {**os.environ, **WORKER_ENVIRONMENT, "OMP_NUM_THREADS": str(at.n_threads)}
    begun = time.monotonic()
    side_by_side = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(at.n_workers)
    ]
    printed = [process.communicate()[0] for process in side_by_side]
    elapsed = time.monotonic() - begun
    failed = [process.returncode for process in side_by_side if process.returncode]
    if failed:
        raise RuntimeError(f"measuring the speed of {plan.recipe.backbone} ended with exit code {failed[0]}")
    answers = [json.loads(text) for text in printed]
    if faults := [answer["fault"] for answer in answers if "fault" in answer]:
        raise UserError(*faults[0])
    means = {
        name: sum(float(answer[told]) for answer in answers) / len(answers)
        for name, told in (
            ("trained", "images_per_second"), ("passed", "passed_per_second"), ("fitted", "products_per_second"),
            ("n_features", "n_features"),
        )
    }  # fmt: skip
    return {**means, "start_seconds": max(0.0, elapsed - max(float(answer["seconds"]) for answer in answers))}
