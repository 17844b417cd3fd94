"""The loop that a competent user writes: ImageFolder, DataLoader, per-image transforms, fp32, the same network.

    python benchmarks/peers/standard_loop.py FOLDER WORKERS SECONDS

prints the images a second of whole training steps.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2

from transferlab.engine.backbones import build
from transferlab.engine.recipes import SMALL


def main(folder: str, n_workers: int, seconds: float) -> float:
    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomCrop(SMALL.image_px, padding=SMALL.augmentation.crop_px, padding_mode="reflect"),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    images = datasets.ImageFolder(folder, transform)
    loader = DataLoader(
        images, SMALL.batch, shuffle=True, drop_last=True, num_workers=n_workers, persistent_workers=n_workers > 0
    )
    backbone = build(SMALL.backbone, SMALL.image_px, 0).to(memory_format=torch.contiguous_format)
    network = nn.Sequential(backbone, nn.Linear(backbone.n_features, len(images.classes)))
    optimiser = torch.optim.SGD(network.parameters(), SMALL.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMALL.label_smoothing)
    begun, seen, step = time.perf_counter(), 0, 0
    while True:
        for inputs, labels in loader:
            loss = loss_of(network(inputs), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step, seen = step + 1, seen + len(labels)
            if step == 10:  # warm
                begun, seen = time.perf_counter(), 0
            if step > 10 and time.perf_counter() - begun > seconds:
                return seen / (time.perf_counter() - begun)


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
