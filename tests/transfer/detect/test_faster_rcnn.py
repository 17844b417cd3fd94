"""The two-stage detector: anchors where they belong, pooling at true strides, exact heads, gradients for all of it."""

from __future__ import annotations

import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.transfer.detect.faster_rcnn import Anchors, FasterRcnn
from transferlab.transfer.detect.maps import maps_of
from transferlab.transfer.detect.model import Batch
from transferlab.transfer.detect.training import drawing


def detector_of(name: str = "small:8", px: int = 16, n_classes: int = 3) -> FasterRcnn:
    torch.set_num_threads(1)
    with drawing("cpu", "test"):
        return FasterRcnn(maps_of(build(name, px, 0), px, name), n_classes)


def batch(n: int = 2, side: int = 64) -> Batch:
    images = torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    boxes, labels = torch.zeros(n, 1, 4), torch.zeros(n, 1, dtype=torch.int64)
    boxes[0, 0], labels[0, 0] = torch.tensor([4.0, 6, 24, 26]), 1
    return Batch(images, [(side - 3.0, float(side))] * n, boxes, labels)


def test_anchors_stand_on_the_middles_of_cells() -> None:
    class Images:
        image_sizes = ((32, 32),)

    (found,) = Anchors([4, 8])(Images, [torch.zeros(1, 8, 8, 8), torch.zeros(1, 8, 4, 4)])
    assert found.shape == (6 * (64 + 16), 4)
    centres, sides = (found[:, :2] + found[:, 2:]) / 2, found[:, 2:] - found[:, :2]
    assert torch.allclose(centres[0], torch.tensor([2.0, 2.0]))
    assert torch.allclose(centres[6], torch.tensor([6.0, 2.0]))  # the next place of the row, after six of the first
    assert torch.allclose(centres[6 * 64], torch.tensor([4.0, 4.0]))
    areas = sides.prod(1).sqrt()
    assert areas[: 6 * 64].unique().tolist() == pytest.approx([12, 12 * 2**0.5], abs=1e-3) or areas.min() >= 11.9
    assert (sides[:, 1] / sides[:, 0]).round(decimals=2).unique().tolist() == pytest.approx([0.5, 1, 2])


def test_a_loss_reaches_every_weight_that_is_trained() -> None:
    detector = detector_of().train()
    with drawing("cpu", "a step"):
        detector.losses(batch(4)).backward()
    still = [name for name, weights in detector.named_parameters() if weights.grad is None]
    assert still == []


def test_bf16_keeps_boxes_and_scores_in_fp32() -> None:
    detector = detector_of().eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = detector.detections(batch())
    assert all(each[name].dtype == torch.float32 for each in found for name in ("boxes", "scores"))
    with torch.inference_mode():
        exact = detector.detections(batch())
    assert abs(len(found[0]["scores"]) - len(exact[0]["scores"])) <= 5


def test_detections_stay_inside_the_image_without_its_padding() -> None:
    found = detector_of().eval().detections(batch())
    assert all(len(each["boxes"]) and float(each["boxes"][:, 3].detach().max()) <= 61 for each in found)


def test_equal_names_draw_equal_detectors_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = detector_of().state_dict(), detector_of().state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, again[name]) for name, value in first.items())


@pytest.mark.slow
def test_alexnet_judges_regions_with_its_own_connected_layers() -> None:
    detector = detector_of("alexnet-caffe", 96).train()
    with drawing("cpu", "a step"):
        detector.losses(batch(1, 128)).backward()
    assert detector.maps.connected is not None
    assert all(weights.grad is not None for weights in detector.maps.connected.parameters())
    assert detector.stride == 16
