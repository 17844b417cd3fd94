"""Batches of annotated images: padded, normalised, mirrored and scaled together with their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from transferlab.engine.pixels import on_device
from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.specs import Boxes, Ragged
from transferlab.transfer.detect.model import Batch
from transferlab.transfer.problem import Network
from transferlab.transfer.targets import TargetData

MIN_PX = 1.0  # side of a box in the stored image; smaller ones are not learnt


@dataclass(frozen=True, eq=False)
class Scenes:
    """Rows of a pack with boxes, for a detector.

    Args:
        images: of the pack. rows: int32 [m].
        boxes: per row float32 [·, 4], edges in pixels of the stored image; labels: int64 [·], 1…k. Ignored objects and
            those smaller than a pixel are left out; empty for test images.
        mean, std: float32 [3], in 0…1, of the network's source.
    """

    images: Ragged
    rows: NDArray[np.int32]
    boxes: list[NDArray[np.float32]]
    labels: list[NDArray[np.int64]]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def scenes_of(data: TargetData, rows: NDArray[np.int32], network: Network, annotated: Boxes | None) -> Scenes:
    """Some rows of a target, with their annotated objects or none; raises UserError for a target without boxes."""
    if not isinstance(data.images, Ragged):
        remedy = "name a detection set, for example voc:PATH?task=detection"
        raise UserError("detection needs images with boxes", data.name, remedy)
    boxes = [np.zeros((0, 4), np.float32) for _ in rows]
    labels = [np.zeros(0, np.int64) for _ in rows]
    for i in range(0 if annotated is None else len(rows)):
        assert annotated is not None
        part = slice(int(annotated.first[i]), int(annotated.first[i + 1]))
        found = np.asarray(annotated.boxes[part], np.float32)
        counts = ~annotated.ignored[part] & (found[:, 2:] - found[:, :2] >= MIN_PX).all(1)
        boxes[i], labels[i] = found[counts], annotated.labels[part][counts].astype(np.int64) + 1
    return Scenes(data.images, rows, boxes, labels, network.mean, network.std)


@dataclass(frozen=True, eq=False)
class Jitter:
    """The augmentation of a step's images, a function of seed and step only.

    Args:
        factors: float64 [b], by which images are scaled. mirrored: bool [b].
        places: float64 [b, 2] in 0…1, down and across: where the canvas lies on a larger image, or a smaller one on it.
    """

    factors: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    places: NDArray[np.float64]


def jitter(scale: float, batch: int, seed: int, step: int) -> Jitter:
    """Half of the images mirrored, each scaled by a factor from ``scale`` to 1 / ``scale`` with uniform logarithm."""
    random = stream("shake", seed, step)
    factors = scale ** random.uniform(-1, 1, batch)
    return Jitter(factors, random.random(batch) < 0.5, random.random((batch, 2)))


def batch_of(
    scenes: Scenes, positions: Sequence[int] | NDArray[np.int64], multiple: int, device: str, how: Jitter | None = None
) -> Batch:
    """Some of the scenes as one batch, not augmented if ``how`` is None.

    Augmented images are scaled, mirrored and placed on a canvas of the size that they would have without; what lies beyond it
    is cut off. An object whose centre is cut off is left out, others are clipped.

    Args:
        positions: [b], indices into the rows. multiple: height and width are padded to a multiple of it, in pixels.
    """
    images = [scenes.images[scenes.rows[at]] for at in positions]
    sizes = np.array([image.shape[:2] for image in images], np.float64)
    inputs = _normalised(images, scenes, multiple, device)
    boxes, labels = _padded([scenes.boxes[at] for at in positions], [scenes.labels[at] for at in positions])
    if how is not None:
        side = np.array(inputs.shape[2:], np.float64)
        corners = how.places * (sizes * how.factors[:, None] - side)  # of the canvas in the scaled image; y, x
        inputs = _resampled(inputs, sizes[:, 1], how, corners)
        boxes, labels = _moved(boxes, labels, sizes[:, 1], how, corners, side)
        sizes = np.broadcast_to(side, sizes.shape)
    return Batch(
        inputs.contiguous(memory_format=torch.channels_last), [(h, w) for h, w in sizes.tolist()],
        on_device(boxes.astype(np.float32), device), on_device(labels, device),
    )  # fmt: skip


def _padded(
    boxes: list[NDArray[np.float32]], labels: list[NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Boxes [b, m, 4] and labels [b, m] of images with up to m objects, 0 behind the last object."""
    most = max(1, *map(len, labels))
    all_boxes, all_labels = np.zeros((len(boxes), most, 4)), np.zeros((len(boxes), most), np.int64)
    for i, (own, of) in enumerate(zip(boxes, labels, strict=True)):
        all_boxes[i, : len(of)], all_labels[i, : len(of)] = own, of
    return all_boxes, all_labels


