"""Measures how many images a second one worker trains, in a few seconds, as its own process."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from transferlab.engine.batches import Examples, Place
from transferlab.engine.fit import Hooks, Progress, fit
from transferlab.identity import stream
from transferlab.specs import Examples as Length
from transferlab.specs import Recipe, restored

SECONDS = 4.0
N_IMAGES, N_CLASSES = 2048, 100


class Enough(Exception):
    """The measurement is done."""


def measure(recipe: Recipe, place: Place) -> float:
    """Images a second of training steps on random pixels, after a warm-up of ten steps."""
    random = stream("calibration")
    px = recipe.image_px
    images = random.integers(0, 256, (N_IMAGES, px, px, 3)).astype(np.uint8)
    labels = random.integers(0, N_CLASSES, N_IMAGES).astype(np.int32)
    half, quarter = np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32)
    examples = Examples(images, np.arange(N_IMAGES, dtype=np.int32), labels, N_CLASSES, half, quarter)
    begun = seen = 0.0
    rate = 0.0

    def progress(at: Progress) -> None:
        nonlocal begun, seen, rate
        if at.step == 10:
            begun, seen = time.perf_counter(), at.n_seen
        if at.step > 10:
            elapsed = time.perf_counter() - begun
            rate = (at.n_seen - seen) / elapsed
            if elapsed > SECONDS:
                raise Enough

    try:
        fit(examples, replace(recipe, length=Length(10**9)), 0, place, hooks=Hooks(progress=progress))
    except Enough:
        return rate
    return rate


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    wanted = restored(json.loads(sys.argv[1]))
    device, precision = sys.argv[2], sys.argv[3]
    place = Place("cuda" if device == "cuda" else "cpu", "bf16" if precision == "bf16" else "fp32")
    print(json.dumps({"images_per_second": measure(wanted, place)}))
