"""Trains a detector; a resumed training gives identical bits."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import nn

from transferlab.engine.batches import Order, Place
from transferlab.engine.fit import Hooks, Progress, Snapshot, TrainingFailed, learning_rate, load_saved, saved
from transferlab.engine.optimisers.definition import groups
from transferlab.identity import torch_seed
from transferlab.specs import Recipe
from transferlab.transfer.detect.heads import Detector
from transferlab.transfer.detect.scenes import Scenes, batch_of, jitter

MAX_GRADIENT = 10.0  # norm of all gradients together, to which longer ones are clipped
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Schedule:
    """How a detector is trained, from the settings of its protocol.

    Args:
        recipe: length in examples seen, batch, AdamW's rate and decay, warm-up and schedule.
        frozen: the number of frozen parts of the backbone (stem and stages), from the first on.
        norms: ``frozen``: batch norms keep their averages, while their scale and shift are trained; ``trained``: they use
            the statistics of each batch, as in pre-training.
        scale: images are scaled by a factor from ``scale`` to 1 / ``scale``.
    """

    recipe: Recipe
    n_steps: int
    frozen: int
    norms: str
    scale: float


@contextlib.contextmanager
def drawing(device: str, *names: object) -> Generator[None]:
    """Seed torch's global generator from these names, and restore it at the end.

    torchvision draws anchors, regions and initial weights from it.
    """
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(torch_seed(*names))
        yield


def freeze(detector: Detector, schedule: Schedule) -> list[tuple[str, nn.Parameter]]:
    """Freeze the first parts of the backbone; returns names and weights of what is trained."""
    for part in list(detector.maps.parts)[: schedule.frozen]:
        part.requires_grad_(False)
    if schedule.frozen >= len(detector.maps.parts) and detector.maps.connected is not None:
        detector.maps.connected.requires_grad_(False)
    return [(name, weights) for name, weights in detector.named_parameters() if weights.requires_grad]


def set_training(detector: Detector, schedule: Schedule) -> None:
    """Set training mode, except for frozen parts and for batch norms that keep their averages."""
    detector.train()
    parts = list(detector.maps.parts)
    for number, part in enumerate(parts):
        if number < schedule.frozen:
            part.eval()
        elif schedule.norms == "frozen":
            for layer in part.modules():
                if isinstance(layer, NORMS):
                    layer.eval()


def train(detector: Detector, scenes: Scenes, schedule: Schedule, seed: int, place: Place, hooks: Hooks) -> int:
    """Train in place; returns the number of trained weights. Randomness depends on seed and step only.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    trained = freeze(detector, schedule)
    optimiser = torch.optim.AdamW(groups([w for _, w in trained], schedule.recipe), lr=schedule.recipe.lr, fused=True)
    step = 0
    if hooks.resume is not None:
        load_saved(detector, optimiser, hooks.resume.tensors)
        step = hooks.resume.step
    order, batch, loss = Order(len(scenes.rows), seed), schedule.recipe.batch, math.nan
    set_training(detector, schedule)
    while step < schedule.n_steps:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(schedule.recipe, step, schedule.n_steps)
        positions = order.positions(step * batch, (step + 1) * batch)
        seen = batch_of(scenes, positions, detector.stride, place.device, jitter(schedule.scale, batch, seed, step))
        with drawing(place.device, "detect", seed, step), place.autocast():
            total = detector.losses(seen)
        loss = float(total.detach())
        if not math.isfinite(loss):
            raise TrainingFailed(f"the detector's loss is {loss}: lower its learning rate ({schedule.recipe.lr})")
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # pyright: ignore[reportUnknownMemberType]
        nn.utils.clip_grad_norm_([w for _, w in trained], MAX_GRADIENT)
        optimiser.step()
        step += 1
        hooks.progress(Progress(step, schedule.n_steps, step * batch, loss))
        if hooks.due(step) and step < schedule.n_steps:
            hooks.save(Snapshot(step, saved(detector, optimiser), ()))
    detector.eval().zero_grad(set_to_none=True)
    return sum(weights.numel() for _, weights in trained)
