"""First filters that whiten the training images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Images, Place
from transferlab.engine.fit import fit
from transferlab.engine.stem import FLOOR, principal, whiten
from transferlab.specs import Augmentation, Recipe
from transferlab.specs import Examples as Length

CPU, PX = Place("cpu", "fp32"), 16
TINY = Recipe(backbone="small:16", image_px=PX, length=Length(8), batch=8, augmentation=Augmentation(0, flip=False))


def examples(images: NDArray[np.uint8]) -> Examples:
    rows = np.arange(len(images), dtype=np.int32)
    means = images.mean((0, 1, 2)) / 255, images.std((0, 1, 2)).clip(1) / 255
    return Examples(images, rows, (rows % 2).astype(np.int32), 2, *(m.astype(np.float32) for m in means))


def smooth(n: int, n_colours: int = 3) -> NDArray[np.uint8]:
    """Blurred noise, so that patches have directions of large and of small variance."""
    noise = torch.rand(n, n_colours, PX // 4, PX // 4, generator=torch.Generator().manual_seed(1))
    images = F.interpolate(noise, size=PX, mode="bicubic").clamp(0, 1).expand(-1, 3, -1, -1)
    return np.ascontiguousarray((255 * images).permute(0, 2, 3, 1).byte().numpy())


def started(found: Examples, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The first filters before and after, float32 [n, 3 · side²]."""
    stem = build("small:16", PX, 5).trunk.stem[0]  # pyright: ignore
    before = stem.weight.detach().clone()
    whiten(stem, found, seed, CPU, PX)  # pyright: ignore
    return before.flatten(1), stem.weight.detach().flatten(1)


def test_responses_to_the_images_have_equal_variances_and_no_correlations() -> None:
    found = examples(smooth(60))
    _, filters = started(found)
    inputs = Images(found, CPU, PX).normalised(torch.from_numpy(found.images))
    patches = F.unfold(inputs, 4, stride=4).transpose(1, 2).flatten(0, 1)
    products = (patches @ filters[:8].T).T @ (patches @ filters[:8].T)
    shares = products / products.diagonal().max()
    assert shares.diagonal().min() > 1 / (1 + FLOOR * 8) - 0.01
    assert (shares - torch.diag(shares.diagonal())).abs().max() < 1e-3


def test_each_filter_stands_beside_its_negative_and_their_norm_stays() -> None:
    before, after = started(examples(smooth(60)))
    torch.testing.assert_close(after[:8], -after[8:])
    torch.testing.assert_close(torch.linalg.vector_norm(after), torch.linalg.vector_norm(before))


def test_grey_images_leave_random_filters_where_they_have_no_direction() -> None:
    before, after = started(examples(smooth(60, n_colours=1)))
    same = torch.isclose(F.normalize(before), F.normalize(after), atol=1e-5).all(1)
    n_random = int(same.sum())
    assert same[-n_random:].all() if n_random else True
    grey = after[: len(after) - n_random].view(-1, 3, 16)
    torch.testing.assert_close(grey, grey.mean(1, keepdim=True).expand_as(grey), atol=1e-4, rtol=0)


def test_images_of_one_colour_leave_all_filters_as_they_were() -> None:
    before, after = started(examples(np.full((8, PX, PX, 3), 90, np.uint8)))
    torch.testing.assert_close(after, before)


def test_directions_are_those_of_numpy_with_their_largest_number_positive() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 12)) * np.linspace(3, 0.5, 12)
    products = rows.T @ rows / len(rows)
    found = principal(torch.from_numpy(products), 5)
    variances, directions = np.linalg.eigh(products)
    variances, directions = variances[::-1][:5], directions.T[::-1][:5]
    expected = directions / np.sqrt(variances + FLOOR * variances.mean())[:, None]
    expected *= np.sign(expected[np.arange(5), np.abs(expected).argmax(1)])[:, None]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    assert len(principal(torch.diag(torch.tensor([1.0, 1e-9, 0.0], dtype=torch.float64)), 3)) == 1


@pytest.mark.parametrize("backbone", ["small:16", "torchvision:resnet18"])
def test_pre_training_begins_whitened_if_the_recipe_and_the_backbone_say_so(backbone: str) -> None:
    found, recipe = examples(smooth(16)), replace(TINY, backbone=backbone, lr=1e-9, optimiser="sgd")
    whitened, random = (fit(found, replace(recipe, stem=stem), 0, CPU).backbone for stem in ("whitened", "random"))
    first, other = (next(iter(network.parameters())) for network in (whitened, random))
    assert torch.allclose(first, other, atol=1e-5) == (backbone != "small:16")


def test_fine_tuning_begins_with_the_network_as_it_is() -> None:
    start = build("small:16", PX, 5)
    before = next(iter(start.parameters())).detach().clone()
    after = fit(examples(smooth(16)), replace(TINY, lr=1e-9, optimiser="sgd"), 0, CPU, start=start).backbone
    torch.testing.assert_close(next(iter(after.parameters())).detach(), before, atol=1e-6, rtol=0)
