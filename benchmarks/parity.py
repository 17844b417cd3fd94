"""Equal accuracy: the standard loop and the engine train the same networks, five seeds each, on the same images.

    .venv/bin/python benchmarks/parity.py

Accuracy on 30 held-out images of each of the toy world's 64 classes after equally many examples. Raw values go to
benchmarks/results/<date>-parity.json.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import keep, write_toy
from numpy.typing import NDArray
from peers.standard_loop import SGD, Loop
from scipy import stats
from torch import nn

from transferlab.engine import batches
from transferlab.engine.fit import fit, steps_of
from transferlab.images.toy import classes_of, draw
from transferlab.runners.machine import here
from transferlab.specs import Examples, Recipe

N_TRAIN, N_TEST, SEEDS = 60, 30, 5
RECIPES = {
    "small": replace(SGD, length=Examples(24_000)),
    "ResNet-18": replace(SGD, backbone="torchvision:resnet18", length=Examples(6_400)),
}
HALF, QUARTER = np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32)


def main() -> None:
    accuracies: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_toy(Path(folder), N_TRAIN, 32)
        train, test = (examples(first, n) for first, n in ((0, N_TRAIN), (N_TRAIN, N_TEST)))
        for name, recipe in RECIPES.items():
            found = accuracies[name] = {"standard loop": [], "engine": []}
            for seed in range(SEEDS):
                print(f"{name}, seed {seed} …", file=sys.stderr)
                found["standard loop"].append(by_standard_loop(folder, recipe, seed, test))
                found["engine"].append(by_engine(recipe, seed, train, test))
            print(f"{name:<10} {sentence(found)}")
    facts = {"machine": here("cpu").name, "precision": here("cpu").precision, "recipes": {
        name: str(recipe) for name, recipe in RECIPES.items()}, "accuracy": accuracies}  # fmt: skip
    print(keep("parity", facts))


def examples(first: int, n: int) -> batches.Examples:
    """Images ``first`` to ``first + n - 1`` of each class, in the order of ImageFolder's classes."""
    names = sorted(classes_of("classes"), key=lambda name: name.replace("/", "-"))
    images = np.concatenate([draw("classes", name, np.arange(first, first + n), 32, 0)[0] for name in names])
    labels = np.repeat(np.arange(len(names)), n).astype(np.int32)
    return batches.Examples(images, np.arange(len(images), dtype=np.int32), labels, len(names), HALF, QUARTER)


def by_standard_loop(folder: str, recipe: Recipe, seed: int, test: batches.Examples) -> float:
    loop = Loop(folder, recipe, 0, seed)
    for _ in loop.steps(steps_of(recipe, len(loop.images))):
        pass
    return accuracy(loop.network, test, batches.Place("cpu", "fp32"))


def by_engine(recipe: Recipe, seed: int, train: batches.Examples, test: batches.Examples) -> float:
    place = batches.Place("cpu", here("cpu").precision)
    fitted = fit(train, recipe, seed, place)
    return accuracy(nn.Sequential(fitted.backbone, fitted.head), test, place)


def accuracy(network: nn.Sequential, test: batches.Examples, place: batches.Place) -> float:
    backbone: Any = network[0]
    with torch.inference_mode():
        scores = network[1](batches.features(backbone, test, place, 32))
    right: NDArray[np.bool_] = scores.argmax(1).numpy() == test.labels
    return float(right.mean())


def sentence(found: dict[str, list[float]]) -> str:
    """Means with their standard deviations over seeds, and the difference with its 95 % interval (Welch)."""
    words = [
        f"{name} {100 * statistics.mean(values):.1f} % (sd {100 * statistics.stdev(values):.1f})"
        for name, values in found.items()
    ]
    test: Any = stats.ttest_ind(found["engine"], found["standard loop"], equal_var=False)
    low, high = (100 * bound for bound in test.confidence_interval(0.95))
    difference = 100 * (statistics.mean(found["engine"]) - statistics.mean(found["standard loop"]))
    return f"{', '.join(words)}: {difference:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}, n = {SEEDS} each)"


if __name__ == "__main__":
    begun = time.perf_counter()
    main()
    print(f"took {time.perf_counter() - begun:.0f} s", file=sys.stderr)
