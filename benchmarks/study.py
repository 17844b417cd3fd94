"""Wall time of a whole study, through `transferlab run` and as a plain script, on all cores of this machine.

    python benchmarks/study.py [--examples 24000] [--plain-seeds 1]
        [--source FOLDER --target FOLDER --target FOLDER --target FOLDER]

`images-per-class`: five counts, three seeds, three targets, the linear probe, random features as the control; the
other controls are left out on both sides. The images are folders of files: the toy world and scikit-learn's digits as
PNG, or folders that you name, with train, val and test in each and classes directly below. The laboratory begins with
an empty store, so packing and start-up count. The plain script (benchmarks/peers/plain_study.py) has as many DataLoader
workers as train fastest here, and all cores' threads; it may run the first seeds only, and its time is then multiplied,
which is printed. Raw values go to benchmarks/results/<date>-study.json.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
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
    recipe=Recipe(length=Examples({examples}), optimiser="sgd", lr={lr}, batch={batch}, warmup={warmup}), name="images-per-class", unit="images per class",
)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=24_000, help="seen by each network")
    parser.add_argument("--plain-seeds", type=int, default=1, choices=range(1, SEEDS + 1))
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
        ours = _laboratory(place, job)
        job |= {"workers": _best_workers(source, machine.n_units), "seeds": list(range(wanted.plain_seeds))}
        plain = _plain(place, job, machine.n_units)
    factor = SEEDS / wanted.plain_seeds
    raw = {"machine": machine.name, "cores": machine.n_units, "precision": machine.precision, **job,
           "laboratory": ours, "plain": plain, "plain_seconds_multiplied_by": factor}  # fmt: skip
    _tell(raw, factor)
    result = HERE / "results" / f"{datetime.now(UTC):%Y-%m-%d}-study.json"
    result.write_text(json.dumps(raw, indent=1) + "\n")
    print(result)


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


def _laboratory(place: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Wall seconds of the command, and of each network's cells."""
    file, lab = place / "my_study.py", place / "lab"
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


def _tell(raw: dict[str, Any], factor: float) -> None:
    ours, plain = raw["laboratory"], raw["plain"]
    print(f"{raw['machine']}, {raw['cores']} cores, {raw['precision']}; images per class {raw['counts']}, {SEEDS} seeds, "
          f"{len(raw['targets'])} targets, {raw['examples']:,} examples a network")  # fmt: skip
    told = "" if factor == 1 else f", measured on {len(raw['seeds'])} of {SEEDS} seeds and multiplied by {factor:.0f}"
    total = plain["wall_seconds"] * factor
    print(f"transferlab run {ours['wall_seconds']:.0f} s; plain script, {raw['workers']} DataLoader workers, "
          f"{total:.0f} s{told}: {total / ours['wall_seconds']:.1f} times as long")  # fmt: skip
    for name, side in (("transferlab", ours), ("plain", plain)):
        trained = [n for n in side["networks"] if n["count"]]
        each = statistics.median(n["seconds"] for n in trained)
        shares = [statistics.median(n["targets"][t]["seconds"] for n in trained) / each for t in raw["targets"]]
        print(f"  {name:<12} a pre-training {each:.1f} s; a further target costs of it "
              f"{', '.join(f'{100 * s:.1f} % ({Path(t).name})' for s, t in zip(shares, raw['targets'], strict=True))}")  # fmt: skip
    for count in (0, *raw["counts"]):
        found = [_accuracies(side["networks"], count, raw["seeds"]) for side in (ours, plain)]
        print(f"  {f'{count} per class' if count else 'untrained':<14} mean accuracy {found[0]:.1f} % transferlab, {found[1]:.1f} % plain "
              f"({len(raw['seeds'])} seeds)")  # fmt: skip


def _accuracies(networks: Sequence[dict[str, Any]], count: int, seeds: Sequence[int]) -> float:
    """Mean over targets and seeds, of the seeds that both sides have, in per cent."""
    own = [n for n in networks if n["count"] == count and n["seed"] in seeds]
    return 100 * statistics.mean(t["accuracy"] for n in own for t in n["targets"].values())


if __name__ == "__main__":
    main()
