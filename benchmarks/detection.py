"""Images a second of a detector's training on this machine's CPU: the protocol beside torchvision's reference loop.

    .venv/bin/python benchmarks/detection.py

Same model (a Faster R-CNN), batch and images (the toy world's detection task, 128 px), and the protocol's one-stage head
beside them, turn by turn; every figure is the median of its rounds, with the smallest and largest. Once with every layer in
training, once with the first two parts of the backbone fixed on both sides. Raw values go to
benchmarks/results/<date>-detection.json.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measured import keep, spread
from PIL import Image

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks, Progress
from transferlab.images.pack import open_pack, write_pack
from transferlab.images.spec import open_source, parse_spec
from transferlab.runners.machine import here
from transferlab.runners.shares import WORKER_ENVIRONMENT
from transferlab.specs import TRAIN, Pack, Ragged, Recipe
from transferlab.transfer.detect.detector import detector_of
from transferlab.transfer.detect.scenes import scenes_of
from transferlab.transfer.detect.training import train
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.problem import Network
from transferlab.transfer.protocols import detect
from transferlab.transfer.targets import view

ROUNDS, SECONDS, PX = 3, 10.0, 128
NETWORKS = {"small": "small", "ResNet-18": "torchvision:resnet18"}
PEER = str(Path(__file__).parent / "peers/detection_loop.py")
SPEC = "toy?task=detection"


class Enough(Exception):
    """The measurement is done."""


def main() -> None:
    machine = here("cpu")
    facts: dict[str, object] = {"machine": machine.name, "cores": machine.n_units, "precision": machine.precision}
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "toy.pack"
        write_files(
            write_pack(open_source(parse_spec(SPEC)), pack, PX, skip_bad=False, progress=lambda *_: None), Path(folder)
        )
        for name, backbone in NETWORKS.items():
            for frozen in (0, 2):
                rates = dict[str, list[float]]()
                for _ in range(ROUNDS):
                    one_round(folder, pack, backbone, frozen, rates)
                print(
                    f"{name} at {PX} px, {frozen or 'no'} parts fixed, {machine.name}, {machine.n_units} cores, n = {ROUNDS}"
                )
                table(rates)
                facts[f"{name}, {frozen} fixed"] = rates
    print(keep("detection", facts))


def write_files(pack: Pack, folder: Path) -> None:
    """The training images as PNG files with their boxes, what the reference loop reads."""
    assert pack.boxes is not None and isinstance(pack.images, Ragged)
    rows = pack.rows(TRAIN)
    parts = [slice(int(pack.boxes.first[row]), int(pack.boxes.first[row + 1])) for row in rows]
    for i, row in enumerate(rows):
        Image.fromarray(pack.images[row]).save(folder / f"{i:06d}.png")
    np.savez(
        folder / "boxes.npz", first=np.append(0, np.cumsum([part.stop - part.start for part in parts])),
        boxes=np.concatenate([pack.boxes.boxes[part] for part in parts]),
        labels=np.concatenate([pack.boxes.labels[part] for part in parts]).astype(np.int64),
        n_classes=len(pack.taxonomy.leaves),
    )  # fmt: skip


def one_round(folder: str, pack: Path, backbone: str, frozen: int, rates: dict[str, list[float]]) -> None:
    """Every way once, so that the machine's moods fall on all of them alike."""
    n_cores = here("cpu").n_units
    for workers in (0, 1, 2):
        command = [sys.executable, PEER, folder, backbone, str(workers), str(SECONDS), str(frozen)]
        rates.setdefault(f"reference loop, {workers} workers", []).append(rate_of([command], n_cores))
    for head, way in (("faster-rcnn", "protocol"), ("fcos", "protocol with one stage")):
        command = [sys.executable, __file__, str(pack), backbone, str(frozen), head]
        rates.setdefault(f"{way}, one process, all cores", []).append(rate_of([command], n_cores))
        rates.setdefault(f"{way}, a one-core process a core", []).append(rate_of([command] * n_cores, 1))


def rate_of(commands: Sequence[Sequence[str]], n_threads: int) -> float:
    """Rates of commands run side by side, added up; the reference loop gets no allocator settings."""
    tuned = {} if PEER in commands[0] else WORKER_ENVIRONMENT
    environment = {**os.environ, **tuned, "OMP_NUM_THREADS": str(n_threads)}
    running = [subprocess.Popen(c, env=environment, stdout=subprocess.PIPE, text=True) for c in commands]
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"{commands[0]} failed")
    return sum(map(float, printed))


def table(rates: dict[str, list[float]]) -> None:
    best = max(
        (name for name in rates if name.startswith("reference")), key=lambda name: statistics.median(rates[name])
    )
    for name, values in rates.items():
        ratios = [value / base for value, base in zip(values, rates[best], strict=True)]
        print(f"  {name:<52} {spread(values, ',.1f')} images/s, {spread(ratios)} times {best}")


def engine(path: Path, backbone: str, frozen: int, head: str) -> float:
    """Images a second of the protocol's training steps after a warm-up of five."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    pack, machine = open_pack(path), here("cpu")
    recipe = Recipe(backbone=backbone)
    network = Network(build(backbone, recipe.image_px, 0), recipe, pack.mean, pack.std)
    protocol = detect(examples=10**9, head=head, frozen=frozen, norms="frozen" if frozen else "trained")
    target = view(pack)
    problem = problem_of(network, target, protocol, 0, Workspace(Place("cpu", machine.precision)))
    detector, course = detector_of(problem)
    begun = seen = 0.0
    found = 0.0

    def progress(at: Progress) -> None:
        nonlocal begun, seen, found
        if at.step == 5:
            begun, seen = time.perf_counter(), at.n_seen
        elif at.step > 5 and time.perf_counter() - begun > SECONDS:
            found = (at.n_seen - seen) / (time.perf_counter() - begun)
            raise Enough

    scenes = scenes_of(problem.data, target.train, network, problem.data.train.boxes)
    try:
        train(detector, scenes, replace(course, n_steps=10**8), 0, problem.place, Hooks(progress=progress))
    except Enough:
        return found
    raise RuntimeError("the training ended early")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(engine(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
    else:
        began = time.perf_counter()
        main()
        print(f"took {time.perf_counter() - began:.0f} s", file=sys.stderr)
