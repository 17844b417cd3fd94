"""Regions pooled by matrix products are torchvision's, gradients included, each from the map that suits its size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from transferlab.transfer.detect.regions import Regions


def boxes(n: int, least: float, most: float, side: float, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    sides = random.uniform(least, most, (n, 2))
    low = random.uniform(0, 1, (n, 2)) * (side - sides)
    return torch.tensor(np.hstack([low, low + sides]), dtype=torch.float32)


@pytest.mark.parametrize("n_cells", [5, 7])
def test_a_single_map_is_pooled_as_torchvision_does_it_gradients_included(n_cells: int) -> None:
    found = torch.randn(2, 6, 16, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # inside the middles of the outermost cells; beyond them torchvision fades samples that lie a cell outside
    own = [boxes(9, 4, 20, 44) + 2, boxes(5, 4, 20, 44, seed=1) + 2]
    gradients = []
    for pool in (
        lambda maps: Regions([4], n_cells)({"0": maps}, [b.double() for b in own], None),
        lambda maps: roi_align(maps, [b.double() for b in own], n_cells, 0.25, 2, aligned=True),
    ):
        maps = found.clone().requires_grad_()
        pooled = pool(maps)
        assert pooled.shape == (14, 6, n_cells, n_cells)
        (pooled * torch.arange(pooled.numel()).view(pooled.shape).cos()).sum().backward()
        gradients.append((pooled.detach(), maps.grad))
    assert torch.allclose(gradients[0][0], gradients[1][0], atol=1e-5)
    assert torch.allclose(gradients[0][1], gradients[1][1], atol=1e-5)


def test_each_region_comes_from_the_map_of_its_size_and_stays_in_its_place() -> None:
    maps = {str(i): torch.full((2, 3, 64 >> i, 64 >> i), float(i)) for i in range(3)}
    sides = [3, 200, 31, 33, 64, 70]
    own = torch.tensor([[0.0, 0, side, side] for side in sides])
    pooled = Regions([4, 8, 16], 7)(maps, [own, own[:2]], None)
    assert pooled[:, 0, 3, 3].tolist() == [0, 2, 0, 1, 2, 2, 0, 2]


def test_other_maps_are_not_looked_at_and_no_region_is_no_region() -> None:
    maps = {"0": torch.zeros(1, 3, 8, 8), "pool": torch.full((1, 3, 1, 1), float("nan"))}
    assert Regions([4], 7)(maps, [torch.zeros(0, 4)], None).shape == (0, 3, 7, 7)
    assert not Regions([4], 7)(maps, [boxes(4, 4, 20, 32)], None).isnan().any()
