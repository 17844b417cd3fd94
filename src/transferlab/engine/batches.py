"""Pixels to network inputs: the order of examples, augmentation of whole batches, and frozen features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from transferlab.engine.backbone import Backbone
from transferlab.engine.pixels import Streamed, on_device, resident
from transferlab.identity import stream
from transferlab.specs import Augmentation, Recipe


@dataclass(frozen=True)
class Place:
    """The device and the precision to compute with."""

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bf16")


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled rows of an image array.

    Args:
        images: uint8 [n, s, s, 3]; may be mapped from disk.
        rows: int32 [m], the rows that are used.
        labels: int32 [m] in 0…n_classes-1, or int8 [m, n_classes] of 1, 0 and -1 (not scored).
        mean, std: float32 [3], in 0…1, by which pixels are normalised.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int32]
    labels: NDArray[np.int32] | NDArray[np.int8]
    n_classes: int
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


class Images:
    """The pixels of some rows: from the copy of the pack on the CUDA device if it fits there, else from the mapped array."""

    def __init__(self, examples: Examples, place: Place, image_px: int) -> None:
        self.array, self.rows, self.device = examples.images, examples.rows, place.device
        self.resident = resident(examples.images) if place.device == "cuda" else None
        self._image_px = image_px
        self._shift = torch.tensor(examples.mean * 255, device=place.device).view(1, 3, 1, 1)
        self._scale = torch.tensor(1 / (examples.std * 255), device=place.device).view(1, 3, 1, 1)

    def fetch(self, positions: NDArray[np.int64]) -> Tensor:
        """The pixels at these positions among the rows, uint8 [b, s, s, 3] on the device."""
        rows = self.rows[positions]
        if self.resident is not None:
            return self.resident[on_device(rows.astype(np.int64), self.device)]
        return on_device(np.take(self.array, rows, axis=0), self.device)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Network inputs from uint8 [b, s, s, 3]: float [b, 3, image_px, image_px], channels last in memory."""
        inputs = (pixels.permute(0, 3, 1, 2).float() - self._shift) * self._scale
        if inputs.shape[-1] != self._image_px:
            inputs = F.interpolate(inputs, size=self._image_px, mode="bilinear", antialias=True, align_corners=False)
        return inputs.contiguous(memory_format=torch.channels_last)


