"""A process that measures in a few seconds how fast one worker trains, passes images forward and fits a probe.

Started by ``runners.shares`` as ``python -m transferlab.runners.calibrate``. It answers with a line of JSON on standard
output; whatever a study file prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Place, features
from transferlab.engine.cohort import fit_cohort
from transferlab.engine.fit import Hooks, Member, Progress
from transferlab.errors import UserError
from transferlab.extensions import fault_of, load_installed, run_file
from transferlab.identity import stream
from transferlab.plan import COHORT
from transferlab.planned import restored
from transferlab.specs import Examples as Length
from transferlab.specs import Recipe
from transferlab.transfer.logistic import loss_and_gradient

WARM_UP = 10  # turns: steps on the CPU, blocks of steps on CUDA
N_IMAGES, N_CLASSES = 2048, 100
N_PASSED = 256


class Enough(Exception):
    """Ends the training once the measurement is done."""


def measure(examples: Examples, recipe: Recipe, place: Place, n_networks: int, seconds: float) -> float:
    """Training speed in images per second of ``n_networks`` together, after a warm-up."""
    seen, n_turns = [0] * n_networks, 0
    begun = base = 0
    rate = 0.0

    def progress(number: int, at: Progress) -> None:
        nonlocal n_turns, begun, base, rate
        seen[number], n_turns = at.n_seen, n_turns + (number == 0)
        if n_turns < n_networks + WARM_UP:  # each turn of the first network starts one more
            return
        if not begun:
            begun, base = time.perf_counter_ns(), sum(seen)
            return
        elapsed = (time.perf_counter_ns() - begun) / 1e9
        rate = (sum(seen) - base) / elapsed
        if elapsed > seconds:
            raise Enough

    endless = replace(recipe, length=Length(10**9))
    hooks = [Hooks(progress=partial(progress, number)) for number in range(n_networks)]
    members = [Member(examples, number, hooks=hook) for number, hook in enumerate(hooks)]
    for _, ended in fit_cohort(members, endless, place):
        if isinstance(ended, Exception) and not isinstance(ended, Enough):
            raise ended
        break
    return rate


def measure_passes(backbone: Backbone, recipe: Recipe, place: Place, seconds: float) -> float:
    """Images per second of forward passes, after a warm-up."""
    examples = random_examples(recipe.image_px, N_PASSED)
    return N_PASSED * _per_second(
        lambda: features(backbone.to(place.device), examples, place, recipe.image_px), seconds
    )


def measure_products(n_features: int, seconds: float) -> float:
    """Multiply-adds per second of the probe's loss and gradient on the CPU, after a warm-up."""
    rows = torch.linspace(-1, 1, N_IMAGES * n_features).view(N_IMAGES, n_features)
    labels, weights = torch.arange(N_IMAGES) % N_CLASSES, torch.zeros(n_features + 1, N_CLASSES)
    return 2 * rows.numel() * N_CLASSES * _per_second(lambda: loss_and_gradient(rows, labels, weights), seconds)


def _per_second(work: Callable[[], object], seconds: float) -> float:
    work()
    begun, n = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begun) < seconds or not n:
        work()
        n += 1
    return n / elapsed


def random_examples(image_px: int, n_images: int = N_IMAGES) -> Examples:
    """Random pixels under random labels."""
    random = stream("calibration")
    images = random.integers(0, 256, (n_images, image_px, image_px, 3)).astype(np.uint8)
    labels = random.integers(0, N_CLASSES, n_images).astype(np.int32)
    half, quarter = np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32)
    return Examples(images, np.arange(n_images, dtype=np.int32), labels, N_CLASSES, half, quarter)


def main() -> None:
    """Answer with speeds by name, or with a ``fault``: the three parts of a UserError."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the command says that it was stopped
    begun = time.monotonic()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        told: dict[str, object] = {**_measured(*sys.argv[1:]), "seconds": time.monotonic() - begun}
    except (Exception, SystemExit) as error:
        fault = error if isinstance(error, UserError) else fault_of(error)
        if fault is None:  # a mistake of ours
            raise
        told = {"fault": [fault.what, fault.where, fault.remedy]}
    print(json.dumps(told), file=answer, flush=True)


def _measured(
    recipe: str, device: str, precision: str, seconds: str, study_file: str | None = None
) -> dict[str, float]:
    wanted = restored(json.loads(recipe))
    place = Place("cuda" if device == "cuda" else "cpu", "bf16" if precision == "bf16" else "fp32")
    load_installed()
    if study_file is not None:
        run_file(Path(study_file))
    trained = measure(random_examples(wanted.image_px), wanted, place, COHORT[place.device], float(seconds))
    backbone = build(wanted.backbone, wanted.image_px, 0)
    return {
        "images_per_second": trained,
        "passed_per_second": measure_passes(backbone, wanted, place, float(seconds) / 8),
        "products_per_second": measure_products(backbone.n_features, float(seconds) / 8),
        "n_features": backbone.n_features,
    }


if __name__ == "__main__":
    main()
