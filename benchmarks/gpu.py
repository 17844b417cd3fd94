"""Everything that the engine claims on a GPU, measured in one call of under ten minutes.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --rehearse FILE

Images a second of whole training steps: the engine with its pack on the device and streamed, the same step on data
that stays in place, a DataLoader loop with its best number of workers, FFCV where it is installed, and cohorts three
ways. Raw values of every round go to benchmarks/results/<date>-<device>.json; ratios are taken round by round.
``--rehearse`` does the same at tiny sizes on the CPU and writes to FILE: run it before an hour on a GPU is spent, as
the suite does; its figures mean nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")  # as the workers of a run have it

import numpy as np
import torch
from peers.dataloader import dataloader_rate, ffcv_rate
from peers.stacked import Stacked, StackedStep
from torch import nn

from transferlab.engine import pixels
from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Place, features
from transferlab.engine.recipes import SMALL
from transferlab.engine.steps import STEPS, Course, Replayed, Singly, Trainer
from transferlab.runners.calibrate import measure, random_examples
from transferlab.specs import Recipe
from transferlab.transfer.logistic import End, Rows, logistic, metric_of

ENOUGH_SECONDS = 510  # rounds that would begin later are left out, and n says so
# The paper's grid (questions of arXiv 1608.08614): images per class 5, label sets by cuts and merges 6, classes against
# images 3, without the target's classes 1, halves of the classes 4. How long its networks were trained is not known to
# us; ours see each image of the full set 16 times.
GRID_NETWORKS, GRID_SEEDS, GRID_EXAMPLES = 5 + 6 + 3 + 1 + 4, 3, 16 * 1_281_167


@dataclass
class Bench:
    """Sizes of a run, the clock, and what was measured: values by name, in rounds."""

    place: Place
    recipes: dict[str, Recipe]
    workers: Sequence[int]
    cohorts: Sequence[int]
    rounds: int
    seconds: float
    matmul: int
    n_images: int
    packs: dict[int, Examples] = field(default_factory=dict[int, Examples])
    begun: float = field(default_factory=time.monotonic)
    values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    notes: dict[str, str] = field(default_factory=dict[str, str])

    def examples(self, image_px: int) -> Examples:
        if image_px not in self.packs:
            self.packs[image_px] = random_examples(image_px, self.n_images)
        return self.packs[image_px]

    def rate(self, recipe: Recipe, n_networks: int = 1) -> float:
        """Images a second of the engine, so many networks at once, all together."""
        return measure(self.examples(recipe.image_px), recipe, self.place, n_networks, self.seconds)

    def round(self, measurements: dict[str, Callable[[], float]]) -> None:
        """Measure each in turn; one that fails is named and left out."""
        for name, measurement in measurements.items():
            if time.monotonic() - self.begun > ENOUGH_SECONDS:
                self.notes[name] = "left out of a round: time was up"
                continue
            try:
                found = measurement()
                self.values.setdefault(name, []).append(found)
                print(f"{name}: {self.values[name][-1]:,.1f}", file=sys.stderr, flush=True)
            except Exception as error:  # noqa: BLE001  (the other figures are worth having)
                self.notes[name] = f"{type(error).__name__}: {error}"[:300]
                print(f"{name}: {self.notes[name]}", file=sys.stderr, flush=True)
            if self.place.device == "cuda":
                torch.cuda.empty_cache()


def on_gpu() -> Bench:
    recipes = {
        "small at 32 px": SMALL,
        "ResNet-18 at 64 px": replace(SMALL, backbone="torchvision:resnet18", image_px=64, batch=256),
    }
    return Bench(Place("cuda", "bf16"), recipes, (0, 4, 8, 12, 16), (8, 16, 32), 3, 3.0, 8192, 50_000)


def rehearsal() -> Bench:
    torch.set_num_threads(1)
    recipes = {"small at 16 px": replace(SMALL, backbone="small:8", image_px=16, batch=8)}
    return Bench(Place("cpu", "fp32"), recipes, (0, 1), (2,), 1, 0.02, 64, 200)


def main(bench: Bench, out: Path | None) -> Path:
    bench.values["matmul, TFLOP/s"] = [matmul_rate(bench) for _ in range(bench.rounds)]
    with tempfile.TemporaryDirectory() as folder:
        for name, recipe in bench.recipes.items():
            bench.round({f"{name}, DataLoader, {n} workers": peer(bench, recipe, n) for n in bench.workers})
            best = max(bench.workers, key=lambda n: max(bench.values.get(f"{name}, DataLoader, {n} workers", [0.0])))
            for number in range(bench.rounds):
                print(f"{name}, round {number + 1} of {bench.rounds} …", file=sys.stderr)
                bench.round(one_network(bench, name, recipe, best, Path(folder)))
    small_name, small = next(iter(bench.recipes.items()))
    for _ in range(bench.rounds):
        bench.round(cohorts(bench, small_name, small))
    large_name, large = list(bench.recipes.items())[-1]
    bench.round({f"{large_name}, 4 graphs on 4 streams": lambda: bench.rate(large, 4)})
    n = max(k for k in (2, 16) if k <= max(bench.cohorts))
    at_64 = replace(small, image_px=2 * small.image_px)
    bench.round({"small network at twice the size, a cohort": lambda: bench.rate(at_64, n)})
    for name, recipe in bench.recipes.items():
        bench.round({f"{name}, features": features_of(bench, recipe)})
    bench.round({f"probe fits a second, {device}": probe_on(bench, device) for device in {"cpu", bench.place.device}})
    return write(bench, out)


def one_network(bench: Bench, name: str, recipe: Recipe, best: int, folder: Path) -> dict[str, Callable[[], float]]:
    def streamed() -> float:
        examples = bench.examples(recipe.image_px)
        with pack_elsewhere():
            unheard_of = replace(examples, images=examples.images.view())
            return measure(unheard_of, recipe, bench.place, 1, bench.seconds)

    def in_place() -> float:
        with steps_of_kind(bench.place, InPlace):
            return bench.rate(recipe)

    def one_by_one() -> float:
        with steps_of_kind(bench.place, Singly):
            return bench.rate(recipe)

    return {
        f"{name}, engine": lambda: bench.rate(recipe),
        f"{name}, data in place": in_place,
        f"{name}, engine, streamed": streamed,
        f"{name}, engine without graphs": one_by_one,
        f"{name}, DataLoader at its best": peer(bench, recipe, best),
        f"{name}, FFCV": lambda: ffcv_rate(bench.examples(recipe.image_px), recipe, bench.place, folder, bench.seconds),
    }


def cohorts(bench: Bench, name: str, recipe: Recipe) -> dict[str, Callable[[], float]]:
    """K at once by streams and stacked, beside the engine with one after another."""
    made: dict[str, Callable[[], float]] = {f"{name}, one after another": lambda: bench.rate(recipe)}
    for k in bench.cohorts:
        made[f"{name}, {k} graphs on {k} streams"] = lambda k=k: bench.rate(recipe, k)
        made[f"{name}, {k} stacked, data in place"] = lambda k=k: stacked_rate(bench, recipe, k)
    return made


def peer(bench: Bench, recipe: Recipe, n_workers: int) -> Callable[[], float]:
    return lambda: dataloader_rate(bench.examples(recipe.image_px), recipe, bench.place, n_workers, bench.seconds)


class InPlace(Replayed):
    """The same step on inputs and labels that stay in place: what a perfect supply of data would give."""

    def __init__(self, trainer: Trainer, course: Course, first: int) -> None:
        super().__init__(trainer, course, first)
        inputs, labels = self.feed.steps(0, 1)
        self.data = inputs.to(self.inputs.dtype), labels
        self.rates.fill_(course.rate(0))

    def take(self, step: int) -> int:
        last = self._end(step)
        for _ in range(step, last):
            self._step()
        self._request_losses(last - step)
        while len(self.pending) > 1:
            self._receive_losses()
        return last

    def _enqueue(self) -> None:
        self.trainer.set_rate(self.rates[0])
        loss = self.trainer.gradients(*self.data)
        self.trainer.update()
        self.losses.copy_(loss.expand_as(self.losses))


@contextlib.contextmanager
def steps_of_kind(place: Place, kind: type[Any]) -> Generator[None]:
    usual, STEPS[place.device] = STEPS[place.device], kind
    try:
        yield
    finally:
        STEPS[place.device] = usual


@contextlib.contextmanager
def pack_elsewhere() -> Generator[None]:
    """Within, no pack fits the device."""
    usual, pixels.SHARE = pixels.SHARE, 0.0
    try:
        yield
    finally:
        pixels.SHARE = usual


def matmul_rate(bench: Bench) -> float:
    n, dtype = bench.matmul, torch.bfloat16 if bench.place.precision == "bf16" else torch.float32
    a = torch.randn(n, n, device=bench.place.device).to(dtype)
    return 2 * n**3 / 1e12 * repeated(bench, lambda: a @ a)


def repeated(bench: Bench, work: Callable[[], Any]) -> float:
    """How often a second, the device waited for at both ends."""
    wait = torch.cuda.synchronize if bench.place.device == "cuda" else lambda: None
    for _ in range(3):
        work()
    wait()
    begun, n = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begun) < bench.seconds / 3:
        for _ in range(5):
            work()
        wait()
        n += 5
    return n / elapsed


def stacked_rate(bench: Bench, recipe: Recipe, k: int) -> float:
    backbones = [build(recipe.backbone, recipe.image_px, seed) for seed in range(k)]
    network = Stacked(backbones, [nn.Linear(b.n_features, 100) for b in backbones])
    device = bench.place.device
    inputs = torch.randn(recipe.batch, 3 * k, recipe.image_px, recipe.image_px, device=device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(100, (k, recipe.batch), device=device)
    lane = torch.cuda.Stream() if device == "cuda" else None
    if lane is not None:
        lane.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(lane), torch.backends.cudnn.flags(enabled=True, benchmark=True):
        step = StackedStep(network, recipe, bench.place, (inputs, labels))
        return k * recipe.batch * repeated(bench, step)


def features_of(bench: Bench, recipe: Recipe) -> Callable[[], float]:
    examples = bench.examples(recipe.image_px)
    backbone = build(recipe.backbone, recipe.image_px, 0).to(bench.place.device)

    def found() -> None:
        features(backbone, examples, bench.place, recipe.image_px)

    return lambda: len(examples.rows) * repeated(bench, found)


def probe_on(bench: Bench, device: str) -> Callable[[], float]:
    m, d, c = (10_000, 512, 100) if bench.place.device == "cuda" else (50, 8, 3)
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(c, (m,), generator=random)
    centres = torch.randn(c, d, generator=random)
    given = (centres[labels] + 4 * torch.randn(m, d, generator=random)).to(device)

    def once() -> float:
        begun = time.perf_counter()
        logistic(Rows(given, labels.to(device), c), 1e-3, metric_of(given, c), End(1e-6)).cpu()
        return 1 / (time.perf_counter() - begun)

    return lambda: max(once() for _ in range(2))


def write(bench: Bench, out: Path | None) -> Path:
    """The JSON file, and the table on standard output."""
    device = torch.cuda.get_device_name() if bench.place.device == "cuda" else "rehearsal, no figures"
    whole: dict[str, Any] = {
        "device": device, "torch": torch.__version__, "cuda": torch.version.cuda, "cores": os.cpu_count(),
        "precision": bench.place.precision, "seconds": round(time.monotonic() - bench.begun), "notes": bench.notes,
        "values": bench.values, "summary": {name: spread(values) for name, values in bench.values.items()},
        "ratios": {f"{a} / {b}": spread(found) for a, b in pairs(bench) if (found := ratio(bench, a, b))},
        "paper's grid": hours(bench),
    }  # fmt: skip
    print(f"{device}, torch {torch.__version__}, {bench.place.precision}")
    for kind in ("summary", "ratios"):
        for name, s in whole[kind].items():
            print(f"{name:<74} {s['median']:>12,.2f}  ({s['least']:,.2f} to {s['most']:,.2f}, n = {s['n']})")
    print(json.dumps(whole["paper's grid"], indent=1))
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    out = out or Path(__file__).parent / "results" / f"{datetime.now(UTC):%Y-%m-%d}-{slug}.json"
    out.write_text(json.dumps(whole, indent=1) + "\n")
    return out


def pairs(bench: Bench) -> list[tuple[str, str]]:
    """Which figures are claimed against which."""
    found: list[tuple[str, str]] = []
    for name in bench.recipes:
        others = ("data in place", "DataLoader at its best", "FFCV", "engine without graphs")
        found += [(f"{name}, engine", f"{name}, {other}") for other in others]
        found.append((f"{name}, engine, streamed", f"{name}, engine"))
    small = next(iter(bench.recipes))
    for k in bench.cohorts:
        for way in (f"{k} graphs on {k} streams", f"{k} stacked, data in place"):
            found.append((f"{small}, {way}", f"{small}, one after another"))
    return found


def ratio(bench: Bench, a: str, b: str) -> list[float]:
    return [x / y for x, y in zip(bench.values.get(a, []), bench.values.get(b, []), strict=False)]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"n": len(values), "median": statistics.median(values), "least": min(values), "most": max(values)}


def hours(bench: Bench) -> dict[str, Any]:
    """Pre-training alone: what the grid's networks take at the measured rates, on this one device."""
    images = GRID_NETWORKS * GRID_SEEDS * GRID_EXAMPLES
    large = list(bench.recipes)[-1]
    ways = (f"{large}, engine", f"{large}, 4 graphs on 4 streams", "small network at twice the size, a cohort")
    rates = {way: statistics.median(bench.values[way]) for way in ways if bench.values.get(way)}
    return {
        "assumed": f"{GRID_NETWORKS} networks of {GRID_SEEDS} seeds, each of which sees {GRID_EXAMPLES:,} images "
        "of 64 px (16 passes over ImageNet); pre-training alone",
        "hours": {way: images / rate / 3600 for way, rate in rates.items()},
    }


if __name__ == "__main__":
    np.seterr(all="raise")
    if sys.argv[1:2] == ["--rehearse"]:
        print(main(rehearsal(), Path(sys.argv[2])))
    elif torch.cuda.is_available():
        print(main(on_gpu(), None))
    else:
        sys.exit("no GPU is visible here; --rehearse FILE tries the script on the CPU")