class Order:
    """The order of examples: one random permutation per epoch, read in consecutive parts.

    It depends on the seed alone, so resuming costs nothing and changes nothing. Batches run across the ends of epochs: no
    example is dropped, and a set smaller than a batch trains like any other.
    """

    def __init__(self, n_examples: int, seed: int) -> None:
        self.n_examples, self.seed = n_examples, seed
        self._latest: dict[int, NDArray[np.int64]] = {}  # the latest two epochs, since every step asks again

    def positions(self, first: int, last: int) -> NDArray[np.int64]:
        """Positions of the examples that training sees as number ``first`` to ``last`` - 1, int64 [last - first]."""
        epochs, places = np.divmod(np.arange(first, last), self.n_examples)
        found = np.empty(last - first, np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            found[epochs == epoch] = self._epoch(epoch)[places[epochs == epoch]]
        return found

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._latest:
            while len(self._latest) > 1:
                del self._latest[next(iter(self._latest))]
            self._latest[epoch] = stream("order", self.seed, epoch).permutation(self.n_examples)
        return self._latest[epoch]


DRAWN_TOGETHER = 32  # steps; one named stream per step took 90 µs, as long as a small network's whole step on a GPU


class Chance:
    """Random numbers for augmentation: functions of the seed and the step alone, drawn for 32 steps at once."""

    def __init__(self, rule: Augmentation, batch: int, image_px: int, seed: int) -> None:
        self.rule, self.batch, self.image_px, self.seed = rule, batch, image_px, seed
        self._drawn: tuple[int, dict[str, NDArray[Any]]] = (-1, {})

    def steps(self, first: int, last: int) -> dict[str, NDArray[Any]]:
        """Numbers for the examples of steps ``first`` to ``last`` - 1, all of which lie in the same block of 32 steps.

        Returns:
            those that the rule needs: ``window`` int64 [2, m] (rows of the table ``windows``), ``colour`` float32 [3, m],
            ``hole`` int64 [2, m] (a corner) and ``zoom`` float32 [4, m] in 0…1 (see ``zoomed``); m = (last - first) · batch.
        """
        block, start = divmod(first, DRAWN_TOGETHER)
        if self._drawn[0] != block:
            self._drawn = (block, self._draw(stream("augment", self.seed, block)))
        part = slice(start * self.batch, (start + last - first) * self.batch)
        return {name: numbers[:, part] for name, numbers in self._drawn[1].items()}

    def _draw(self, random: np.random.Generator) -> dict[str, NDArray[Any]]:
        rule, n, drawn = self.rule, DRAWN_TOGETHER * self.batch, dict[str, NDArray[Any]]()
        if rule.crop_px or rule.flip:
            shift = random.integers(0, 2 * rule.crop_px + 1, size=(2, n))
            mirrored = (random.random(n) < 0.5) & rule.flip
            drawn["window"] = shift + (2 * rule.crop_px + 1) * np.stack([np.zeros(n, np.int64), 1 + mirrored])
        if rule.colour:
            drawn["colour"] = random.uniform(-rule.colour, rule.colour, (3, n)).astype(np.float32)
        if rule.cutout_px:
            drawn["hole"] = random.integers(-rule.cutout_px // 2, self.image_px - rule.cutout_px // 2, (2, n))
        if rule.scale < 1:
            drawn["zoom"] = random.random((4, n), np.float32)
        return drawn


def windows(rule: Augmentation, side: int) -> Tensor:
    """The pixels that each crop reads, int64 [3 · (2 · crop_px + 1), side].

    The table has three parts, each for shifts from -crop_px to crop_px: offsets of rows, of columns, of mirrored columns.
    """
    span, last = torch.arange(side), side - 1
    shifts = torch.arange(-rule.crop_px, rule.crop_px + 1)[:, None]
    # Row i is reflected to |i|, and likewise at the far border: padding without a copy.
    ahead, mirrored = (last - (last - (at + shifts).abs()).abs() for at in (span, last - span))
    return torch.cat([ahead * side, ahead, mirrored])


def cropped(images: Tensor, rows: Tensor, window: Tensor, table: Tensor) -> Tensor:
    """Random crops of reflection-padded, possibly flipped images; one gather for all images, three kernel launches.

    Args:
        images: uint8 [n, s, s, 3]. rows: int64 [m], the images to crop.
        window: int64 [2, m], rows of ``table``, which ``windows`` makes.

    Returns:
        uint8 [m, s, s, 3].
    """
    side, (y, x) = images.shape[1], table[window]
    flat = ((rows * side * side)[:, None] + y)[:, :, None] + x[:, None, :]
    return images.view(-1, 3).index_select(0, flat.view(-1)).view(len(rows), side, side, 3)


def zoomed(inputs: Tensor, least: float, chance: Tensor) -> Tensor:
    """A random part of each image, enlarged to the size of the whole (Szegedy et al. 2015).

    Args:
        inputs: float [b, 3, s, s]. least: smallest share of the area that a part may have, 0…1.
        chance: float32 [4, b] in 0…1: area, ratio of the sides (3/4 to 4/3, log-uniform), horizontal and vertical place.
    """
    area, ratio = least + (1 - least) * chance[0], (4 / 3) ** (2 * chance[1] - 1)
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()]).clamp(max=1)  # shares of width and height
    middle = (2 * chance[2:] - 1) * (1 - sides)  # in the image's coordinates, -1…1
    side = inputs.shape[-1]
    at = (2 * torch.arange(side, device=inputs.device) + 1) / side - 1
    across, down = middle[:, :, None] + sides[:, :, None] * at
    grid = torch.stack([across[:, None, :].expand(-1, side, -1), down[:, :, None].expand(-1, -1, side)], -1)
    return F.grid_sample(inputs, grid.to(inputs.dtype), padding_mode="border", align_corners=False)


