"""Muon against independent references: singular values, torch's own iteration, torch's SGD for the rest."""

from __future__ import annotations

import pytest
import torch
from torch.optim import _muon

from transferlab.engine.muon import N_ITERATIONS, QUINTIC, Muon, orthogonal


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (8, 8)])
def test_an_orthogonalised_matrix_keeps_its_directions_and_evens_out_their_sizes(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    matrix = randn(*shape)
    left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix, dtype)
    even = torch.diag(left.T @ found @ right.T)
    assert float(sizes.max() / sizes.min()) > 2
    assert float(even.max()) < 1.4
    assert float(even[sizes > 0.2 * sizes.max()].min()) > 0.5
    torch.testing.assert_close(left @ torch.diag(even) @ right, found, atol=0.05, rtol=0.0)


@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_the_iteration_is_torchs(shape: tuple[int, int]) -> None:
    matrix = randn(*shape)
    theirs = _muon._zeropower_via_newtonschulz(matrix, QUINTIC, N_ITERATIONS, 1e-7)
    torch.testing.assert_close(orthogonal(matrix, torch.bfloat16), theirs.float(), atol=0.03, rtol=0.0)


def test_a_gradient_of_zeros_moves_nothing_to_nan() -> None:
    assert torch.equal(orthogonal(torch.zeros(4, 9), torch.float32), torch.zeros(4, 9))


def test_what_is_no_filter_moves_as_under_sgd() -> None:
    ours, theirs = (torch.nn.Parameter(randn(5, 3)) for _ in range(2))
    muon = Muon([], [{"params": [ours], "weight_decay": 0.01}], lr=0.1)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    for seed in range(4):
        ours.grad, theirs.grad = randn(5, 3, seed=seed), randn(5, 3, seed=seed)
        muon.step()
        sgd.step()
    torch.testing.assert_close(ours, theirs)


def test_a_filter_is_brought_to_its_norm_and_moves_by_the_rate_whatever_its_gradients_size() -> None:
    moved = []
    for size in (1e-4, 1e4):
        filters = torch.nn.Parameter(randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last))
        muon = Muon([filters], [], lr=0.3)
        filters.grad = size * randn(8, 4, 3, 3, seed=1).contiguous(memory_format=torch.channels_last)
        before = filters.detach() * 8**0.5 / filters.detach().norm()
        muon.step()
        moved.append(filters.detach() - before)
    torch.testing.assert_close(moved[0], moved[1], atol=1e-3, rtol=0.0)
    assert float(torch.linalg.matrix_norm(moved[0].flatten(1), 2)) == pytest.approx(0.1, rel=0.4)
