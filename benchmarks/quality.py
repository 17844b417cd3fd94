"""Quality against time: mean probe accuracy of networks that were pre-trained for so many seconds on all cores.

    transferlab pack SPEC source.pack --size 32        (and each target)
    .venv/bin/python benchmarks/quality.py --source source.pack --target a.pack --target b.pack \\
        [--seconds 5 15 60 300 1200] [--backbones small:24 small small:48 small:64] [--recipes small random-stem]
        [--seeds 1] [--at-once 1] [--file RESULT.json]

One network at a time, in one worker with a thread a core, by each recipe cut to the examples that the worker's
measured speed allows in that time; 0 seconds is the same network untrained, the floor that every score is to be read
against. The time that training took is in the table. ``--at-once`` several trains as many networks side by side on a thread
each, on the same numbers of images: sooner done, but then the times are not those of the points. Done points are kept in the
results file and are not run again. What the standard loop reaches in twenty minutes: benchmarks/anchor.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from measured import RESULTS, recipe_of, spread

from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Place
from transferlab.engine.fit import fit
from transferlab.engine.recipes import RECIPES, SMALL
from transferlab.identity import plain, torch_seed
from transferlab.images.pack import open_pack
from transferlab.runners.machine import here
from transferlab.runners.shares import WORKER_ENVIRONMENT
from transferlab.specs import TRAIN, Pack, Recipe
from transferlab.specs import Examples as Length
from transferlab.transfer.measure import Workspace, measure
from transferlab.transfer.problem import Network
from transferlab.transfer.protocols import probe
from transferlab.transfer.targets import view

SIZES = ("small:24", "small", "small:48", "small:64")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", action="append", required=True)
    parser.add_argument("--seconds", type=float, nargs="+", default=[5, 15, 60, 300, 1200])
    parser.add_argument("--backbones", nargs="+", default=SIZES)
    parser.add_argument("--recipes", nargs="+", default=["small"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--file", type=Path, default=RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-quality.json")
    wanted = parser.parse_args()
    machine = here("cpu")
    file, n_threads = wanted.file, machine.n_units if wanted.at_once == 1 else 1
    kept: dict[str, Any] = {"machine": machine.name, "cores": machine.n_units, "precision": machine.precision,
                            "source": Path(wanted.source).name, "rates": {}, "points": []}  # fmt: skip
    if file.is_file():
        kept = json.loads(file.read_text())
    points = [{"recipe": recipe, "backbone": backbone, "seconds": seconds, "seed": seed}
              for recipe in wanted.recipes for backbone in wanted.backbones for seed in range(wanted.seeds)
              for seconds in (0.0, *wanted.seconds)]  # fmt: skip
    todo = [point for point in points if not any(point.items() <= done.items() for done in kept["points"])]
    for backbone in dict.fromkeys(point["backbone"] for point in todo):
        if backbone not in kept["rates"]:
            kept["rates"][backbone] = speed(backbone)
    written = threading.Lock()

    def run(point: dict[str, Any]) -> None:
        n_images = round(kept["rates"][point["backbone"]] * point["seconds"])
        job = {**point, "examples": n_images, "source": wanted.source, "targets": wanted.target}
        found = json.loads(child([__file__, "--", json.dumps(job)], n_threads))
        with written:
            kept["points"].append({**point, **found, "at_once": wanted.at_once})
            file.write_text(json.dumps(kept, indent=1) + "\n")
            print(kept["points"][-1], file=sys.stderr)

    with ThreadPoolExecutor(wanted.at_once) as pool:
        list(pool.map(run, todo))
    table(kept)
    print(file)


def child(words: list[str], n_threads: int) -> str:
    """What a process prints that has a worker's environment and so many threads."""
    environment = {**os.environ, **WORKER_ENVIRONMENT, "OMP_NUM_THREADS": str(n_threads)}
    return subprocess.run(
        [sys.executable, *words], env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def speed(backbone: str) -> float:
    recipe = json.dumps(plain(replace(SMALL, backbone=backbone), identity_only=True))
    words = ["-m", "transferlab.runners.calibrate", recipe, "cpu", here("cpu").precision, "6"]
    return float(json.loads(child(words, here("cpu").n_units))["images_per_second"])


def trained(job: dict[str, Any]) -> dict[str, Any]:
    """Train one network, measure it on every target."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    source, place = open_pack(Path(job["source"])), Place("cpu", here("cpu").precision)
    recipe: Recipe = replace(RECIPES[job["recipe"]], backbone=job["backbone"], length=Length(max(1, job["examples"])))
    rows = source.rows(TRAIN)
    examples = Examples(source.images, rows, source.labels[rows], len(source.taxonomy.leaves), source.mean, source.std)
    begun = time.perf_counter()
    if job["examples"]:
        backbone = fit(examples, recipe, job["seed"], place).backbone
    else:
        backbone = build(recipe.backbone, recipe.image_px, torch_seed("initialisation", job["seed"])).eval()
    took = time.perf_counter() - begun
    scores = scores_of(backbone, recipe, source, job["targets"], job["seed"], place)
    return {"examples": job["examples"], "took_seconds": took, "features": backbone.n_features, "scores": scores,
            "probe_seconds": time.perf_counter() - begun - took, "mean": statistics.mean(scores.values())}  # fmt: skip


def scores_of(
    backbone: Backbone, recipe: Recipe, source: Pack, targets: Sequence[str | Path], seed: int, place: Place
) -> dict[str, float]:
    """Linear probes of a network on packs, each by its main metric, 0…1."""
    network = Network(backbone, recipe, source.mean, source.std)
    scores: dict[str, float] = {}
    for path in targets:
        target = view(open_pack(Path(path)))
        found = measure(network, target, probe(), seed, Workspace(place))
        scores[target.pack.name] = found.metrics[target.metric.name]
    return scores


def table(kept: dict[str, Any]) -> None:
    print(f"{kept['machine']}, {kept['cores']} cores, {kept['precision']}; mean probe accuracy, %")
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for point in kept["points"]:
        groups.setdefault((recipe_of(point), point["backbone"], point["seconds"]), []).append(point)
    for (recipe, backbone, seconds), points in groups.items():
        each = {name: statistics.mean(100 * p["scores"][name] for p in points) for name in points[0]["scores"]}
        alone = [p["took_seconds"] for p in points if p.get("at_once", 1) == 1]
        took = f"took {statistics.median(alone):.1f} s" if alone else "not timed"
        print(f"  {recipe:<11} {backbone:<9} {seconds:>6.0f} s ({took}, {points[0]['examples']:>9,} images)  "
              f"{spread([100 * p['mean'] for p in points], '.1f')}, n = {len(points)}   "
              + "  ".join(f"{name} {value:.1f}" for name, value in each.items()))  # fmt: skip


if __name__ == "__main__":
    if "--" in sys.argv:
        print(json.dumps(trained(json.loads(sys.argv[-1]))))
    else:
        main()
