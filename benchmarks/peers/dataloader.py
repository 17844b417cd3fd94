"""DataLoader loops on a GPU with their best settings, and FFCV's, over images that lie decoded in memory.

Per-image transforms in worker processes, persistent and pinned; bf16, channels last, fused optimiser, no wait for the
device within a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Place
from transferlab.specs import Recipe


class InMemory(Dataset[Any]):
    """uint8 images and labels, with the transforms of the recipe for each image."""

    def __init__(self, examples: Examples, recipe: Recipe) -> None:
        self.images = torch.from_numpy(examples.images).permute(0, 3, 1, 2)
        self.labels = examples.labels.tolist()
        rule = recipe.augmentation
        self.transform = v2.Compose(
            [
                v2.RandomCrop(recipe.image_px, padding=rule.crop_px, padding_mode="reflect"),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.5] * 3, [0.25] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[at]), self.labels[at]


def dataloader_rate(examples: Examples, recipe: Recipe, place: Place, n_workers: int, seconds: float) -> float:
    """Images a second of whole steps, after a warm-up of ten."""
    pinned = place.device == "cuda"
    loader = DataLoader(
        InMemory(examples, recipe), recipe.batch, shuffle=True, drop_last=True, num_workers=n_workers,
        persistent_workers=n_workers > 0, pin_memory=pinned, prefetch_factor=4 if n_workers else None,
    )  # fmt: skip
    return _rate(loader, examples.n_classes, recipe, place, seconds)


def ffcv_rate(examples: Examples, recipe: Recipe, place: Place, folder: Path, seconds: float) -> float:
    """Images a second of FFCV's loader over raw images, where it is installed.

    Raises:
        ImportError: it is not.
    """
    from ffcv.fields import IntField, RGBImageField
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import SimpleRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import (
        Convert,
        RandomHorizontalFlip,
        RandomTranslate,
        Squeeze,
        ToDevice,
        ToTensor,
        ToTorchImage,
    )
    from ffcv.writer import DatasetWriter

    pairs = list(zip(examples.images, examples.labels.tolist(), strict=True))
    fields = {"image": RGBImageField(write_mode="raw"), "label": IntField()}
    DatasetWriter(str(folder / "images.beton"), fields, num_workers=8).from_indexed_dataset(pairs)
    device = torch.device(place.device)
    moved = [SimpleRGBImageDecoder(), RandomHorizontalFlip(), RandomTranslate(padding=recipe.augmentation.crop_px)]
    moved += [ToTensor(), ToDevice(device, non_blocking=True), ToTorchImage(), Convert(torch.float32)]
    labels = [IntDecoder(), ToTensor(), Squeeze(), ToDevice(device, non_blocking=True)]
    loader = Loader(
        str(folder / "images.beton"), batch_size=recipe.batch, num_workers=8, order=OrderOption.RANDOM,
        os_cache=True, drop_last=True, pipelines={"image": moved, "label": labels},
    )  # fmt: skip
    return _rate(loader, examples.n_classes, recipe, place, seconds, lambda images: (images - 127.5) / 63.75)


def _rate(
    loader: Iterable[Any], n_classes: int, recipe: Recipe, place: Place, seconds: float,
    prepared: Callable[[torch.Tensor], torch.Tensor] = lambda images: images,
) -> float:  # fmt: skip
    backbone = build(recipe.backbone, recipe.image_px, 0)
    network = nn.Sequential(backbone, nn.Linear(backbone.n_features, n_classes)).to(place.device)
    optimiser = torch.optim.SGD(network.parameters(), recipe.lr, momentum=0.9, nesterov=True, fused=True)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    begun, seen, step = time.perf_counter(), 0, 0
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        while True:
            for images, labels in loader:
                inputs = images.to(place.device, non_blocking=True, memory_format=torch.channels_last)
                with place.autocast():
                    loss = loss_of(network(prepared(inputs)), labels.to(place.device, non_blocking=True))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                step, seen = step + 1, seen + len(labels)
                if step < 10 or (step > 10 and time.perf_counter() - begun < seconds):
                    continue
                if place.device == "cuda":
                    torch.cuda.synchronize()
                if step > 10:
                    return seen / (time.perf_counter() - begun)
                begun, seen = time.perf_counter(), 0  # warm
