"""The GPU benchmark's rehearsal, and its peer of stacked networks, which must be the networks that it stacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import loss_of
from transferlab.engine.recipes import SMALL

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_rehearsal_measures_everything_but_what_is_not_installed(tmp_path: Path) -> None:
    words = [sys.executable, str(BENCHMARKS / "gpu.py"), "--rehearse", str(tmp_path / "out.json")]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out.json").read_text())
    assert {name.rpartition(", ")[2] for name in told["notes"]} <= {"FFCV"}, told["notes"]
    assert all(value > 0 for values in told["values"].values() for value in values)
    ways = ("data in place", "DataLoader at its best", "engine, streamed", "2 graphs on 2 streams", "features")
    assert all(any(name.endswith(way) for name in told["values"]) for way in ways)
    assert any("stacked" in name for name in told["ratios"])
    assert all(value > 0 for value in told["paper's grid"]["hours"].values())


def test_stacked_networks_learn_what_each_learns_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from peers.stacked import Stacked, StackedStep

    torch.set_num_threads(1)
    recipe, random = replace(SMALL, lr=0.01), torch.Generator().manual_seed(0)
    backbones = [build("small:8", 16, seed) for seed in range(3)]
    heads = [nn.Linear(backbone.n_features, 5) for backbone in backbones]
    inputs = torch.randn(6, 9, 16, 16, generator=random)
    labels = torch.randint(5, (3, 6), generator=random)
    together = StackedStep(Stacked(backbones, heads), recipe, Place("cpu", "fp32"), (inputs, labels))
    for _ in range(3):
        together()
    for k, (backbone, head) in enumerate(zip(backbones, heads, strict=True)):
        network = nn.Sequential(backbone, head)
        groups = [{"params": [p for p in network.parameters() if p.ndim >= 2], "weight_decay": recipe.weight_decay},
                  {"params": [p for p in network.parameters() if p.ndim < 2], "weight_decay": 0.0}]  # fmt: skip
        optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)
        for _ in range(3):
            loss = loss_of(network(inputs[:, 3 * k : 3 * k + 3]), labels[k], recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert torch.allclose(together.losses[k], loss.detach(), rtol=1e-3)
        assert torch.allclose(together.network.weight[k].T, head.weight, atol=1e-4)
