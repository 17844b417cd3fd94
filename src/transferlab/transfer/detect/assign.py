"""Which cells learn which object: those whose predictions suit it best (task alignment, TOOD, Feng et al. 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.transfer.detect.overlaps import overlap

BEST = 10  # cells that learn an object
SCORE_POWER, OVERLAP_POWER = 0.5, 6.0  # of a cell's score and its box's overlap in their product, the alignment


def assign(scores: Tensor, boxes: Tensor, cells: Tensor, objects: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What each cell learns.

    Of the cells whose centres lie inside an object, the ten with the largest alignment (score^0.5 · overlap^6) learn it; a
    cell that suits several objects learns the one that its box overlaps most. The score to be learnt is the alignment,
    scaled so that an object's best cell learns that cell's overlap.

    Args:
        scores: float32 [b, p, k], predicted, 0…1. boxes: float32 [b, p, 4], predicted.
        cells: float32 [p, 3], centre x, y and stride. objects: float32 [b, m, 4]. labels: int64 [b, m], 1…k or 0 for none.

    Returns:
        the scores to be learnt, float32 [b, p, k], and the box of each cell's object, [b, p, 4] (any where it has none).
    """
    n_classes, there = scores.shape[2], labels > 0
    own = (labels - 1).clamp(min=0)
    of_class = scores.transpose(1, 2).gather(1, own[:, :, None].expand(-1, -1, scores.shape[1]))  # [b, m, p]
    fit = overlap(boxes[:, None], objects[:, :, None])
    alignment = of_class.pow(SCORE_POWER) * fit.pow(OVERLAP_POWER)
    alignment = torch.where(_inside(cells, objects) & there[:, :, None], alignment + 1e-9, 0.0)
    least = alignment.topk(min(BEST, len(cells)), -1).values[..., -1:]
    alignment = torch.where(alignment >= least.clamp(min=1e-12), alignment, 0.0)
    chosen = torch.where(alignment > 0, fit + 1e-6, 0.0).argmax(1)  # [b, p]
    alignment = alignment * F.one_hot(chosen, labels.shape[1]).transpose(1, 2)
    best_fit = torch.where(alignment > 0, fit, 0.0).amax(-1, keepdim=True)
    learnt = alignment / alignment.amax(-1, keepdim=True).clamp(min=1e-12) * best_fit
    learnt = learnt.gather(1, chosen[:, None])[:, 0]  # [b, p]
    target = learnt[..., None] * F.one_hot(own.gather(1, chosen), n_classes)
    return target, objects.gather(1, chosen[..., None].expand(-1, -1, 4))


def _inside(cells: Tensor, objects: Tensor) -> Tensor:
    """Whether each cell's centre lies inside each object, or within half a stride of the centre of a small one, [b, m, p]."""
    middles, half = (objects[..., :2] + objects[..., 2:]) / 2, (objects[..., 2:] - objects[..., :2]) / 2
    reach = torch.maximum(half[:, :, None], cells[:, 2:] / 2)
    return ((cells[:, :2] - middles[:, :, None]).abs() <= reach).all(-1)
