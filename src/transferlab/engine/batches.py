"""Index streams, augmentation over whole batches, and features: pixels in, network inputs out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from transferlab.engine.backbones import Backbone
from transferlab.identity import stream
from transferlab.specs import Augmentation


@dataclass(frozen=True)
class Place:
    """Where and in what precision to compute."""

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bf16")


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled rows of an image array.

    Args:
        images: uint8 [n, s, s, 3], may be mapped from disk.
        rows: int32 [m], which of them.
        labels: int32 [m] in 0…n_classes-1, or int8 [m, n_classes] of 1, 0 and -1 (not scored).
        mean, std: float32 [3], in 0…1, that pixels are normalised with.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int32]
    labels: NDArray[np.int32] | NDArray[np.int8]
    n_classes: int
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


class Images:
    """The pixels of some rows, held on the device: one upload on CUDA, the mapped array on the CPU."""

    def __init__(self, examples: Examples, place: Place, image_px: int) -> None:
        self._array = examples.images
        self._rows = examples.rows
        self._image_px = image_px
        self._resident = None
        if place.device == "cuda":
            self._resident = torch.from_numpy(examples.images[examples.rows]).to(place.device)
        self._shift = torch.tensor(examples.mean * 255, device=place.device).view(1, 3, 1, 1)
        self._scale = torch.tensor(1 / (examples.std * 255), device=place.device).view(1, 3, 1, 1)

    def fetch(self, positions: NDArray[np.int64]) -> Tensor:
        """uint8 [b, s, s, 3] at these positions among the rows, on the device."""
        if self._resident is not None:
            return self._resident[torch.from_numpy(positions).to(self._resident.device)]
        return torch.from_numpy(np.take(self._array, self._rows[positions], axis=0))

    def normalised(self, pixels: Tensor) -> Tensor:
        """uint8 [b, s, s, 3] to float [b, 3, image_px, image_px], channels last in memory."""
        inputs = (pixels.permute(0, 3, 1, 2).float() - self._shift) * self._scale
        if inputs.shape[-1] != self._image_px:
            inputs = F.interpolate(inputs, size=self._image_px, mode="bilinear", antialias=True, align_corners=False)
        return inputs.contiguous(memory_format=torch.channels_last)


def positions_at(step: int, batch: int, n_examples: int, seed: int) -> NDArray[np.int64]:
    """Which examples step ``step`` takes, int64 [batch]: consecutive parts of one random permutation an epoch.

    They depend on these arguments alone, so resuming costs nothing and changes nothing. Batches run across the
    borders of epochs: no example is dropped, and a set smaller than a batch trains like any other.
    """
    wanted = np.arange(step * batch, (step + 1) * batch)
    epochs, places = np.divmod(wanted, n_examples)
    positions = np.empty(batch, np.int64)
    for epoch in np.unique(epochs):
        order = _order(int(epoch), n_examples, seed)
        positions[epochs == epoch] = order[places[epochs == epoch]]
    return positions


_last_order: dict[tuple[int, int, int], NDArray[np.int64]] = {}


def _order(epoch: int, n_examples: int, seed: int) -> NDArray[np.int64]:
    """The permutation of one epoch; the two latest are kept, since every step of an epoch asks for the same one."""
    key = (epoch, n_examples, seed)
    if key not in _last_order:
        while len(_last_order) > 1:
            del _last_order[next(iter(_last_order))]
        _last_order[key] = stream("order", seed, epoch).permutation(n_examples)
    return _last_order[key]


def augmented(pixels: Tensor, rule: Augmentation, random: np.random.Generator) -> Tensor:
    """Crop after reflection padding and flip, uint8 [b, s, s, 3] to the same, in one gather for the whole batch."""
    if not (rule.crop_px or rule.flip):
        return pixels
    n, side = pixels.shape[0], pixels.shape[1]
    shift = random.integers(-rule.crop_px, rule.crop_px + 1, size=(2, n, 1))
    flip = random.random((n, 1)) < 0.5
    span = np.arange(side)[None, :]
    columns = np.where(flip & rule.flip, side - 1 - span, span)
    # The reflected index of row i is |i|, folded at the far border: padding without copying.
    y, x = (side - 1 - np.abs(side - 1 - np.abs(at)) for at in (span + shift[0], columns + shift[1]))
    flat = torch.from_numpy(((np.arange(n)[:, None, None] * side + y[:, :, None]) * side + x[:, None, :]).reshape(-1))
    chosen = pixels.reshape(-1, 3).index_select(0, flat.to(pixels.device))
    return chosen.view(n, side, side, 3)


def recoloured(inputs: Tensor, rule: Augmentation, random: np.random.Generator) -> Tensor:
    """Brightness, contrast and saturation jitter and cutout on normalised inputs [b, 3, s, s]."""
    n, side = inputs.shape[0], inputs.shape[-1]
    if rule.colour:
        factors = torch.from_numpy(random.uniform(-rule.colour, rule.colour, (3, n, 1, 1, 1)).astype(np.float32))
        light, contrast, saturation = factors.to(inputs.device)
        middle, grey = inputs.mean((1, 2, 3), keepdim=True), inputs.mean(1, keepdim=True)
        inputs = inputs + light + contrast * (inputs - middle) + saturation * (inputs - grey)
    if rule.cutout_px:
        corner = random.integers(-rule.cutout_px // 2, side - rule.cutout_px // 2, (2, n, 1))
        inside = np.abs(np.arange(side) + 0.5 - corner - rule.cutout_px / 2) < rule.cutout_px / 2
        hole = torch.from_numpy(inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(inputs.device)
        inputs = inputs.masked_fill(hole, 0.0)
    return inputs.contiguous(memory_format=torch.channels_last)


def plain_batches(images: Images, n_examples: int, batch: int) -> Iterator[Tensor]:
    """All examples in order, without augmentation, as normalised inputs."""
    for start in range(0, n_examples, batch):
        yield images.normalised(images.fetch(np.arange(start, min(start + batch, n_examples))))


def features(backbone: Backbone, examples: Examples, place: Place, image_px: int) -> Tensor:
    """Frozen features of examples, float32 [m, n_features], on the CPU; leaves the backbone in evaluation mode."""
    backbone.eval()
    if not len(examples.rows):
        return torch.zeros(0, backbone.n_features)
    images = Images(examples, place, image_px)
    with torch.inference_mode(), place.autocast():
        parts = [backbone(inputs).float().cpu() for inputs in plain_batches(images, len(examples.rows), 512)]
    return torch.cat(parts).clone()
