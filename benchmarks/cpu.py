"""Images a second of pre-training on this machine's CPU: the engine beside the standard loop, turn by turn.

    .venv/bin/python benchmarks/cpu.py

Same network, batch, optimiser (SGD), augmentation and image size (32 px); every figure is the median of its rounds,
with the smallest and largest. Utilisation is the arithmetic of whole training steps over the measured rate of a large
matrix product. Raw values go to benchmarks/results/<date>-cpu.json. Equal accuracy: benchmarks/parity.py.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from measured import keep, spread, write_toy
from peers.standard_loop import SGD
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from transferlab.engine.backbones import build
from transferlab.identity import plain
from transferlab.runners.machine import here
from transferlab.runners.shares import WORKER_ENVIRONMENT

ROUNDS, SECONDS = 3, 8.0
PX, N_CLASSES = 32, 64
NETWORKS = {"small": "small", "ResNet-18": "torchvision:resnet18"}
STANDARD_LOOP = str(Path(__file__).parent / "peers/standard_loop.py")
MATMUL = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
a = torch.randn(3072, 3072).to(getattr(torch, sys.argv[2])); a @ a
begun = time.perf_counter(); [a @ a for _ in range(4)]
print(4 * 2 * 3072**3 / (time.perf_counter() - begun))
"""


def main() -> None:
    machine = here("cpu")
    dtype = "bfloat16" if machine.precision == "bf16" else "float32"
    facts: dict[str, object] = {"machine": machine.name, "cores": machine.n_units, "precision": machine.precision}
    with tempfile.TemporaryDirectory() as folder:
        write_toy(Path(folder), 60, PX)
        for name, backbone in NETWORKS.items():
            print(f"{name}: {ROUNDS} rounds …", file=sys.stderr)
            rates, matmuls = dict[str, list[float]](), list[float]()
            for _ in range(ROUNDS):
                one_round(folder, backbone, rates)
                matmuls.append(rate_of([[sys.executable, "-c", MATMUL, str(machine.n_units), dtype]], machine.n_units))
            print(f"{name} at {PX} px on {machine.name}, {machine.n_units} cores, {machine.precision}, n = {ROUNDS}")
            table(rates, flops(backbone), matmuls)
            facts[name] = {"images_per_second": rates, "matmul_flops_per_second": matmuls, "flops": flops(backbone)}
    print(keep("cpu", facts))


def one_round(folder: str, backbone: str, rates: dict[str, list[float]]) -> None:
    """Every way once, so that the machine's moods fall on all of them alike."""
    machine = here("cpu")
    for workers in (0, 1, 2):
        command = [sys.executable, STANDARD_LOOP, folder, backbone, str(workers), str(SECONDS)]
        rates.setdefault(f"standard loop, {workers} workers", []).append(rate_of([command], machine.n_units))
    words = [
        json.dumps(plain(replace(SGD, backbone=backbone), identity_only=True)),
        "cpu",
        machine.precision,
        str(SECONDS),
    ]
    command = [sys.executable, "-m", "transferlab.runners.calibrate", *words]
    rates.setdefault("engine, one worker, all cores", []).append(rate_of([command], machine.n_units))
    rates.setdefault("engine, a one-core worker a core", []).append(rate_of([command] * machine.n_units, 1))


def rate_of(commands: Sequence[Sequence[str]], n_threads: int) -> float:
    """Rates of commands run side by side, added up; the standard loop gets no allocator settings."""
    tuned = WORKER_ENVIRONMENT if "transferlab.runners.calibrate" in commands[0] else {}
    environment = {**os.environ, **tuned, "OMP_NUM_THREADS": str(n_threads)}
    running = [subprocess.Popen(c, env=environment, stdout=subprocess.PIPE, text=True) for c in commands]
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"{commands[0]} failed")
    return sum(json.loads(text)["images_per_second"] if "{" in text else float(text) for text in printed)


def table(rates: dict[str, list[float]], per_image: float, matmuls: Sequence[float]) -> None:
    best = max((name for name in rates if name.startswith("standard")), key=lambda name: statistics.median(rates[name]))
    for name, values in rates.items():
        ratios = [value / base for value, base in zip(values, rates[best], strict=True)]
        used = [100 * value * per_image / peak for value, peak in zip(values, matmuls, strict=True)]
        print(f"  {name:<34} {spread(values, ',.0f')} images/s, {spread(ratios)} times {best}, {spread(used, '.0f')} % of"
              " the matmul rate")  # fmt: skip


def flops(backbone_name: str) -> float:
    """Arithmetic of a training step for each image, forward and backward, as torch counts it."""
    backbone = build(backbone_name, PX, 0)
    network = nn.Sequential(backbone, nn.Linear(backbone.n_features, N_CLASSES))
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, PX, PX)).sum().backward()
    return counter.get_total_flops() / 2


if __name__ == "__main__":
    begun = time.perf_counter()
    main()
    print(f"took {time.perf_counter() - begun:.0f} s", file=sys.stderr)