def _moved(
    boxes: NDArray[np.float64], labels: NDArray[np.int64], widths: NDArray[np.float64], how: Jitter,
    corners: NDArray[np.float64], side: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:  # fmt: skip
    """Boxes [b, m, 4] where augmentation puts them, clipped to the canvas; labels are 0 where too little is left."""
    turned = np.stack(
        [widths[:, None] - boxes[..., 2], boxes[..., 1], widths[:, None] - boxes[..., 0], boxes[..., 3]], -1
    )
    boxes = np.where(how.mirrored[:, None, None], turned, boxes) * how.factors[:, None, None]
    boxes = boxes - corners[:, None, [1, 0, 1, 0]]
    centres, size = (boxes[..., :2] + boxes[..., 2:]) / 2, side[::-1]
    clipped = np.clip(boxes, 0, np.tile(size, 2))
    inside = ((centres >= 0) & (centres <= size)).all(-1) & (clipped[..., 2:] - clipped[..., :2] >= MIN_PX).all(-1)
    return clipped, np.where(inside, labels, 0)


def _upwards(side: float, multiple: int) -> int:
    return int(-(-side // multiple)) * multiple


def _normalised(images: Sequence[NDArray[np.uint8]], scenes: Scenes, multiple: int, device: str) -> Tensor:
    """Normalised images float32 [b, 3, h, w], 0 in the padding."""
    high = _upwards(max(image.shape[0] for image in images), multiple)
    wide = _upwards(max(image.shape[1] for image in images), multiple)
    mean = np.round(scenes.mean * 255).astype(np.uint8)
    canvas = np.broadcast_to(mean, (len(images), high, wide, 3)).copy()
    for i, image in enumerate(images):
        canvas[i, : image.shape[0], : image.shape[1]] = image
    pixels = on_device(canvas, device).permute(0, 3, 1, 2).float()
    shift = torch.tensor(scenes.mean * 255, device=device).view(1, 3, 1, 1)
    scale = torch.tensor(1 / (scenes.std * 255), device=device).view(1, 3, 1, 1)
    return (pixels - shift) * scale


def _resampled(inputs: Tensor, widths: NDArray[np.float64], how: Jitter, corners: NDArray[np.float64]) -> Tensor:
    """Each image scaled by its factor, mirrored within its own width, and cut or placed at its corner; bilinear.

    One gather serves the whole batch: pixel x of the result is at (x + 1/2 + corner) / factor in the image, or at that distance
    from its right edge. Outside an image are its padding, then 0.
    """
    device, (high, wide) = inputs.device, inputs.shape[2:]
    table = np.column_stack([how.factors, corners, widths, how.mirrored]).astype(np.float32)
    factor, down, across, own, mirrored = on_device(table, str(device)).T[:, :, None]
    y = (torch.arange(high, device=device) + 0.5 + down) / factor
    x = (torch.arange(wide, device=device) + 0.5 + across) / factor
    x = torch.where(mirrored > 0, own - x, x)
    grid = torch.stack([
        (2 * x / wide - 1)[:, None, :].expand(-1, high, -1),
        (2 * y / high - 1)[:, :, None].expand(-1, -1, wide),
    ], -1)  # fmt: skip
    return F.grid_sample(inputs, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
