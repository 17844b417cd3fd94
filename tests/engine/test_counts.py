"""What a training step of the built-in recipe costs, in counts that depend on no machine's mood.

The bounds lie a little above what was counted last. Where a change of the engine or of the built-in network moves a
count on purpose, put the new count in COUNTED, in the commit that moves it; the failing test prints it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from transferlab.engine.batches import Examples, Place
from transferlab.engine.fit import fit
from transferlab.engine.recipes import SMALL
from transferlab.engine.steps import STEPS, Replayed, Singly
from transferlab.specs import Examples as Length

COPIES = ("aten.copy_", "aten._to_copy", "aten.clone", "aten.contiguous")
ROOM = 1.03  # torch's own decompositions move a little from release to release


@dataclass
class Counted(TorchDispatchMode):
    """Operator calls that compute (views do not), by name, and the bytes of the tensors that they allocate."""

    calls: Counter[str] = field(default_factory=Counter[str])
    n_bytes: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and str(func) != "aten.detach.default":
            self.calls[str(func).rpartition(".")[0]] += 1
            held = {t.untyped_storage().data_ptr() for t in tensors((args, kwargs))}
            made = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors(result))}
            self.n_bytes += sum(n for at, n in made.items() if at not in held)
        return result


def tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def examples() -> Examples:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 32, 32, 3)).astype(np.uint8)
    half = np.full(3, 0.5, np.float32)
    return Examples(images, np.arange(200, dtype=np.int32), (np.arange(200) % 100).astype(np.int32), 100, half, half)


def per_step(precision: Any) -> tuple[int, int, float]:
    """Operator calls, copies among them, and megabytes allocated, of one more step of a training."""
    counted: list[Counted] = []
    for n_steps in (2, 4):
        recipe = replace(SMALL, length=Length(n_steps * SMALL.batch))
        with Counted() as mode:
            fit(examples(), recipe, 0, Place("cpu", precision))
        counted.append(mode)
    few, many = counted
    more = many.calls - few.calls
    copies = sum(more[name] for name in COPIES)
    return round(more.total() / 2), round(copies / 2), (many.n_bytes - few.n_bytes) / 2e6


# Calls, copies, megabytes; batch 128 at 32 px. Muon's iterations are 146 of the calls.
COUNTED: dict[tuple[type, str], tuple[int, int, float]] = {
    (Singly, "fp32"): (239, 5, 116.0),
    (Singly, "bf16"): (263, 30, 75.8),
    (Replayed, "bf16"): (255, 28, 75.8),  # on CUDA the launches of a replayed graph, about
}


@pytest.mark.parametrize(("steps", "precision"), COUNTED)
def test_a_step_calls_copies_and_allocates_no_more_than_it_did(
    steps: type, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setitem(STEPS, "cpu", steps)
    now, before = per_step(precision), COUNTED[steps, precision]
    assert all(n <= bound * ROOM for n, bound in zip(now, before, strict=True)), f"counted {now}, before {before}"
    assert all(n >= bound / 1.2 for n, bound in zip(now, before, strict=True)), f"lower the bounds to {now}"


def test_a_block_of_steps_is_prepared_in_as_many_calls_as_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops, mirrors and normalisation of 32 steps in one go: what CUDA launches outside the graph."""
    from transferlab.engine.batches import Feed

    def calls(last: int) -> int:
        feed = Feed(examples(), SMALL, Place("cpu", "fp32"), 0, iter(()))
        with Counted() as mode:
            feed.steps(0, last)
        return mode.calls.total()

    assert calls(32) == calls(1) <= 14
