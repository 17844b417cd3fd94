"""torchvision's reference loop for detection (its ``references/detection``): lists of images, SGD, fp32.

    python benchmarks/peers/detection_loop.py FOLDER BACKBONE WORKERS SECONDS FROZEN

prints the images a second of whole training steps. FOLDER holds PNG files and ``boxes.npz``, as ``benchmarks/detection.py``
writes them. The model is the same as the protocol's Faster R-CNN: backbone, pyramid, heads, and numbers of proposals and regions.
What differs is the loop: ``GeneralizedRCNNTransform`` image by image, a ``DataLoader`` that decodes, no bf16, no channels
last, torchvision's own anchors and pooling.
"""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.transforms import v2

from transferlab.engine.backbones import build
from transferlab.transfer.detect.faster_rcnn import ANCHORS, CELLS, HIDDEN, PROPOSALS, RATIOS, REGIONS
from transferlab.transfer.detect.maps import maps_of
from transferlab.transfer.detect.model import neck_of

BATCH = 4
BACKBONE_PX = 32


class Annotated(Dataset[Any]):
    """Images with boxes and labels, read and decoded one by one, mirrored at random, as the reference presets do."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.png"))
        held = np.load(folder / "boxes.npz", allow_pickle=False)
        self.first, self.boxes, self.labels = held["first"], held["boxes"], held["labels"]
        self.n_classes = int(held["n_classes"])
        self.transform = v2.Compose(
            [v2.PILToTensor(), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        image = Image.open(self.files[index]).convert("RGB")
        part = slice(int(self.first[index]), int(self.first[index + 1]))
        boxes = tv_tensors.BoundingBoxes(
            torch.from_numpy(self.boxes[part]), format="XYXY", canvas_size=(image.height, image.width)
        )
        return self.transform(image, {"boxes": boxes, "labels": torch.from_numpy(self.labels[part]) + 1})


class Pyramid(nn.Module):
    """The protocol's maps and pyramid, as torchvision's model wants a backbone."""

    def __init__(self, backbone: str, frozen: int) -> None:
        super().__init__()
        self.maps = maps_of(build(backbone, BACKBONE_PX, 0), BACKBONE_PX, backbone)
        self.neck, self.out_channels, self.strides = neck_of(self.maps)
        for part in list(self.maps.parts)[:frozen]:
            part.requires_grad_(False)
        self.to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        return self.neck(OrderedDict((str(i), found) for i, found in enumerate(self.maps(images))))


def model_of(backbone: str, n_classes: int, image_px: int, frozen: int) -> FasterRCNN:
    """The same model: as many anchors, proposals and regions."""
    pyramid = Pyramid(backbone, frozen)
    sizes = tuple((3 * stride, round(4.2 * stride)) for stride in pyramid.strides)
    levels = [str(i) for i in range(len(pyramid.maps.strides))]
    return FasterRCNN(
        pyramid, min_size=image_px, max_size=image_px, image_mean=[0.5] * 3, image_std=[0.25] * 3,
        rpn_anchor_generator=AnchorGenerator(sizes, (RATIOS,) * len(sizes)),
        rpn_pre_nms_top_n_train=2 * PROPOSALS, rpn_post_nms_top_n_train=PROPOSALS, rpn_batch_size_per_image=ANCHORS,
        box_roi_pool=MultiScaleRoIAlign(levels, CELLS, 2), box_head=TwoMLPHead(pyramid.out_channels * CELLS**2, HIDDEN),
        box_predictor=FastRCNNPredictor(HIDDEN, n_classes + 1), box_batch_size_per_image=REGIONS,
    )  # fmt: skip


def steps(folder: Path, backbone: str, n_workers: int, frozen: int) -> Iterator[int]:
    """The body of the reference's ``train_one_epoch``, endlessly; yields after every step."""
    torch.manual_seed(0)
    scenes = Annotated(folder)
    loader = DataLoader(
        scenes, BATCH, shuffle=True, drop_last=True, num_workers=n_workers, persistent_workers=n_workers > 0,
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
    )  # fmt: skip
    image_px = max(Image.open(scenes.files[0]).size)
    model = model_of(backbone, scenes.n_classes, image_px, frozen).train()
    optimiser = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.02 * BATCH / 16, momentum=0.9, weight_decay=1e-4
    )
    step = 0
    while True:
        for images, targets in loader:
            loss = sum(model(list(images), [dict(target) for target in targets]).values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            yield step


def rate(folder: Path, backbone: str, n_workers: int, seconds: float, frozen: int) -> float:
    """Images a second of whole training steps after a warm-up of five."""
    begun = time.perf_counter()
    for step in steps(folder, backbone, n_workers, frozen):
        if step == 5:
            begun = time.perf_counter()
        elif step > 5 and time.perf_counter() - begun > seconds:
            return (step - 5) * BATCH / (time.perf_counter() - begun)
    raise RuntimeError("the loop ended early")


if __name__ == "__main__":
    print(rate(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
