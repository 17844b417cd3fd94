"""The one-stage detector: gradients for all of it, exact predictions, and boxes inside the image."""

from __future__ import annotations

import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.transfer.detect.fcos import FIRST_SCORE, Fcos
from transferlab.transfer.detect.maps import maps_of
from transferlab.transfer.detect.model import Batch
from transferlab.transfer.detect.training import drawing


def detector_of(name: str = "small:8", px: int = 16) -> Fcos:
    torch.set_num_threads(1)
    with drawing("cpu", "test"):
        return Fcos(maps_of(build(name, px, 0), px, name), 3)


def batch(n: int = 2, side: int = 64) -> Batch:
    images = torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    boxes, labels = torch.zeros(n, 2, 4), torch.zeros(n, 2, dtype=torch.int64)
    boxes[0, 0], labels[0, 0] = torch.tensor([4.0, 6, 24, 26]), 1
    return Batch(images, [(side - 3.0, float(side))] * n, boxes, labels)


def test_a_loss_reaches_every_weight_that_is_trained() -> None:
    detector = detector_of().train()
    detector.losses(batch()).backward()
    assert [name for name, weights in detector.named_parameters() if weights.grad is None] == []


def test_images_without_objects_have_a_loss_and_finite_gradients() -> None:
    detector, empty = detector_of().train(), batch()
    loss = detector.losses(Batch(empty.images, empty.sizes, empty.boxes, empty.labels * 0))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(w.grad).all() for w in detector.parameters() if w.grad is not None)


def test_images_that_are_no_multiple_of_the_coarsest_stride_are_taken() -> None:
    detector = detector_of().train()
    images = torch.randn(1, 3, 48, 80, generator=torch.Generator().manual_seed(0))
    found = detector.losses(Batch(images, [(48.0, 80.0)], torch.tensor([[[4.0, 6, 24, 26]]]), torch.tensor([[1]])))
    assert torch.isfinite(found)
    assert detector.stride == 16


def test_before_training_all_scores_are_low() -> None:
    scores, boxes, cells = detector_of().eval()._predicted(batch().images)
    assert scores.sigmoid().max() < 3 * FIRST_SCORE
    assert scores.shape[:2] == boxes.shape[:2] == (2, len(cells))


def test_bf16_keeps_boxes_and_scores_in_fp32() -> None:
    detector = detector_of().eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = detector.detections(batch())
    assert all(each[name].dtype == torch.float32 for each in found for name in ("boxes", "scores"))


def test_detections_stay_inside_the_image_and_the_best_come_first() -> None:
    found = detector_of().eval().detections(batch())
    for each in found:
        assert 0 < len(each["boxes"]) <= 100
        assert float(each["boxes"][:, 3].detach().max()) <= 61
        assert float(each["boxes"].detach().min()) >= 0
        assert (each["scores"].diff() <= 0).all()
        assert set(each["labels"].tolist()) <= {1, 2, 3}


@pytest.mark.slow
def test_a_backbone_with_one_map_is_taken_without_its_connected_layers() -> None:
    detector = detector_of("alexnet-caffe", 96).train()
    detector.losses(batch(1, 128)).backward()
    assert detector.strides == [16]
    assert detector.maps.connected is None
    assert all(weights.grad is not None for weights in detector.parameters())
