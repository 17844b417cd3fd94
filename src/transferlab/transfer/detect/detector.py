"""The protocol ``detect``: fine-tune a detector around a network's backbone, then find the objects of the test images."""

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
from transferlab.transfer.detect.maps import maps_of
from transferlab.transfer.detect.metrics import Found
from transferlab.transfer.detect.model import Detector
from transferlab.transfer.detect.scenes import Scenes, batch_of, scenes_of
from transferlab.transfer.detect.training import Course, drawing, train
from transferlab.transfer.problem import Prediction, Problem
from transferlab.transfer.targets import Labelled, boxes_of

WEIGHT_DECAY, WARM_UP = 0.05, 0.1
SCALE = 0.75  # images are enlarged by a factor of this to its inverse
AT_ONCE = 16  # test images of a forward pass


def fit_predict(problem: Problem) -> Prediction:
    """Train on the train and validation images together, at one rate; find at most 100 objects in each test image.

    Nothing is chosen on validation, so its images are trained on too: a second rate would double a cell's time, and
    AdamW's steps have nearly the same length under any backbone, a fresh one included.

    Raises:
        UserError: a target without boxes, a backbone without maps.
        TrainingFailed: the loss does not stay finite.
    """
    data, network = problem.data, problem.network
    learnt = _together(data.train, data.val)
    scenes = scenes_of(data, learnt.rows, network, learnt.boxes)
    if not any(len(labels) for labels in scenes.labels):
        raise UserError(
            "no object can be learnt: every one is ignored or under a pixel", data.name, "use a set with larger objects"
        )
    detector, course = detector_of(problem)
    n_weights = train(detector, scenes, course, torch_seed("detect", problem.seed), problem.place, problem.hooks)
    found = _found(detector, scenes_of(data, data.test, network, None), problem)
    facts = {"maps": len(detector.maps.levels), "finest stride": detector.maps.strides[0], "weights trained": n_weights}
    return Prediction(chosen={**facts, "examples seen": course.n_steps * course.recipe.batch}, found=found)


def _together(train: Labelled, val: Labelled) -> Labelled:
    """Both parts' images in ascending order of their rows, with their boxes."""
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


def detector_of(problem: Problem) -> tuple[Detector, Course]:
    """A detector around a copy of the problem's backbone, its new weights drawn from the seed, and its course."""
    network, device = problem.network, problem.place.device
    knobs = problem.settings
    backbone = copy.deepcopy(network.backbone)
    with drawing(device, "detector", problem.seed):
        maps = maps_of(backbone, network.recipe.image_px, network.recipe.backbone)
        detector = Detector(maps, problem.n_classes, int(knobs["proposals"]))
    recipe = replace(
        network.recipe, length=Examples(int(knobs["examples"])), batch=int(knobs["batch"]), lr=float(knobs["lr"]),
        optimiser="adamw", weight_decay=WEIGHT_DECAY, schedule="cosine", warmup=WARM_UP, ema=None,
    )  # fmt: skip
    frozen = len(maps.parts) if knobs["frozen"] == "all" else int(knobs["frozen"])
    course = Course(recipe, steps_of(recipe, 1), frozen, str(knobs["norms"]), SCALE)
    return detector.to(device).to(memory_format=cast(Any, torch.channels_last)), course


def _found(detector: Detector, scenes: Scenes, problem: Problem) -> Found:
    """Detections of all scenes in the contract's form: image by image, the best first."""
    sizes = problem.data.original_sizes
    assert sizes is not None, "a target with boxes"
    parts: list[tuple[np.ndarray, ...]] = []
    with torch.inference_mode(), problem.place.autocast():
        for start in range(0, len(scenes.rows), AT_ONCE):
            positions = np.arange(start, min(start + AT_ONCE, len(scenes.rows)))
            batch = batch_of(scenes, positions, detector.stride, problem.place.device)
            for at, (height, width), found in zip(positions, batch.sizes, detector.detections(batch), strict=True):
                grown = np.array([sizes[at, 1] / width, sizes[at, 0] / height] * 2, np.float32)
                boxes = _numpy(found["boxes"]) * grown
                parts.append((np.full(len(boxes), at, np.int32), _numpy(found["labels"]).astype(np.int32) - 1,
                              _numpy(found["scores"]), boxes.astype(np.float32)))  # fmt: skip
    image, label, score, box = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Found(image, label, score, box)


def _numpy(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()
