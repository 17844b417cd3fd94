"""Wall time of a whole study, through `transferlab run` and as a plain script, on all cores of this machine.

    python benchmarks/study.py [--examples 24000]
        [--source FOLDER --target FOLDER --target FOLDER --target FOLDER]

`images-per-class`: five counts, three seeds, three targets, the linear probe, random features as the control; the
other controls are left out on both sides. The images are folders of files: the toy world and scikit-learn's digits as
PNG, or folders that you name, with train, val and test in each and classes directly below. The laboratory begins with
an empty store, so packing and start-up count. The plain script (benchmarks/peers/plain_study.py) has as many DataLoader
workers as train fastest here, and all cores' threads. In each of three rounds the laboratory does the whole study and the
script one of its three seeds, which counts three times. Raw values go to benchmarks/results/<date>-study.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measured import keep, spread
from peers.standard_loop import SGD
from PIL import Image

from transferlab.images.spec import open_source, parse_spec
from transferlab.outcomes.store import Store
from transferlab.planned import Plan, restored
from transferlab.questions.images_per_class import SHARES
from transferlab.runners.machine import here

SEEDS, TRY_SECONDS = 3, 6.0
TOY = {"source": "toy", "unseen": "toy?task=unseen", "scenes": "toy?task=scenes", "digits": "digits"}
HERE = Path(__file__).parent
STUDY = """\
from transferlab import Examples, Recipe, Study, designs, probe, steps

study = Study(
    source={source!r}, targets={targets!r},
    conditions={{n: designs.images_per_class(n, short="keep") for n in {counts!r}}},
    controls=["random-features"], contrasts=steps(margin=0.01), seeds={seeds}, protocols=[probe()],
    recipe=Recipe(length=Examples({examples}), optimiser="sgd", lr={lr}, batch={batch}, warmup={warmup}, stem="random"), name="images-per-class", unit="images per class",
)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=24_000, help="seen by each network")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--target", type=Path, action="append", default=[])
    wanted = parser.parse_args()
    machine = here("cpu")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source, targets = (wanted.source, wanted.target) if wanted.source else _write_toy(place)
        sizes = [len(list(label.iterdir())) for label in (source / "train").iterdir()]
        counts = sorted({max(1, round(share * float(np.median(sizes)))) for share in SHARES})
        job: dict[str, Any] = {"source": str(source), "targets": [str(t) for t in targets], "counts": counts,
                               "seeds": list(range(SEEDS)), "examples": wanted.examples}  # fmt: skip
        job["workers"] = _best_workers(source, machine.n_units)
        rounds: list[dict[str, Any]] = []
        for seed in range(SEEDS):
            ours = _laboratory(place / f"lab-{seed}", job)
            plain = _plain(place, {**job, "seeds": [seed]}, machine.n_units)
            ratio = SEEDS * plain["wall_seconds"] / ours["wall_seconds"]
            rounds.append({"times_as_long": ratio, "laboratory": ours, "plain": plain})
    raw = {"machine": machine.name, "cores": machine.n_units, "precision": machine.precision, **job, "rounds": rounds}
    _tell(raw)
    print(keep("study", raw))


def _write_toy(place: Path) -> tuple[Path, list[Path]]:
    """The source and three targets as PNG files in train, val and test; two thirds, a sixth and a sixth of a class."""
    for name, spec in TOY.items():
        for number, item in enumerate(open_source(parse_spec(spec)).items()):
            split = item.split or ("train", "train", "train", "train", "val", "test")[number % 6]
            label = str(item.label).replace("/", "-")
            target = place / name / split / label / f"{number}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = item.data if isinstance(item.data, np.ndarray) else Image.open(io.BytesIO(item.data))  # pyright: ignore
            Image.fromarray(np.asarray(pixels)).convert("RGB").save(target)
    source, *targets = (place / name for name in TOY)
    return source, targets


