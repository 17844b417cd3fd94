"""The machinery as a whole: images that are learnt by heart are found again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.images.pack import write_pack
from transferlab.images.spec import open_source, parse_spec
from transferlab.specs import Boxes, Pack, Ragged, Recipe
from transferlab.taxonomy.tree import flat
from transferlab.transfer.detect.heads import HEADS
from transferlab.transfer.measure import Workspace, measure
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.problem import Network
from transferlab.transfer.protocols import detect
from transferlab.transfer.targets import Target


def packed(text: str, out: Path) -> Pack:
    return write_pack(open_source(parse_spec(text)), out, 160, skip_bad=False, progress=lambda *_: None)


def together(packs: list[Pack]) -> Pack:
    """One pack of the images of several, all of them training images."""
    names = sorted({leaf for pack in packs for leaf in pack.taxonomy.leaves})
    held = [(pack.images, pack.boxes) for pack in packs]
    labels = [np.array([names.index(pack.taxonomy.leaves[c]) for c in pack.boxes.labels], np.int32)
              for pack in packs if pack.boxes is not None]  # fmt: skip
    parts = {
        name: np.concatenate([getattr(boxes, name) for _, boxes in held])
        for name in ("boxes", "ignored", "crowd", "original", "original_sizes", "areas")
    }
    counts = np.concatenate([np.diff(boxes.first) for _, boxes in held if boxes is not None])
    boxes = Boxes(first=np.append(0, np.cumsum(counts)), labels=np.concatenate(labels), **parts)
    images = Ragged(
        np.concatenate([images.pixels for images, _ in held if isinstance(images, Ragged)]),
        np.concatenate([images.sizes for images, _ in held if isinstance(images, Ragged)]),
    )
    present = np.zeros((len(images), len(names)), np.int8)
    present[np.repeat(np.arange(len(images)), counts), boxes.labels] = 1
    return Pack("nine", Path("nine"), images, present, np.zeros(len(images), np.uint8), np.arange(len(images), dtype=np.uint64),
                flat(names), packs[0].mean, packs[0].std, "nine", boxes=boxes)  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_four_images_are_learnt_by_heart(make_scenes: Callable[..., Pack], head: str) -> None:
    torch.set_num_threads(1)
    pack, rows = make_scenes((4, 1, 1)), np.arange(4, dtype=np.int32)
    target = Target(pack, rows, rows[:0], rows, METRICS["mAP"], 0.0)
    network = Network(build("small:8", 16, 0), Recipe(backbone="small:8", image_px=16), pack.mean, pack.std)
    protocol = detect(examples=400, lr=5e-3, batch=4, head=head)
    metrics = measure(network, target, protocol, 0, Workspace(Place("cpu", "fp32"))).metrics
    assert metrics["mAP"] > 0.9, metrics


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_nine_annotated_photographs_are_learnt_by_heart(real_data: Path, tmp_path: Path, head: str) -> None:
    torch.set_num_threads(1)
    sample = real_data / "voc_sample" / "VOCdevkit"
    pack = together([packed(f"voc:{sample}?year={year}&task=detection", tmp_path / year) for year in ("2007", "2012")])
    rows = np.arange(9, dtype=np.int32)
    target = Target(pack, rows, rows[:0], rows, METRICS["mAP"], 0.0)
    recipe = Recipe(backbone="small", image_px=32)
    network = Network(build("small", 32, 0), recipe, pack.mean, pack.std)
    protocol = detect(examples=5_000, lr=1e-3, batch=9, head=head)
    metrics = measure(network, target, protocol, 0, Workspace(Place("cpu", "fp32"))).metrics
    assert metrics["mAP"] > 0.9, metrics
