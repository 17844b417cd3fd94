"""A one-stage detector without anchors around a transferred backbone, computed for a whole batch at once.

Every cell of every map predicts class scores and its distances to the four sides of an object (FCOS, Tian et al. 2019). Which
cells learn an object follows from the detector's own predictions (``detect.assign``: task alignment, Feng et al. 2021), and
the score that a cell learns is how well its box fits (quality focal loss, Li et al. 2020), so no centre-ness is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.transfer.detect.assign import assign
from transferlab.transfer.detect.maps import Maps
from transferlab.transfer.detect.model import MIN_SCORE, MOST, OVERLAP, Batch, neck_of
from transferlab.transfer.detect.overlaps import overlap

CHANNELS = 64  # of the head's layers
LAYERS = 2  # 3 × 3 convolutions before the predictions, shared by all maps
FIRST_SCORE = 0.01  # of every class and cell before training (Lin et al. 2017)
REACH = 2.0  # strides from a cell to each side of its box before training
WEIGHT = 2.0  # of the loss of boxes, that of scores being 1
CANDIDATES = 1000  # detections per image before overlapping ones are suppressed


class Fcos(nn.Module):
    """A backbone's maps, a pyramid over them, and one head for all maps.

    New weights are drawn from torch's global generator: build it inside ``training.drawing``. A backbone's fully connected
    layers are not used.

    Args:
        maps: the transferred layers. n_classes: k.
    """

    def __init__(self, maps: Maps, n_classes: int) -> None:
        super().__init__()
        self.maps, maps.connected = maps, None
        self.neck, n_channels, self.strides = neck_of(maps)
        self.stride = maps.strides[-1]
        layers: list[nn.Module] = []
        for n_in in (n_channels, *[CHANNELS] * (LAYERS - 1)):
            layers += [nn.Conv2d(n_in, CHANNELS, 3, padding=1, bias=False), nn.GroupNorm(8, CHANNELS), nn.ReLU()]
        self.head = nn.Sequential(*layers)
        self.scores, self.sides = _predicting(n_classes, -math.log(1 / FIRST_SCORE - 1)), _predicting(4, 0.0)

    def losses(self, batch: Batch) -> Tensor:
        """The loss of scores and boxes, float32 []."""
        scores, boxes, cells = self._predicted(batch.images)
        with torch.no_grad():
            target, own = assign(scores.sigmoid(), boxes, cells, batch.boxes, batch.labels)
        n_good = target.sum().clamp(min=1)
        of_scores = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
        of_scores = (of_scores * (target - scores.detach().sigmoid()).square()).sum()
        of_boxes = (target.sum(-1) * (1 - overlap(boxes, own, generalised=True))).sum()
        return (of_scores + WEIGHT * of_boxes) / n_good

    def detections(self, batch: Batch) -> list[Mapping[str, Tensor]]:
        """Per image: ``boxes`` float32 [d, 4], ``labels`` int64 [d] of 1…k and ``scores`` float32 [d], best first."""
        from torchvision.ops import batched_nms

        scores, boxes, _ = self._predicted(batch.images)
        n_classes = scores.shape[2]
        found: list[Mapping[str, Tensor]] = []
        best, at = scores.sigmoid().flatten(1).topk(min(CANDIDATES, scores[0].numel()))
        for i, (high, wide) in enumerate(batch.sizes):
            kept = best[i] >= MIN_SCORE
            score, cell, label = best[i][kept], at[i][kept] // n_classes, at[i][kept] % n_classes
            box = boxes[i][cell].clamp(min=0).minimum(boxes.new_tensor([wide, high, wide, high]))
            order = batched_nms(box, score, label, OVERLAP)[:MOST]
            found.append({"boxes": box[order], "labels": label[order] + 1, "scores": score[order]})
        return found

    def _predicted(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits float32 [b, p, k] and boxes float32 [b, p, 4] of all p cells, and the cells [p, 3]: centre x, y, stride."""
        maps = {str(i): found for i, found in enumerate(self.maps(images))}
        found = [self.head(at) for at in self.neck(maps).values()]
        cells = torch.cat(
            [_cells(tuple(at.shape[-2:]), n, at.device) for at, n in zip(found, self.strides, strict=True)]
        )
        scores = torch.cat([self.scores(at).flatten(2) for at in found], 2).transpose(1, 2).float()
        sides = torch.cat([self.sides(at).flatten(2) for at in found], 2).transpose(1, 2).float()
        reach = sides.clamp(-4, 4).exp() * (REACH * cells[:, 2:])
        centres = cells[:, :2]
        return scores, torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1), cells


def _predicting(n_out: int, first: float) -> nn.Conv2d:
    """A layer whose outputs are near ``first`` before training."""
    layer = nn.Conv2d(CHANNELS, n_out, 3, padding=1)
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, first)
    return layer


@lru_cache(256)  # sizes of padded batches
def _cells(shape: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """Centres of a map's cells and its stride, float32 [h · w, 3], row by row."""
    with torch.inference_mode(False):  # they outlive the call
        y, x = torch.meshgrid(*[(torch.arange(side) + 0.5) * stride for side in shape], indexing="ij")
        return torch.stack([x.flatten(), y.flatten(), torch.full_like(x, stride).flatten()], 1).to(device)
