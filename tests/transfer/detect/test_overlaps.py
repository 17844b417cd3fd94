"""Overlaps of boxes, compared with torchvision's."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_iou, generalized_box_iou

from transferlab.transfer.detect.overlaps import overlap


def some_boxes(n: int, seed: int) -> torch.Tensor:
    corners = torch.rand(n, 2, 2, generator=torch.Generator().manual_seed(seed)) * 40
    return torch.cat([corners.amin(1), corners.amax(1)], 1)


@pytest.mark.parametrize("generalised", [False, True])
def test_overlaps_are_torchvisions(generalised: bool) -> None:
    first, second = some_boxes(20, 0), some_boxes(30, 1)
    reference = (generalized_box_iou if generalised else box_iou)(first, second)
    assert torch.allclose(overlap(first[:, None], second, generalised=generalised), reference, atol=1e-5)


def test_boxes_without_area_have_an_overlap_and_a_gradient() -> None:
    empty = torch.zeros(1, 4, requires_grad=True)
    found = overlap(empty, torch.zeros(1, 4), generalised=True)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert empty.grad is not None
    assert torch.isfinite(empty.grad).all()
