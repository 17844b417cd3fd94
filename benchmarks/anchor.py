"""What the standard loop reaches in twenty minutes: the mark that `benchmarks/quality.py` is to reach in a twentieth.

    python benchmarks/anchor.py --source source.pack --target a.pack --target b.pack [--seconds 1200] [--seeds 3]

The network is the plain one of the same cost: the stages of the built-in network, features the average of the last
stage alone, SGD. How many images the standard loop (fp32, ImageFolder, DataLoader, its best number of workers) sees in
that time is measured here; the training on so many images is then done by the engine, which ends at the same accuracy
(benchmarks/parity.py) in a quarter of the time. Raw values go to benchmarks/results/<date>-anchor.json, seed by seed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from measured import keep, spread
from peers.standard_loop import SGD
from peers.standard_loop import rate as standard_rate
from PIL import Image
from quality import scores_of
from torch import Tensor

from transferlab.definitions import Brought
from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import BACKBONES, BackboneDefinition, build
from transferlab.engine.batches import Examples, Place
from transferlab.engine.fit import fit
from transferlab.engine.small import Small, areas
from transferlab.identity import torch_seed
from transferlab.images.pack import open_pack
from transferlab.runners.machine import here
from transferlab.specs import TRAIN, Pack
from transferlab.specs import Examples as Length

RECIPE = replace(SGD, backbone="plain", batch=64)
FILES = 10_000  # of the source, for the standard loop to read


class Plain(Small):
    """The average of the last stage alone."""

    def forward(self, images: Tensor) -> Tensor:
        return areas(self.scales(images)[-1], 1)


plain = BackboneDefinition(name="plain", build=lambda detail, image_px: Plain(32))
BACKBONES.bring(plain, Brought(__file__, ""))


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--source", type=Path, required=True)
    words.add_argument("--target", type=Path, action="append", required=True)
    words.add_argument("--seconds", type=float, default=1200)
    words.add_argument("--seeds", type=int, default=3)
    wanted = words.parse_args()
    machine, source = here("cpu"), open_pack(wanted.source)
    torch.set_num_threads(machine.n_units)
    with tempfile.TemporaryDirectory() as folder:
        _write(source, Path(folder))
        rates = {n: standard_rate(folder, RECIPE, n, 10.0) for n in range(machine.n_units + 1)}
    n_images = round(max(rates.values()) * wanted.seconds)
    print(f"standard loop: {max(rates.values()):,.0f} images/s, so {n_images:,} images", file=sys.stderr)
    facts: dict[str, Any] = {"machine": machine.name, "cores": machine.n_units, "standard_images_per_second": rates,
                             "seconds": wanted.seconds, "images": n_images, "points": []}  # fmt: skip
    for seed in range(wanted.seeds):
        place = Place("cpu", machine.precision)
        point = {"seed": seed, "untrained": _measured(_network(seed), source, wanted.target, seed, place),
                 "trained": _measured(_trained(source, n_images, seed, place), source, wanted.target, seed, place)}  # fmt: skip
        facts["points"].append(point)
        print(point, file=sys.stderr)
        keep("anchor", facts)
    for state in ("untrained", "trained"):
        means = [100 * statistics.mean(point[state].values()) for point in facts["points"]]
        print(f"plain network, {state}: {spread(means, '.1f')} %, n = {len(means)}")
    print(keep("anchor", facts))


def _write(source: Pack, folder: Path) -> None:
    """Some of the source's training images as PNG files in folders of classes."""
    for row in source.rows(TRAIN)[:: max(1, len(source.rows(TRAIN)) // FILES)]:
        target = folder / f"class{int(source.labels[row])}"
        target.mkdir(exist_ok=True)
        Image.fromarray(source.images[row]).save(target / f"{row}.png")


def _network(seed: int) -> Backbone:
    return build(RECIPE.backbone, RECIPE.image_px, torch_seed("initialisation", seed)).eval()


def _trained(source: Pack, n_images: int, seed: int, place: Place) -> Backbone:
    rows = source.rows(TRAIN)
    examples = Examples(source.images, rows, source.labels[rows], len(source.taxonomy.leaves), source.mean, source.std)
    return fit(examples, replace(RECIPE, length=Length(n_images)), seed, place).backbone


def _measured(backbone: Backbone, source: Pack, targets: list[Path], seed: int, place: Place) -> Mapping[str, float]:
    return scores_of(backbone, RECIPE, source, targets, seed, place)


if __name__ == "__main__":
    main()
