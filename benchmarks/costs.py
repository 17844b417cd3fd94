"""What one transfer costs beside one pre-training of the default length, protocol by protocol.

    .venv/bin/python benchmarks/costs.py [--images 4000] [--rounds 3] [--backbone small]

The target is the toy world's unseen classes at 32 px, with about as many images in all as asked. In each round one process
on one thread trains for some seconds, which gives the seconds of a pre-training of the default length, and measures the
network by every protocol for class labels, each with its features computed anew. Raw values go to
benchmarks/results/<date>-costs.json. Detection has a benchmark of its own (benchmarks/detection.py).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from measured import keep, spread

from transferlab.engine.batches import Examples, Place
from transferlab.engine.fit import fit
from transferlab.engine.recipes import RECIPES
from transferlab.images.pack import open_pack, write_pack
from transferlab.images.spec import open_source, parse_spec
from transferlab.images.toy import classes_of
from transferlab.runners import calibrate
from transferlab.runners.machine import here
from transferlab.specs import TRAIN, Pack, Protocol
from transferlab.specs import Examples as Seen
from transferlab.transfer.measure import Workspace, measure
from transferlab.transfer.problem import Network
from transferlab.transfer.protocols import finetune, knn, probe
from transferlab.transfer.targets import view

PX, SECONDS = 32, 10.0
PROTOCOLS: dict[str, Protocol] = {
    "probe": probe(), "probe in five folds": probe(folds=5), "knn": knn(), "fine-tuning": finetune(),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="small")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    machine = here("cpu")
    place = Place("cpu", machine.precision)
    recipe = replace(RECIPES["quick"], backbone=wanted.backbone)
    with tempfile.TemporaryDirectory() as folder:
        source = packed(Path(folder), "toy")
        target = packed(Path(folder), f"toy?task=unseen&images_per_class={wanted.images // len(classes_of('unseen'))}")
        network = Network(fit(examples_of(source), recipe, 0, place).backbone, recipe, source.mean, source.std)
        rounds = [one_round(network, target, place) for _ in range(wanted.rounds)]
    facts: dict[str, Any] = {"machine": machine.name, "precision": machine.precision, "threads": 1,
                             "backbone": wanted.backbone, "images": len(target.images), "rounds": rounds}  # fmt: skip
    for name in PROTOCOLS:
        shares = [100 * found[name] / found["pre-training"] for found in rounds]
        print(
            f"{name} on {len(target.images):,} images: {spread(shares, '.1f')} % of a pre-training, n = {len(shares)}"
        )
    print(keep("costs", facts))


def packed(folder: Path, spec: str) -> Pack:
    made = write_pack(open_source(parse_spec(spec)), folder / spec, PX, skip_bad=False, progress=lambda done, of: None)
    return open_pack(made.path)


def examples_of(pack: Pack) -> Examples:
    rows = pack.rows(TRAIN)
    return Examples(pack.images, rows, pack.labels[rows], len(pack.taxonomy.leaves), pack.mean, pack.std)  # pyright: ignore


def one_round(network: Network, target: Pack, place: Place) -> dict[str, float]:
    """Seconds of a pre-training of the default length, by the speed of some seconds, and of each protocol."""
    length = RECIPES["small"].length
    assert isinstance(length, Seen)
    rate = calibrate.measure(calibrate.random_examples(PX), network.recipe, place, 1, SECONDS)
    seconds = {"pre-training": length.n / rate}
    for name, protocol in PROTOCOLS.items():
        begun = time.perf_counter()
        measure(network, view(target), protocol, 0, Workspace(place))
        seconds[name] = time.perf_counter() - begun
    return seconds


if __name__ == "__main__":
    main()
