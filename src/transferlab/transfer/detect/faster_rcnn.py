"""Faster R-CNN around a transferred backbone: torchvision's parts, with anchors and sizes for small images.

A network with stages gets a feature pyramid over them (Lin et al. 2017). AlexNet gets its last map and its own connected
layers, as in Fast R-CNN (Girshick 2015). ``detect.scenes`` resizes and normalises images in batches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from transferlab.transfer.detect.maps import Maps
from transferlab.transfer.detect.model import MIN_SCORE, MOST, OVERLAP, Batch, neck_of
from transferlab.transfer.detect.regions import Regions

HIDDEN = 256  # width of the two new layers that classify a region, if the backbone has none
CELLS = 7  # a region is pooled to 7 × 7 cells
RATIOS = (0.5, 1.0, 2.0)  # height over width of anchors
PROPOSALS = 100  # per image, for the second stage
REGIONS = 64  # per training image, for the second stage; torchvision's default is 512, for images of 800 px
ANCHORS = 128  # per training image, for the first stage


class FasterRcnn(nn.Module):
    """A backbone's maps, a pyramid over them, and the two stages of Faster R-CNN.

    New weights are drawn from torch's global generator: build it inside ``training.drawing``.

    Args:
        maps: the transferred layers. n_classes: k.
    """

    def __init__(self, maps: Maps, n_classes: int) -> None:
        from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
        from torchvision.models.detection.roi_heads import RoIHeads
        from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

        super().__init__()
        self.maps = maps
        self.neck, n_channels, strides = neck_of(maps)
        self.stride = maps.strides[-1]
        anchors = Anchors(strides)
        self.rpn = RegionProposalNetwork(
            cast(Any, anchors), _Exact(RPNHead(n_channels, anchors.n_per_cell)), 0.7, 0.3, ANCHORS, 0.5,
            dict.fromkeys(("training", "testing"), 2 * PROPOSALS), dict.fromkeys(("training", "testing"), PROPOSALS), 0.7,
        )  # fmt: skip
        if maps.connected is None:
            n_cells, head, n_hidden = CELLS, TwoMLPHead(n_channels * CELLS**2, HIDDEN), HIDDEN
        else:
            n_cells, head = maps.n_cells, nn.Sequential(nn.Flatten(), maps.connected)
            n_hidden = [layer for layer in maps.connected.modules() if isinstance(layer, nn.Linear)][-1].out_features
        self.heads = RoIHeads(
            cast(Any, Regions(maps.strides, n_cells)), head, _Exact(FastRCNNPredictor(n_hidden, n_classes + 1)),
            0.5, 0.5, REGIONS, 0.25, None, MIN_SCORE, OVERLAP, MOST,
        )  # fmt: skip

    def losses(self, batch: Batch) -> Tensor:
        """The sum of both stages' losses, float32 []; torchvision samples with torch's global generator."""
        proposals, first, maps = self._proposals(batch)
        _, second = self.heads(maps, proposals, batch.sizes, _annotated(batch))
        return torch.stack([loss.float() for loss in (*first.values(), *second.values())]).sum()

    def detections(self, batch: Batch) -> list[Mapping[str, Tensor]]:
        """Per image: ``boxes`` float32 [d, 4], ``labels`` int64 [d] of 1…k and ``scores`` float32 [d], best first."""
        proposals, _, maps = self._proposals(batch)
        found, _ = self.heads(maps, proposals, batch.sizes)
        return found

    def _proposals(self, batch: Batch) -> tuple[list[Tensor], dict[str, Tensor], OrderedDict[str, Tensor]]:
        from torchvision.models.detection.image_list import ImageList

        maps = OrderedDict((str(i), found) for i, found in enumerate(self.maps(batch.images)))
        maps = cast("OrderedDict[str, Tensor]", self.neck(maps))
        targets = _annotated(batch) if self.training else None
        images = ImageList(batch.images, cast(Any, batch.sizes))
        proposals, losses = self.rpn(images, maps, targets)
        return proposals, losses, maps


def _annotated(batch: Batch) -> list[dict[str, Tensor]]:
    """Boxes and labels image by image, as torchvision takes them."""
    there = batch.labels > 0
    return [{"boxes": boxes[own], "labels": labels[own]}
            for boxes, labels, own in zip(batch.boxes, batch.labels, there, strict=True)]  # fmt: skip


class _Exact(nn.Module):
    """A head whose outputs are fp32 even if it computes in bf16, which cannot distinguish pixels 200 and 201."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, inputs: Any) -> tuple[Any, Any]:
        first, second = self.head(inputs)
        if isinstance(first, Tensor):
            return first.float(), second.float()
        return [part.float() for part in first], [part.float() for part in second]


class Anchors(nn.Module):
    """Boxes of three shapes around the centre of every cell of every map, in place of torchvision's anchors.

    Those are at the corners of cells, with a stride guessed from the padded image. Sizes are for small images: 3 and 4.2
    strides on each map of a pyramid (12 to 136 px over strides of 4 to 32); on a single map 2, 4, 8, … strides up to 256 px.
    """

    def __init__(self, strides: Sequence[int]) -> None:
        super().__init__()
        self.strides = tuple(strides)
        if len(strides) > 1:
            self.sizes = tuple((3.0 * stride, 3 * 2**0.5 * stride) for stride in strides)
        else:
            largest = max(256, 2 * strides[0])
            self.sizes = (tuple(float(size) for i in range(1, 9) if (size := strides[0] * 2**i) <= largest),)
        self.n_per_cell = len(self.sizes[0]) * len(RATIOS)

    def forward(self, images: Any, maps: Sequence[Tensor]) -> list[Tensor]:
        """The anchors of all maps for each image, float32 [m, 4]: cell by cell in rows, then the anchors of a cell."""
        found = [
            _anchors(tuple(at.shape[-2:]), stride, sizes, at.device)
            for at, stride, sizes in zip(maps, self.strides, self.sizes, strict=True)
        ]
        return [torch.cat(found)] * len(images.image_sizes)


@lru_cache(256)  # sizes of padded batches
def _anchors(shape: tuple[int, int], stride: int, sizes: tuple[float, ...], device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # they outlive the call
        scale, ratio = torch.tensor(sizes)[:, None], torch.tensor(RATIOS).sqrt()
        half = torch.stack([(scale / ratio).flatten(), (scale * ratio).flatten()], 1) / 2  # width and height
        y, x = torch.meshgrid(*[(torch.arange(side) + 0.5) * stride for side in shape], indexing="ij")
        centre = torch.stack([x.flatten(), y.flatten()], 1)[:, None]
        return torch.cat([centre - half, centre + half], 2).view(-1, 4).to(device)
