"""What opening, planning, starting and reporting cost over images and networks, on synthetic packs; a few minutes.

    .venv/bin/python benchmarks/scale.py [FOLDER]

Every figure is the median of its rounds, with the smallest and largest. Seconds are of the step alone in the tables and
of the whole command in the list; memory is the peak of the whole process. An exponent of 1 is growth in proportion, 0
is none; it is shown over all sizes and over the last step, where constant costs count least. Raw values go to
benchmarks/results/<date>-scale.json. Work lies in FOLDER or in a temporary folder, and is deleted.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from transferlab import Study, designs, knn
from transferlab.events import to_line
from transferlab.identity import ENGINE, TRANSFER, stream
from transferlab.images.publish import publish
from transferlab.images.source import Source
from transferlab.images.staging import IMAGES, Decoded
from transferlab.outcomes.arrays import npz_bytes
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.planned import restored
from transferlab.runners.local import Setup
from transferlab.runners.machine import here
from transferlab.runners.prepare import Prepared, Request, prepare
from transferlab.runners.shares import WORKER_ENVIRONMENT
from transferlab.specs import SPLITS, Examples, Recipe
from transferlab.tasks import tasks_of
from transferlab.taxonomy.readers import from_folders

ROUNDS = 3
N_IMAGES = (10**3, 10**4, 10**5, 10**6)
N_NETWORKS = (1, 4, 16, 64, 256)
N_LEAVES, N_LEAVES_OF_PLAN = 100, 1000
PX, INPUT_PX = 8, 16  # sides of the synthetic images and of networks' inputs: no pixel is read before a first step
SEEDS_OF_1000_CELLS = 25  # times 7 trainings, 7 accuracies on the source, 27 transfers to three targets
RECIPE = Recipe(image_px=INPUT_PX, batch=64, length=Examples(64))
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # for thousands of small files; reading them costs the same
Values = dict[str, list[float]]  # "seconds" and "megabytes", a value a round


def main(folder: Path, quick: Path) -> None:
    begun = time.perf_counter()
    machine = here("cpu")
    packs = {n: write_pack(folder / f"images-{n}", n, N_LEAVES) for n in N_IMAGES}
    found: dict[str, dict[str, Values]] = {}
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS} …", file=sys.stderr)
        for n, pack in packs.items():
            _note(found, "open a pack", n, _child("open", pack))
            _note(
                found,
                "plan 16 networks",
                n,
                _child("plan", pack, packs[1000], 16, folder / "lab", fresh=folder / "lab"),
            )
            _note(found, "start a training", n, _child("start", folder / "lab"))
        for n in N_NETWORKS:
            lab = folder / f"lab-{n}"
            _note(found, "plan networks", n, _child("plan", packs[10**5], packs[1000], n, lab, fresh=lab))
    for n in N_NETWORKS:  # one round: every network is trained, transferred and kept for real
        lab = folder / f"run-{n}"
        _child("plan", packs[1000], packs[1000], n, lab)
        _note(found, "one worker's run", n, _timed(["-m", "transferlab.runners.worker"], lines=_lines(lab)))
    commands = _commands(folder, quick, packs)
    _print(found, commands, machine.name)
    result = Path(__file__).parent / "results" / f"{datetime.now(UTC):%Y-%m-%d}-scale.json"
    facts = {"machine": machine.name, "cores": machine.n_units, "took_seconds": time.perf_counter() - begun}
    result.write_text(json.dumps({**facts, "steps": found, "commands": commands}, indent=1) + "\n")
    print(result)


def _commands(folder: Path, quick: Path, packs: Mapping[int, Path]) -> dict[str, Values]:
    """Whole commands as users type them; rates that a plan measures once are kept from an earlier plan of the store."""
    million = write_pack(folder / "million", 10**6, N_LEAVES_OF_PLAN)
    targets = [f"--target=pack:{write_pack(folder / f'target-{i}', 10_000 + i, N_LEAVES)}" for i in range(3)]
    plan = ["-m", "transferlab", "plan", "images-per-class", "--device=cpu"]
    cells = [*plan, f"--source=pack:{packs[10**4]}", *targets, f"--seeds={SEEDS_OF_1000_CELLS}"]
    large = [*plan, f"--source=pack:{million}", targets[0], "--seeds=5"]
    finish(prepare_1000_cells(packs[10**4], targets, quick))
    report = ["-m", "transferlab", "report", str(quick), f"--out={folder}/report.html"]
    kept = folder / "kept"
    first = _timed([*large, f"--store={kept}"])
    _timed([*cells, f"--store={kept}"])
    values: dict[str, Values] = {"plan, its rate not measured yet": {key: [value] for key, value in first.items()}}
    for _ in range(ROUNDS):
        for name, words, is_plan in (
            ("--help", ["-m", "transferlab", "--help"], False), ("plan, a million images, 35 networks", large, True),
            ("plan, 1,025 cells", cells, True), ("report, 1,025 cells", report, False),
        ):  # fmt: skip
            lab = folder / "fresh"
            shutil.rmtree(lab, ignore_errors=True)
            if is_plan:
                Store.open(lab, create=True)
                shutil.copytree(kept / "packs", lab / "packs")
            measured = _timed([*words, f"--store={lab}"] if is_plan else words)
            for key, value in measured.items():
                values.setdefault(name, {}).setdefault(key, []).append(value)
    return values


def write_pack(out: Path, n: int, n_leaves: int) -> Path:
    """A pack of n random images of so many classes, in a taxonomy of three levels; not there twice."""
    random = np.random.default_rng(n)
    leaves = [f"branch{i // 100}/twig{i // 10 % 10}/leaf{i % 10}" for i in range(n_leaves)]
    staging = out.with_name(f".{out.name}.partial")
    (staging / "pack").mkdir(parents=True)
    with (staging / IMAGES).open("wb") as file:
        for start in range(0, n, 10_000):
            file.write(random.integers(0, 256, (min(10_000, n - start), PX, PX, 3), np.uint8).tobytes())
    labels = random.permutation(np.arange(n) % n_leaves)
    split = np.empty(n, np.uint8)
    split[np.argsort(labels, kind="stable")] = np.array([0, 0, 0, 1, 2], np.uint8)[np.arange(n) % 5]
    ids = random.permutation(n).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # odd, so that they stay unique
    names, keys = [SPLITS[s] for s in split], [f"{i}.png" for i in range(n)]
    hashes = np.stack([np.zeros(n, np.uint64), np.arange(n, dtype=np.uint64)], 1)
    sums = np.full((n, 6), 1 << 17)
    source = Source(out.name, leaves, "made", lambda: iter(()), taxonomy=from_folders(leaves))
    decoded = Decoded(staging / IMAGES, keys, [leaves[i] for i in labels], names, ids, hashes, sums, [])
    publish(source, decoded, staging, out, {"size_px": PX, "request": "made"})
    staging.rmdir()
    return out


def prepare_1000_cells(source: Path, targets: Sequence[str], lab: Path) -> Prepared:
    specs = [target.removeprefix("--target=") for target in targets]
    wanted = Request("images-per-class", f"pack:{source}", specs, lab, SEEDS_OF_1000_CELLS, device="cpu")
    return prepare(wanted, lambda *_: None)


def finish(prepared: Prepared) -> None:
    """Every cell of a plan, with results by chance that grow a little with the condition's order."""
    plan, store = prepared.plan, prepared.store
    made = {"seconds": 1.0, "made_by": {"transferlab": "0", "torch": "2", "machine": "made", "threads": 1}}
    order = {condition.name: i for i, condition in enumerate(plan.conditions)}
    n_tests = {target.digest: target.n_test for target in plan.targets}
    for t in plan.trainings:
        store.write_cell(
            t.key, ("pretrain", ENGINE, t.cell), {"metrics": {}, **made}, {"weights.safetensors": bytes(1000)}
        )
        store.write_cell(
            source_key(t.key), ("source accuracy", TRANSFER, t.key), {"metrics": {"top1": 0.3}, **made}, {}
        )
    for t in plan.transfers:
        right = stream(t.key).random(n_tests[t.cell.target]) < 0.3 + 0.02 * order[t.condition]
        score = float(right.mean())
        record = {"metrics": {"top1": score, "mean class accuracy": score}, **made}
        store.write_cell(
            t.key, ("transfer", TRANSFER, ENGINE, t.cell), record, {"rows.npz": npz_bytes({"right": right})}
        )


