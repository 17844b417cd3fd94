"""The study "how many images per class are enough?" as a competent user scripts it: torchvision and scikit-learn.

    python benchmarks/peers/plain_study.py JOB.json

ImageFolder and DataLoader, per-image transforms, fp32; the same network and recipe numbers as the laboratory,
which trains by SGD here; frozen features, StandardScaler, LogisticRegression with C chosen on validation over the same penalties.
JOB.json holds: source and targets (folders with train, val and test), counts, seeds, examples, workers, and a backbone if it is another. Prints JSON:
for each network its count (0: untrained), seed, seconds, CPU seconds, and for each target seconds, test accuracy and penalty.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from standard_loop import SGD
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import build
from transferlab.transfer.probe import PENALTIES

TO_INPUT = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)]
FITTED = [v2.Resize(SGD.image_px), v2.CenterCrop(SGD.image_px), v2.PILToTensor()]
CROP = v2.RandomCrop(SGD.image_px, padding=SGD.augmentation.crop_px, padding_mode="reflect")
AUGMENTED = v2.Compose([*FITTED, CROP, v2.RandomHorizontalFlip(), *TO_INPUT])
PLAIN = v2.Compose([*FITTED, *TO_INPUT])


def main(job: dict[str, Any]) -> list[dict[str, Any]]:
    warnings.simplefilter("ignore", ConvergenceWarning)
    done: list[dict[str, Any]] = []
    for seed in job["seeds"]:
        for count in (0, *job["counts"]):  # 0: the random-features control
            begun, cpu = time.perf_counter(), time.process_time()
            backbone = build(job.get("backbone", SGD.backbone), SGD.image_px, seed).to(
                memory_format=torch.contiguous_format
            )
            if count:
                train(backbone, few_per_class(job["source"], count, seed), job["examples"], job["workers"])
            network: dict[str, Any] = {"count": count, "seed": seed, "seconds": time.perf_counter() - begun}
            network["targets"] = {target: transfer(backbone, target, job["workers"]) for target in job["targets"]}
            network["cpu_seconds"] = time.process_time() - cpu  # without DataLoader workers
            done.append(network)
            print(f"plain: {count} per class, seed {seed}: {network['seconds']:.0f} s", file=sys.stderr)
    return done


def few_per_class(source: str, count: int, seed: int) -> Subset[Any]:
    """A random choice of ``count`` images of each class, all of smaller ones."""
    images = ImageFolder(str(Path(source, "train")), AUGMENTED)
    order = np.random.default_rng(seed).permutation(len(images))
    labels = np.array(images.targets)[order]
    chosen = [order[labels == label][:count] for label in range(len(images.classes))]
    return Subset(images, np.concatenate(chosen).tolist())


def train(backbone: Backbone, images: Subset[Any], n_examples: int, n_workers: int) -> None:
    """SGD with Nesterov momentum; the rate goes up to its peak and down to zero in straight lines."""
    n_steps = round(n_examples / SGD.batch)
    loader = DataLoader(images, SGD.batch, shuffle=True, num_workers=n_workers, persistent_workers=n_workers > 0)
    classes: list[str] = images.dataset.classes  # pyright: ignore[reportAttributeAccessIssue]
    network = nn.Sequential(backbone, nn.Linear(backbone.n_features, len(classes)))
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": SGD.weight_decay}, {"params": others}]
    optimiser = torch.optim.SGD(groups, SGD.lr, momentum=0.9, nesterov=True)
    up = SGD.warmup * n_steps
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 0.5) / up, (n_steps - step) / (n_steps - up))
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=SGD.label_smoothing)
    step = 0
    network.train()
    while step < n_steps:
        for inputs, labels in loader:
            if step == n_steps:
                break
            loss = loss_of(network(inputs), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            step += 1


def transfer(backbone: Backbone, target: str, n_workers: int) -> dict[str, float]:
    """Frozen features and a logistic regression: C by validation, then a fit on training and validation together."""
    begun = time.perf_counter()
    (train_x, train_y), (val_x, val_y), (test_x, test_y) = (
        features(backbone, ImageFolder(str(Path(target, split)), PLAIN), n_workers)
        for split in ("train", "val", "test")
    )
    scaler = StandardScaler().fit(train_x)
    train_x, val_x, test_x = (scaler.transform(x) for x in (train_x, val_x, test_x))
    model = LogisticRegression(max_iter=1000, warm_start=True)
    right: dict[float, float] = {}
    for penalty in sorted(PENALTIES, reverse=True):
        model.set_params(C=1 / (penalty * len(train_y))).fit(train_x, train_y)
        right[penalty] = float(model.score(val_x, val_y))
    best = max(right, key=lambda penalty: right[penalty])
    model = LogisticRegression(C=1 / (best * (len(train_y) + len(val_y))), max_iter=1000)
    model.fit(np.concatenate([train_x, val_x]), np.concatenate([train_y, val_y]))
    accuracy = float(model.score(test_x, test_y))
    return {"seconds": time.perf_counter() - begun, "accuracy": accuracy, "penalty": best}


@torch.inference_mode()
def features(backbone: Backbone, images: ImageFolder, n_workers: int) -> tuple[np.ndarray, np.ndarray]:
    backbone.eval()
    parts = [(backbone(inputs), labels) for inputs, labels in DataLoader(images, 256, num_workers=n_workers)]
    found, labels = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return found, labels


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
