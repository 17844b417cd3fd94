"""The loop that a competent user writes: ImageFolder, DataLoader, per-image transforms, fp32.

    python benchmarks/peers/standard_loop.py FOLDER BACKBONE WORKERS SECONDS

prints the images a second of whole training steps.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2

from transferlab.engine.backbones import build
from transferlab.engine.fit import learning_rate
from transferlab.specs import Recipe

# Both sides train by SGD: torch's Muon takes no convolutions, and whoever writes this loop takes SGD.
SGD = Recipe(name="small by SGD", optimiser="sgd", lr=0.1, warmup=0.2, stem="random")


class Loop:
    """A network of a recipe in training on a folder of images; ``steps`` yields after every step."""

    def __init__(self, folder: str, recipe: Recipe, n_workers: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        transform = v2.Compose(
            [
                v2.PILToTensor(),
                v2.RandomCrop(recipe.image_px, padding=recipe.augmentation.crop_px, padding_mode="reflect"),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.5] * 3, [0.25] * 3),
            ]
        )
        self.images = datasets.ImageFolder(folder, transform)
        self.loader = DataLoader(
            self.images, recipe.batch, shuffle=True, drop_last=True, num_workers=n_workers,
            persistent_workers=n_workers > 0,
        )  # fmt: skip
        backbone = build(recipe.backbone, recipe.image_px, seed).to(memory_format=torch.contiguous_format)
        self.network = nn.Sequential(backbone, nn.Linear(backbone.n_features, len(self.images.classes)))
        self.recipe = recipe

    def steps(self, n_steps: int) -> Iterator[int]:
        recipe, network = self.recipe, self.network.train()
        decay = recipe.weight_decay
        optimiser = torch.optim.SGD(network.parameters(), recipe.lr, momentum=0.9, nesterov=True, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate(recipe, min(step, n_steps - 1), n_steps) / recipe.lr
        )
        loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        step = 0
        while True:
            for inputs, labels in self.loader:
                loss = loss_of(network(inputs), labels)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                step += 1
                yield step
                if step == n_steps:
                    return


def rate(folder: str, recipe: Recipe, n_workers: int, seconds: float) -> float:
    """Images a second of whole training steps after a warm-up of ten."""
    begun = time.perf_counter()
    for step in Loop(folder, recipe, n_workers).steps(10**6):
        if step == 10:
            begun = time.perf_counter()
        elif step > 10 and time.perf_counter() - begun > seconds:
            return (step - 10) * recipe.batch / (time.perf_counter() - begun)
    raise RuntimeError("the loop ended early")


if __name__ == "__main__":
    print(rate(sys.argv[1], replace(SGD, backbone=sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