def open_step(pack: str) -> float:
    from transferlab.images.pack import open_pack

    return _seconds(lambda: open_pack(Path(pack)))


def plan_step(source: str, target: str, n_networks: str, lab: str) -> float:
    """A study of so many networks: up to four levels, the rest seeds; from nothing to its subsets and plan in a store."""
    levels = min(4, int(n_networks))
    study = Study(source=f"pack:{source}", targets=[f"pack:{target}"], contrasts=(), controls=(), protocols=[knn()],
                  conditions={f"level {i}": designs.random_classes(N_LEAVES * (i + 5) // 8) for i in range(levels)},
                  seeds=int(n_networks) // levels, recipe=RECIPE)  # fmt: skip
    wanted = Request(replace(study, name=f"{n_networks} networks"), None, (), Path(lab), size=INPUT_PX, device="cpu")
    return _seconds(lambda: prepare(wanted, lambda *_: None))


def start_step(lab: str) -> float:
    """From a store's plan to the end of a training's first step, in a process that has loaded torch."""
    from transferlab.engine.batches import Examples as Batches
    from transferlab.engine.batches import Place
    from transferlab.engine.fit import fit
    from transferlab.runners.packs import find

    def start() -> None:
        store = Store.open(Path(lab), create=False)
        plan = restored(next(iter(store.studies().values())))
        pack, cell = find(store, plan.source), plan.trainings[-1].cell
        subset = store.read_subset(cell.subset)
        examples = Batches(pack.images, subset.rows, subset.labels, len(subset.label_names), pack.mean, pack.std)
        fit(examples, cell.recipe, cell.seed, Place(cell.device, cell.precision))

    return _seconds(start)


STEPS: dict[str, Callable[..., float]] = {"open": open_step, "plan": plan_step, "start": start_step}


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _child(step: str, *words: object, fresh: Path | None = None) -> dict[str, float]:
    """A step in a process of its own; ``fresh`` is deleted before."""
    if fresh is not None:
        shutil.rmtree(fresh, ignore_errors=True)
    return _timed([__file__, "step", step, *map(str, words)], own_seconds=True)


# Between this process and what it measures: a started process's peak counts its parent's memory, and this one is small.
LAUNCHER = """
import json, os, subprocess, sys, time
begun = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
printed = process.stdout.read().decode()
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([process.returncode, time.perf_counter() - begun, usage.ru_maxrss, printed]))
"""


def _lines(lab: Path) -> str:
    """What a worker reads that does every task of a store's plan."""
    (plan,) = map(restored, Store.open(lab, create=False).studies().values())
    return "".join(map(to_line, [Setup(str(lab), plan.identity, 1), *tasks_of(plan)]))


def _timed(words: Sequence[str], *, own_seconds: bool = False, lines: str = "") -> dict[str, float]:
    """Seconds of a Python command (or those that it prints), and the peak of its memory in MB; it reads ``lines``."""
    tuned = WORKER_ENVIRONMENT if "transferlab.runners.worker" in words else {}
    environment = {**os.environ, **tuned, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-S", "-c", LAUNCHER, sys.executable, *words]
    told = subprocess.run(command, env=environment, input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout
    code, seconds, peak, printed = json.loads(told)
    if code:
        raise RuntimeError(f"{' '.join(words)} failed")
    scale = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss is bytes there, kilobytes elsewhere
    return {"seconds": float(printed) if own_seconds else seconds, "megabytes": peak / scale}


def _note(found: dict[str, dict[str, Values]], step: str, n: int, measured: Mapping[str, float]) -> None:
    for key, value in measured.items():
        found.setdefault(step, {}).setdefault(str(n), {}).setdefault(key, []).append(value)


def _print(found: Mapping[str, Mapping[str, Values]], commands: Mapping[str, Values], machine: str) -> None:
    print(f"{machine}, n = {ROUNDS}")
    for step, by_size in found.items():
        print(f"\n{step:<34} {'seconds':>24} {'peak MB':>24}")
        for n, values in by_size.items():
            print(f"{int(n):>34,} {_spread(values['seconds'], '.3f'):>24} {_spread(values['megabytes'], ',.0f'):>24}")
        exponents = [_exponents(by_size, key) for key in ("seconds", "megabytes")]
        print(f"{'exponent, all and last step':>34} {exponents[0]:>24} {exponents[1]:>24}")
    print(f"\n{'whole commands':<34} {'seconds':>24} {'peak MB':>24}")
    for name, values in commands.items():
        print(f"{name:<34} {_spread(values['seconds'], '.2f'):>24} {_spread(values['megabytes'], ',.0f'):>24}")


def _exponents(by_size: Mapping[str, Values], key: str) -> str:
    """The slope of the logarithm of the medians over that of the sizes: over all of them, and over the last two."""
    x = [math.log(int(n)) for n in by_size]
    y = [math.log(statistics.median(values[key])) for values in by_size.values()]
    slope: Any = np.polyfit(x, y, 1)[0]
    return f"{slope:.2f}, {(y[-1] - y[-2]) / (x[-1] - x[-2]):.2f}"


def _spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        print(STEPS[sys.argv[2]](*sys.argv[3:]))
    else:
        place = sys.argv[1] if len(sys.argv) > 1 else None
        with tempfile.TemporaryDirectory(dir=place) as scratch, tempfile.TemporaryDirectory(dir=MEMORY) as quick:
            main(Path(scratch), Path(quick))
