"""Images a second of pre-training on this machine's CPU: the engine beside the standard loop, turn by turn.

    make bench

Same network, batch, optimiser, augmentation and image size (32 px); every figure is the median of its rounds, with
the smallest and largest. Raw values go to benchmarks/results/<date>-cpu.json.
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
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from transferlab.engine.recipes import SMALL
from transferlab.identity import plain
from transferlab.images.toy import classes_of, draw
from transferlab.runners.machine import here
from transferlab.runners.shares import WORKER_ENVIRONMENT

ROUNDS, SECONDS = 3, 8.0
HERE = Path(__file__).parent
MATMUL = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
a = torch.randn(3072, 3072).to(getattr(torch, sys.argv[2])); a @ a
begun = time.perf_counter(); [a @ a for _ in range(4)]
print(4 * 2 * 3072**3 / (time.perf_counter() - begun) / 1e9)
"""


def main() -> None:
    machine = here("cpu")
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder))
        rates: dict[str, list[float]] = {}
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS} …", file=sys.stderr)
            for workers in (0, 1, 2):
                command = [sys.executable, str(HERE / "peers/standard_loop.py"), folder, str(workers), str(SECONDS)]
                rates.setdefault(f"standard loop, {workers} workers", []).append(_sum([command], machine.n_units))
            rates.setdefault("engine, one worker, all cores", []).append(_engine(1, machine.n_units))
            rates.setdefault("engine, a one-core worker a core", []).append(_engine(machine.n_units, 1))
        peak = _sum([[sys.executable, "-c", MATMUL, str(machine.n_units), _dtype(machine.precision)]], machine.n_units)
    best = max((name for name in rates if name.startswith("standard")), key=lambda name: statistics.median(rates[name]))
    print(f"{machine.name}, {machine.n_units} cores, {machine.precision}, matmul {peak:,.0f} GFLOP/s, n = {ROUNDS}")
    for name, values in rates.items():
        ratios = [value / base for value, base in zip(values, rates[best], strict=True)]
        print(f"{name:<34} {_spread(values, ',.0f')} images/s   {_spread(ratios, '.2f')} times {best}")
    result = HERE / "results" / f"{datetime.now(UTC):%Y-%m-%d}-cpu.json"
    result.parent.mkdir(exist_ok=True)
    facts = {"machine": machine.name, "cores": machine.n_units, "precision": machine.precision, "matmul_gflops": peak}
    result.write_text(json.dumps({**facts, "images_per_second": rates}, indent=1) + "\n")
    print(result)


def _write_images(folder: Path) -> None:
    """The toy world as files: 64 classes of 60 PNGs, what ImageFolder reads."""
    for name in classes_of("classes"):
        target = folder / name.replace("/", "-")
        target.mkdir()
        for i, pixels in enumerate(draw("classes", name, np.arange(60), SMALL.image_px, 0)[0]):
            Image.fromarray(pixels).save(target / f"{i}.png")


def _engine(n_workers: int, n_threads: int) -> float:
    words = [json.dumps(plain(SMALL, identity_only=True)), "cpu", here("cpu").precision]
    return _sum([[sys.executable, "-m", "transferlab.runners.calibrate", *words]] * n_workers, n_threads)


def _sum(commands: Sequence[Sequence[str]], n_threads: int) -> float:
    """Rates of commands run side by side, added up; the standard loop gets no allocator settings."""
    tuned = WORKER_ENVIRONMENT if "transferlab.runners.calibrate" in commands[0] else {}
    environment = {**os.environ, **tuned, "OMP_NUM_THREADS": str(n_threads)}
    running = [subprocess.Popen(c, env=environment, stdout=subprocess.PIPE, text=True) for c in commands]
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"{commands[0]} failed")
    return sum(json.loads(text)["images_per_second"] if "{" in text else float(text) for text in printed)


def _dtype(precision: str) -> str:
    return "bfloat16" if precision == "bf16" else "float32"


def _spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    begun = time.perf_counter()
    main()
    print(f"took {time.perf_counter() - begun:.0f} s", file=sys.stderr)
