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


@dataclass(frozen=True)
class Jitter:
    """The augmentation of a step's images, a function of seed and step only.

    Args:
        factors: float64 [b], by which images are scaled. mirrored: bool [b].
    """

    factors: NDArray[np.float64]
    mirrored: NDArray[np.bool_]


def jitter(scale: float, batch: int, seed: int, step: int) -> Jitter:
    """Half of the images mirrored, each scaled by a factor from ``scale`` to 1 / ``scale`` with uniform logarithm."""
    random = stream("shake", seed, step)
    return Jitter(scale ** random.uniform(-1, 1, batch), random.random(batch) < 0.5)


def batch_of(
    scenes: Scenes, positions: Sequence[int] | NDArray[np.int64], multiple: int, device: str, how: Jitter | None = None
) -> Batch:
    """Some of the scenes as one batch, not augmented if ``how`` is None.

    Args:
        positions: [b], indices into the rows. multiple: height and width are padded to a multiple of it, in pixels.
    """
    images = [scenes.images[scenes.rows[at]] for at in positions]
    heights, widths = np.array([image.shape[0] for image in images]), np.array([image.shape[1] for image in images])
    inputs = _normalised(images, scenes, multiple, device)
    factors = np.ones(len(images)) if how is None else how.factors
    if how is not None:
        side = (_upwards((heights * factors).max(), multiple), _upwards((widths * factors).max(), multiple))
        inputs = _resampled(inputs, widths, how, side)
    boxes: list[Tensor] = []
    for i, at in enumerate(positions):
        own = scenes.boxes[at]
        if how is not None and how.mirrored[i]:
            own = np.stack([widths[i] - own[:, 2], own[:, 1], widths[i] - own[:, 0], own[:, 3]], 1)
        boxes.append(on_device((own * factors[i]).astype(np.float32), device))
    labels = [on_device(scenes.labels[at], device) for at in positions]
    sizes = [(float(h * f), float(w * f)) for h, w, f in zip(heights, widths, factors, strict=True)]
    return Batch(inputs.contiguous(memory_format=torch.channels_last), sizes, boxes, labels)


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


def _resampled(inputs: Tensor, widths: NDArray[np.int64], how: Jitter, side: tuple[int, int]) -> Tensor:
    """Each image scaled by its factor from its upper left corner, and mirrored within its own width; bilinear.

    One gather serves the whole batch: pixel x of the result is at (x + 1/2) / factor in the image, or at that distance from
    its right edge. Outside an image are its padding, then 0.
    """
    device, (high, wide) = inputs.device, side
    factors = torch.from_numpy(how.factors).float().to(device)[:, None]
    y = (torch.arange(high, device=device) + 0.5) / factors
    x = (torch.arange(wide, device=device) + 0.5) / factors
    own = torch.from_numpy(widths).float().to(device)[:, None]
    x = torch.where(torch.from_numpy(how.mirrored).to(device)[:, None], own - x, x)
    grid = torch.stack([
        (2 * x / inputs.shape[3] - 1)[:, None, :].expand(-1, high, -1),
        (2 * y / inputs.shape[2] - 1)[:, :, None].expand(-1, -1, wide),
    ], -1)  # fmt: skip
    return F.grid_sample(inputs, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