def _laboratory(lab: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Wall seconds of the command with a new store, and of each network's cells."""
    file = lab.with_suffix(".py")
    specs = {"source": f"imagefolder:{job['source']}", "targets": [f"imagefolder:{t}" for t in job["targets"]]}
    file.write_text(
        STUDY.format(
            **specs,
            counts=job["counts"],
            seeds=SEEDS,
            examples=job["examples"],
            lr=SGD.lr,
            batch=SGD.batch,
            warmup=SGD.warmup,
        )
    )
    begun = time.perf_counter()
    command = [sys.executable, "-m", "transferlab", "run", str(file), "--device", "cpu", "--store", str(lab)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - begun
    store = Store.open(lab, create=False)
    plan = restored(next(iter(store.studies().values())))
    if not isinstance(plan, Plan):
        raise TypeError("the store holds no plan")
    seconds = {t.key: float((store.record(t.key) or {})["seconds"]) for t in plan.trainings}
    names = {t.digest: spec for t, spec in zip(plan.targets, job["targets"], strict=True)}
    networks: dict[str, dict[str, Any]] = {}
    for t in plan.transfers:
        record = store.record(t.key) or {}
        count = 0 if t.untrained else int(t.condition)
        network = networks.setdefault(
            t.cell.network, {"count": count, "seed": t.seed, "seconds": seconds.get(t.cell.network, 0.0), "targets": {}}
        )
        found = {"seconds": record["seconds"], "accuracy": record["metrics"]["top1"]}
        network["targets"][names[t.cell.target]] = {**found, "penalty": record["chosen"]["penalty"]}
    return {"wall_seconds": wall, "networks": list(networks.values())}


def _best_workers(source: Path, n_threads: int) -> int:
    """DataLoader workers with which the standard loop trains fastest, by a few seconds of each."""
    rates: dict[int, float] = {}
    for workers in range(n_threads + 1):
        command = [
            sys.executable,
            str(HERE / "peers/standard_loop.py"),
            str(source / "train"),
            SGD.backbone,
            str(workers),
            str(TRY_SECONDS),
        ]
        out = subprocess.run(command, env=_environment(n_threads), capture_output=True, text=True, check=True).stdout
        rates[workers] = float(out)
    print(
        f"standard loop, images/s by DataLoader workers: { {k: round(v) for k, v in rates.items()} }", file=sys.stderr
    )
    return max(rates, key=lambda workers: rates[workers])


def _plain(place: Path, job: dict[str, Any], n_threads: int) -> dict[str, Any]:
    file = place / "job.json"
    file.write_text(json.dumps(job))
    begun = time.perf_counter()
    command = [sys.executable, str(HERE / "peers/plain_study.py"), str(file)]
    out = subprocess.run(command, env=_environment(n_threads), stdout=subprocess.PIPE, text=True, check=True).stdout
    return {"wall_seconds": time.perf_counter() - begun, "networks": json.loads(out)}


def _environment(n_threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(n_threads), "OPENBLAS_NUM_THREADS": str(n_threads)}


def _tell(raw: dict[str, Any]) -> None:
    rounds, targets = raw["rounds"], raw["targets"]
    print(f"{raw['machine']}, {raw['cores']} cores, {raw['precision']}; images per class {raw['counts']}, {SEEDS} seeds, "
          f"{len(targets)} targets, {raw['examples']:,} examples a network, n = {len(rounds)}")  # fmt: skip
    seconds = {side: [r[side]["wall_seconds"] for r in rounds] for side in ("laboratory", "plain")}
    print(f"transferlab run {spread(seconds['laboratory'], '.0f')} s; a seed of the plain script, {raw['workers']} DataLoader "
          f"workers, {spread(seconds['plain'], '.0f')} s: {spread([r['times_as_long'] for r in rounds], '.1f')} times as long")  # fmt: skip
    networks = {side: [n for r in rounds for n in r[side]["networks"]] for side in seconds}
    for side, found in networks.items():
        trained = [n for n in found if n["count"]]
        each = statistics.median(n["seconds"] for n in trained)
        shares = [statistics.median(n["targets"][t]["seconds"] for n in trained) / each for t in targets]
        print(f"  {side:<10} a pre-training {each:.1f} s; a further target costs of it "
              f"{', '.join(f'{100 * s:.1f} % ({Path(t).name})' for s, t in zip(shares, targets, strict=True))}")  # fmt: skip
    for count in (0, *raw["counts"]):
        means = [_accuracy(networks[side], count) for side in networks]
        words = f"{count} per class" if count else "untrained"
        print(f"  {words:<14} mean accuracy {means[0]:.1f} % laboratory, {means[1]:.1f} % plain ({SEEDS} seeds)")


def _accuracy(networks: Sequence[dict[str, Any]], count: int) -> float:
    """Mean over targets and networks in per cent."""
    own = [n for n in networks if n["count"] == count]
    return 100 * statistics.mean(t["accuracy"] for n in own for t in n["targets"].values())


if __name__ == "__main__":
    main()
