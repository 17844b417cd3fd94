"""Which cells learn an object: compared with a slow rule, object by object and cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from transferlab.transfer.detect.assign import BEST, assign

K = 3


def cells_of(side: int = 64, strides: tuple[int, ...] = (8, 16)) -> torch.Tensor:
    return torch.tensor(
        [[(x + 0.5) * n, (y + 0.5) * n, n] for n in strides for y in range(side // n) for x in range(side // n)]
    )


def a_case(seed: int) -> tuple[torch.Tensor, ...]:
    """Scores, predicted boxes, cells, objects and labels of three images with up to four objects."""
    random, cells = torch.Generator().manual_seed(seed), cells_of()
    reach = cells[:, 2:] * 2 * torch.exp(torch.randn(3, len(cells), 4, generator=random) / 3)
    boxes = torch.cat([cells[:, :2] - reach[..., :2], cells[:, :2] + reach[..., 2:]], -1)
    corners = torch.rand(3, 4, 2, generator=random) * 40
    objects = torch.cat([corners, corners + 3 + torch.rand(3, 4, 2, generator=random) * 30], -1)
    labels = torch.randint(0, K + 1, (3, 4), generator=random)
    return torch.rand(3, len(cells), K, generator=random), boxes, cells, objects, labels


def slowly(scores: torch.Tensor, boxes: torch.Tensor, cells: torch.Tensor, objects: torch.Tensor, labels: torch.Tensor):
    """One image by the rule's words: the score to be learnt [p, k] and the object of each cell, -1 for none."""
    n_cells, target = len(cells), np.zeros((len(cells), K))
    fit = box_iou(objects, boxes).double().numpy()
    suits = np.zeros_like(fit)
    for m in range(len(labels)):
        (x0, y0, x1, y1), label = objects[m].tolist(), int(labels[m])
        for p in range(n_cells if label else 0):
            x, y, n = cells[p].tolist()
            wide, high = max((x1 - x0) / 2, n / 2), max((y1 - y0) / 2, n / 2)
            if abs(x - (x0 + x1) / 2) <= wide and abs(y - (y0 + y1) / 2) <= high:
                suits[m, p] = float(scores[p, label - 1]) ** 0.5 * fit[m, p] ** 6 + 1e-9
        suits[m, np.argsort(-suits[m])[BEST:]] = 0
    learns = np.where((suits > 0).any(0), np.where(suits > 0, fit, -1).argmax(0), -1)
    suits[learns[None] != np.arange(len(labels))[:, None]] = 0
    for m in range(len(labels)):
        own = np.flatnonzero(suits[m])
        if len(own):
            target[own, int(labels[m]) - 1] = suits[m, own] / suits[m].max() * fit[m, own].max()
    return target, learns


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_rule_applied_image_by_image(seed: int) -> None:
    scores, boxes, cells, objects, labels = a_case(seed)
    target, own = assign(scores, boxes, cells, objects, labels)
    for i in range(3):
        expected, learns = slowly(scores[i], boxes[i], cells, objects[i], labels[i])
        assert np.allclose(target[i].numpy(), expected, atol=1e-4)
        for p in np.flatnonzero(expected.sum(1) > 1e-4):
            assert torch.equal(own[i, p], objects[i, learns[p]])


def test_padding_and_other_images_change_nothing() -> None:
    scores, boxes, cells, objects, labels = a_case(1)
    target, _ = assign(scores, boxes, cells, objects, labels)
    alone, _ = assign(
        scores[:1], boxes[:1], cells, torch.cat([objects[:1], torch.zeros(1, 5, 4)], 1),
        torch.cat([labels[:1], torch.zeros(1, 5, dtype=torch.int64)], 1),
    )  # fmt: skip
    assert torch.equal(target[:1], alone)


def test_without_objects_every_score_to_be_learnt_is_zero() -> None:
    scores, boxes, cells, objects, labels = a_case(2)
    target, _ = assign(scores, boxes, cells, objects, labels * 0)
    assert not target.any()


def test_an_object_between_the_cells_is_learnt() -> None:
    cells, small = cells_of(), torch.tensor([[[30.5, 30.5, 33.0, 33.0]]])
    boxes = torch.cat([cells[:, :2] - 8, cells[:, :2] + 8], 1)[None]
    target, _ = assign(torch.full((1, len(cells), K), 0.01), boxes, cells, small, torch.tensor([[2]]))
    assert target[0, :, 1].max() > 0
