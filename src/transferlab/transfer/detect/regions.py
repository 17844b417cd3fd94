"""Regions of maps pooled to a few cells (RoIAlign, He et al. 2017) by matrix products.

Where each cell is the mean of 2 × 2 bilinear samples, a region is pooled by one matrix over rows and one over columns. As
matrix products 64 regions of a 24 × 24 × 64 map take 1.4 ms forward and backward in bf16, 2.5 in fp32, torchvision's operator 8.1
(one thread, shared machine, 2026-11-27), which was half of a whole training step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

SAMPLES = 2  # a cell and axis
COARSER = 8  # strides of a map: a region with a side of so many or more is pooled from a coarser one


class Regions(nn.Module):
    """Pools each region from the map that suits its size: a side of under 8 strides of a map is pooled from that map.

    Positions are those of ``torchvision.ops.roi_align(…, sampling_ratio=2, aligned=True)``; samples beyond a map's
    outermost cells take their values.

    Args:
        strides: of the maps, pixels, from fine to coarse, each twice the one before. n_cells: a side.
    """

    def __init__(self, strides: Sequence[int], n_cells: int) -> None:
        super().__init__()
        self.strides, self.n_cells = tuple(strides), n_cells

    def forward(self, maps: Mapping[str, Tensor], boxes: Sequence[Tensor], sizes: object) -> Tensor:
        """Regions in order, image by image, float [m, c, n_cells, n_cells].

        Args:
            maps: "0", "1", … to float [b, c, h, w]; others are not looked at. boxes: float32 [·, 4] an image, edges in pixels.
            sizes: of the images; torchvision's pooling guesses strides by them, which are known here.
        """
        pieces: list[Tensor] = []
        places: list[Tensor] = []
        begin = 0
        for image, own in enumerate(boxes):
            level = self._levels(own)
            for at, stride in enumerate(self.strides):
                chosen = torch.nonzero(level == at)[:, 0]
                if len(chosen):
                    pieces.append(self._pooled(maps[str(at)][image], own[chosen], stride))
                    places.append(chosen + begin)
            begin += len(own)
        if not pieces:
            first = maps["0"]
            return first.new_zeros(0, first.shape[1], self.n_cells, self.n_cells)
        return torch.cat(pieces)[torch.cat(places).argsort()].permute(0, 3, 1, 2)

    def _levels(self, boxes: Tensor) -> Tensor:
        side = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1).sqrt()
        octaves = torch.log2(side / (COARSER / 2 * self.strides[0]) + 1e-6).floor()
        return octaves.clamp(0, len(self.strides) - 1).long()

    def _pooled(self, found: Tensor, boxes: Tensor, stride: int) -> Tensor:
        """Regions of one map [c, h, w]: [m, n_cells, n_cells, c]."""
        n_channels, high, wide = found.shape
        over_rows = self._shares(boxes[:, 1], boxes[:, 3], high, stride)
        over_columns = self._shares(boxes[:, 0], boxes[:, 2], wide, stride)
        pixels = found.permute(1, 2, 0).reshape(high, wide * n_channels)
        rows = (over_rows.view(-1, high) @ pixels).view(len(boxes), self.n_cells, wide, n_channels)
        return over_columns[:, None] @ rows

    def _shares(self, low: Tensor, high: Tensor, n: int, stride: int) -> Tensor:
        """What each of a map's n cells along an axis adds to each cell of each region, [m, n_cells, n]."""
        n_samples = self.n_cells * SAMPLES
        middles = (torch.arange(n_samples, device=low.device) + 0.5) / n_samples
        at = ((low[:, None] + (high - low)[:, None] * middles) / stride - 0.5).clamp(0, n - 1)
        near = (1 - (at[:, :, None] - torch.arange(n, device=low.device)).abs()).clamp(min=0)
        return near.view(len(low), self.n_cells, SAMPLES, n).mean(2)
