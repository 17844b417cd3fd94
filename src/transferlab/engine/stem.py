"""First filters that whiten the training images: half of them principal patches, half their negatives.

As in K. Jordan's airbench94 (https://github.com/KellerJordan/cifar10-airbench) after D. Page's and tysam's networks, but the
filters are trained like all others: kept fixed, they transferred worse (LOG.md, 2026-11-27 and 2026-11-30).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.engine.batches import Examples, Images, Place
from transferlab.identity import stream

MOST_IMAGES = 2000  # that patches are taken from
FLOOR = 0.05  # of the kept directions' mean variance, added to each variance
LEAST = 1e-4  # of the largest variance; directions with less, as colours of grey images, keep random filters
norm = cast("Callable[[Tensor], Tensor]", torch.linalg.vector_norm)


@torch.no_grad()
def whiten(filters: nn.Conv2d, examples: Examples, seed: int, place: Place, image_px: int) -> None:
    """Let first filters start at the principal patches of the examples, scaled to equal variance; their norm in all stays.

    A function of the examples and the seed, to within rounding on any machine: signs of patches are fixed, and each stands beside
    its negative, so that a rectifier loses neither half.

    Args:
        filters: the first convolution, of 3 channels and square filters, in one group.
        image_px: side of the network's input in pixels, at least that of the filters.
    """
    weight, side = filters.weight, filters.kernel_size[0]
    n = len(examples.rows)
    chosen = np.sort(stream("stem", seed).permutation(n)[:MOST_IMAGES])
    images = Images(examples, place, image_px)
    products = torch.zeros(3 * side**2, 3 * side**2, dtype=torch.float64)
    n_patches = 0
    for start in range(0, len(chosen), 500):
        patches = F.unfold(images.normalised(images.fetch(chosen[start : start + 500])), side, stride=side)
        flat = patches.transpose(1, 2).flatten(0, 1)
        products += (flat.T @ flat).double().cpu()
        n_patches += len(flat)
    patches = principal(products / n_patches, len(weight) // 2).to(weight)
    started = weight.detach().clone()
    started[: 2 * len(patches)] = torch.cat([patches, -patches]).view(-1, 3, side, side)
    weight.copy_(started * (norm(weight) / norm(started)))


def principal(products: Tensor, most: int) -> Tensor:
    """The directions of largest variance, each divided by its standard deviation.

    Args:
        products: float64 [d, d], mean products of pairs of pixels.

    Returns:
        float64 [k, d], k at most ``most``, the largest variance first; the largest number of each is positive.
    """
    variances, directions = cast("tuple[Tensor, Tensor]", torch.linalg.eigh(products))
    variances, directions = variances.flip(0)[:most], directions.T.flip(0)[:most]
    kept = variances > LEAST * variances[0]
    variances, directions = variances[kept], directions[kept]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return directions * largest.sign() / (variances + FLOOR * variances.mean()).sqrt()[:, None]
