"""Runs the protocol ``detect``: fine-tunes a detector around a network's backbone and detects objects in the test images."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from transferlab.engine.fit import steps_of
from transferlab.errors import UserError
from transferlab.identity import torch_seed
from transferlab.specs import Boxes, Examples
from transferlab.transfer.detect.heads import HEADS, Detector
from transferlab.transfer.detect.maps import maps_of
from transferlab.transfer.detect.metrics import Found, boxes_of
from transferlab.transfer.detect.scenes import Scenes, batch_of, scenes_of
from transferlab.transfer.detect.training import Schedule, drawing, train
from transferlab.transfer.problem import Prediction, Problem
from transferlab.transfer.targets import Labelled

WEIGHT_DECAY, WARM_UP = 0.05, 0.1
SCALE = 0.75  # images are scaled by a factor from this to its inverse
AT_ONCE = 16  # test images per forward pass


def fit_predict(problem: Problem) -> Prediction:
    """Train on training and validation images together, at one rate; detect at most 100 objects in each test image.

    Nothing is chosen on validation: a second rate would double a cell's time, and AdamW's steps have nearly the same length
    for all backbones, also for untrained ones.

    Raises:
        UserError: a target without boxes, or a backbone without feature maps.
        TrainingFailed: the loss is not finite.
    """
    data, network = problem.data, problem.network
    both = _together(data.train, data.val)
    scenes = scenes_of(data, both.rows, network, both.boxes)
    if not any(len(labels) for labels in scenes.labels):
        what = "no object can be learnt: all are ignored or smaller than a pixel"
        raise UserError(what, data.name, "use a set with larger objects")
    detector, schedule = detector_of(problem)
    n_weights = train(detector, scenes, schedule, torch_seed("detect", problem.seed), problem.place, problem.hooks)
    found = _found(detector, scenes_of(data, data.test, network, None), problem)
    facts = {"maps": len(detector.maps.levels), "finest stride": detector.maps.strides[0], "weights trained": n_weights}
    return Prediction(chosen={**facts, "examples seen": schedule.n_steps * schedule.recipe.batch}, found=found)


def _together(train: Labelled, val: Labelled) -> Labelled:
    """The images of both parts with their boxes, sorted by row."""
    assert train.boxes is not None and val.boxes is not None, "a target with boxes"
    a, b = train.boxes, val.boxes
    both = Boxes(
        np.append(a.first, b.first[1:] + a.first[-1]),
        *(np.concatenate([getattr(a, name), getattr(b, name)])
          for name in ("boxes", "labels", "ignored", "crowd", "original", "original_sizes", "areas")),
    )  # fmt: skip
    rows = np.concatenate([train.rows, val.rows])
    order = np.argsort(rows)
    return Labelled(
        rows[order], np.concatenate([train.labels, val.labels])[order], boxes_of(both, order.astype(np.int32))
    )


def detector_of(problem: Problem) -> tuple[Detector, Schedule]:
    """A detector around a copy of the problem's backbone, with new weights drawn from the seed, and its schedule."""
    network, device = problem.network, problem.place.device
    knobs = problem.settings
    backbone = copy.deepcopy(network.backbone)
    with drawing(device, "detector", problem.seed):
        maps = maps_of(backbone, network.recipe.image_px, network.recipe.backbone)
        detector = HEADS[str(knobs["head"])](maps, problem.n_classes)
    recipe = replace(
        network.recipe, length=Examples(int(knobs["examples"])), batch=int(knobs["batch"]), lr=float(knobs["lr"]),
        optimiser="adamw", weight_decay=WEIGHT_DECAY, schedule="cosine", warmup=WARM_UP, ema=None,
    )  # fmt: skip
    frozen = len(maps.parts) if knobs["frozen"] == "all" else int(knobs["frozen"])
    schedule = Schedule(recipe, steps_of(recipe, 1), frozen, str(knobs["norms"]), SCALE)
    return detector.to(device).to(memory_format=cast(Any, torch.channels_last)), schedule


def _found(detector: Detector, scenes: Scenes, problem: Problem) -> Found:
    """Detections in all scenes, image by image, the best first."""
    sizes = problem.data.original_sizes
    assert sizes is not None, "a target with boxes"
    parts: list[tuple[np.ndarray, ...]] = []
    with torch.inference_mode(), problem.place.autocast():
        for start in range(0, len(scenes.rows), AT_ONCE):
            positions = np.arange(start, min(start + AT_ONCE, len(scenes.rows)))
            batch = batch_of(scenes, positions, detector.stride, problem.place.device)
            for at, (height, width), found in zip(positions, batch.sizes, detector.detections(batch), strict=True):
                scale = np.array([sizes[at, 1] / width, sizes[at, 0] / height] * 2, np.float32)
                boxes = _numpy(found["boxes"]) * scale
                parts.append((np.full(len(boxes), at, np.int32), _numpy(found["labels"]).astype(np.int32) - 1,
                              _numpy(found["scores"]), boxes.astype(np.float32)))  # fmt: skip
    image, label, score, box = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Found(image, label, score, box)


def _numpy(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()