def recoloured(inputs: Tensor, rule: Augmentation, chance: Mapping[str, Tensor]) -> Tensor:
    """Normalised inputs [b, 3, s, s] with jitter of brightness, contrast and saturation, and with cutout."""
    n, side = inputs.shape[0], inputs.shape[-1]
    if rule.colour:
        light, contrast, saturation = chance["colour"].view(3, n, 1, 1, 1)
        middle, grey = inputs.mean((1, 2, 3), keepdim=True), inputs.mean(1, keepdim=True)
        inputs = inputs + light + contrast * (inputs - middle) + saturation * (inputs - grey)
    if rule.cutout_px:
        from_centre = torch.arange(side, device=inputs.device) + 0.5 - chance["hole"][:, :, None] - rule.cutout_px / 2
        inside = from_centre.abs() < rule.cutout_px / 2
        inputs = inputs.masked_fill(inside[0][:, None, :, None] & inside[1][:, None, None, :], 0.0)
    return inputs.contiguous(memory_format=torch.channels_last)


class Feed:
    """Augmented, normalised inputs of consecutive steps and their labels, on the device.

    Args:
        parts: the ranges of steps that will be asked for, in order. If the pack does not fit on the device, a thread
            gathers their pixels ahead of time.
    """

    def __init__(
        self, examples: Examples, recipe: Recipe, place: Place, seed: int, parts: Iterator[tuple[int, int]]
    ) -> None:
        self.recipe, self.place = recipe, place
        self.images = Images(examples, place, recipe.image_px)
        dtype = np.int64 if examples.labels.ndim == 1 else np.int8
        self.labels = torch.from_numpy(examples.labels.astype(dtype)).to(place.device)
        self.order = Order(len(examples.rows), seed)
        self.chance = Chance(recipe.augmentation, recipe.batch, recipe.image_px, seed)
        self.table = windows(recipe.augmentation, examples.images.shape[1]).to(place.device)
        self.streamed: Streamed | None = None
        if place.device == "cuda" and self.images.resident is None:
            ahead, rows, batch = Order(len(examples.rows), seed), examples.rows, recipe.batch
            wanted = (rows[ahead.positions(first * batch, last * batch)] for first, last in parts)
            self.streamed = Streamed(examples.images, wanted, place.device)

    def steps(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Inputs float [m, 3, px, px], channels last, and labels [m, …] of steps ``first`` to ``last`` - 1."""
        device, rule = self.place.device, self.recipe.augmentation
        positions = self.order.positions(first * self.recipe.batch, last * self.recipe.batch)
        chance = {name: on_device(part, device) for name, part in self.chance.steps(first, last).items()}
        pixels = self._augmented(positions, chance)
        inputs = self.images.normalised(pixels)
        if "zoom" in chance:
            inputs = zoomed(inputs, rule.scale, chance["zoom"])
        return recoloured(inputs, rule, chance), self.labels[on_device(positions, device)]

    def close(self) -> None:
        if self.streamed is not None:
            self.streamed.close()

    def _augmented(self, positions: NDArray[np.int64], chance: Mapping[str, Tensor]) -> Tensor:
        held = self.images.resident
        if held is not None and "window" in chance:
            rows = on_device(self.images.rows[positions].astype(np.int64), self.place.device)
            return cropped(held, rows, chance["window"], self.table)
        pixels = self.images.fetch(positions) if self.streamed is None else self.streamed.next()
        if "window" not in chance:
            return pixels
        rows = torch.arange(len(positions), device=self.place.device)
        return cropped(pixels, rows, chance["window"], self.table)


def plain_batches(images: Images, n_examples: int, batch: int) -> Iterator[Tensor]:
    """Normalised inputs of all examples in order, without augmentation."""
    for start in range(0, n_examples, batch):
        yield images.normalised(images.fetch(np.arange(start, min(start + batch, n_examples))))


def features(
    backbone: Backbone,
    examples: Examples,
    place: Place,
    image_px: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Frozen features of examples, float32 [m, n_features], on the CPU; leaves the backbone in evaluation mode.

    Args:
        progress: called after every batch with the number of images done.
    """
    backbone.eval()
    if not len(examples.rows):
        return torch.zeros(0, backbone.n_features)
    images, parts, done = Images(examples, place, image_px), list[Tensor](), 0
    with torch.inference_mode(), place.autocast():
        for inputs in plain_batches(images, len(examples.rows), 512):
            parts.append(backbone(inputs).float())
            done += len(inputs)
            progress(done)
    return torch.cat(parts).cpu().clone()
