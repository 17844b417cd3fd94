"""What both kinds of detector share: the batch, the pyramid over a backbone's maps, and which detections are kept."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from transferlab.transfer.detect.maps import Maps

MAX_CHANNELS = 256  # of the pyramid, if its finest map does not have fewer
MIN_SCORE = 0.01  # of a detection
OVERLAP = 0.5  # IoU above which the worse of two detections of a class is suppressed
MOST = 100  # detections per image


@dataclass(frozen=True, eq=False)
class Batch:
    """Images on canvases of one size.

    Args:
        images: float32 [b, 3, h, w], normalised, 0 where there is no image; h and w are multiples of the coarsest stride.
        sizes: height and width of the part of each canvas to which boxes are clipped, in pixels.
        boxes: float32 [b, m, 4], edges in pixels. labels: int64 [b, m], 1…k, or 0 where an image has fewer than m objects.
    """

    images: Tensor
    sizes: list[tuple[float, float]]
    boxes: Tensor
    labels: Tensor


def neck_of(maps: Maps) -> tuple[nn.Module, int, list[int]]:
    """A module that gives a backbone's maps equal depth, that depth, and the strides; a single map is unchanged."""
    from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

    if len(maps.strides) == 1:
        return nn.Identity(), maps.channels[0], maps.strides
    n_channels = min(MAX_CHANNELS, maps.channels[0])
    pyramid = FeaturePyramidNetwork(maps.channels, n_channels, LastLevelMaxPool())
    return pyramid, n_channels, [*maps.strides, 2 * maps.strides[-1]]
