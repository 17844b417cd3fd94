"""Trains a detector: which layers move, how their norms are treated, the schedule; resumable to the bit."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transferlab.engine.batches import Order, Place
from transferlab.engine.fit import Hooks, Progress, Snapshot, TrainingFailed, learning_rate
from transferlab.identity import torch_seed
from transferlab.specs import Recipe
from transferlab.transfer.detect.model import Detector
from transferlab.transfer.detect.scenes import Scenes, batch_of, shake

MOST_GRADIENT = 10.0  # norm of all gradients together; longer ones are shortened to it
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Course:
    """How a detector is trained: the knobs of its protocol.

    Args:
        recipe: length in examples seen, batch, AdamW's rate and decay, warm-up and schedule.
        frozen: parts of the backbone (the stem and the stages) that stay as they are, from the first on.
        norms: ``frozen``: batch norms keep the averages that they came with, their scale and shift are trained;
            ``trained``: they use each batch's own, as in pre-training.
        scale: images are enlarged by a factor of ``scale`` to 1 / ``scale``.
    """

    recipe: Recipe
    n_steps: int
    frozen: int
    norms: str
    scale: float


@contextlib.contextmanager
def drawing(device: str, *names: object) -> Generator[None]:
    """Within, torch's global generator is set from these names; afterwards it is as it was.

    torchvision's samplers of anchors and regions, and the first weights of its layers, are drawn from no other.
    """
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(torch_seed(*names))
        yield


def freeze(detector: Detector, course: Course) -> list[tuple[str, nn.Parameter]]:
    """Fix the first parts of the backbone, and say what is trained: names and weights.

    Nothing before the first trained layer takes part in the backward pass.
    """
    for part in list(detector.maps.parts)[: course.frozen]:
        part.requires_grad_(False)
    if course.frozen >= len(detector.maps.parts) and detector.maps.connected is not None:
        detector.maps.connected.requires_grad_(False)
    return [(name, weights) for name, weights in detector.named_parameters() if weights.requires_grad]


def set_training(detector: Detector, course: Course) -> None:
    """Training mode, but for frozen parts, and for batch norms that keep their averages."""
    detector.train()
    parts = list(detector.maps.parts)
    for number, part in enumerate(parts):
        if number < course.frozen:
            part.eval()
        elif course.norms == "frozen":
            for layer in part.modules():
                if isinstance(layer, NORMS):
                    layer.eval()


def train(detector: Detector, scenes: Scenes, course: Course, seed: int, place: Place, hooks: Hooks) -> int:
    """Train in place; returns how many weights moved. Order, augmentation and samples follow from seed and step alone.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    trained = freeze(detector, course)
    groups = [{"params": [w for _, w in trained if w.ndim >= 2], "weight_decay": course.recipe.weight_decay},
              {"params": [w for _, w in trained if w.ndim < 2], "weight_decay": 0.0}]  # fmt: skip
    optimiser = torch.optim.AdamW(groups, lr=course.recipe.lr, fused=True)
    step = 0 if hooks.resume is None else _restore(detector, optimiser, dict(trained), hooks.resume)
    order, batch, loss = Order(len(scenes.rows), seed), course.recipe.batch, math.nan
    set_training(detector, course)
    while step < course.n_steps:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(course.recipe, step, course.n_steps)
        positions = order.positions(step * batch, (step + 1) * batch)
        seen = batch_of(scenes, positions, detector.stride, place.device, shake(course.scale, batch, seed, step))
        with drawing(place.device, "detect", seed, step), place.autocast():
            total = detector.losses(seen)
        loss = float(total.detach())
        if not math.isfinite(loss):
            raise TrainingFailed(f"the detector's loss is {loss}: lower its learning rate ({course.recipe.lr})")
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # pyright: ignore[reportUnknownMemberType]
        nn.utils.clip_grad_norm_([w for _, w in trained], MOST_GRADIENT)
        optimiser.step()
        step += 1
        hooks.progress(Progress(step, course.n_steps, step * batch, loss))
        if hooks.due(step) and step < course.n_steps:
            hooks.save(_snapshot(detector, optimiser, dict(trained), step))
    detector.eval().zero_grad(set_to_none=True)
    return sum(weights.numel() for _, weights in trained)


def _snapshot(
    detector: Detector, optimiser: torch.optim.Optimizer, trained: Mapping[str, nn.Parameter], step: int
) -> Snapshot:
    tensors: dict[str, Tensor] = {f"network.{name}": value for name, value in detector.state_dict().items()}
    for name, weights in trained.items():
        for key, value in optimiser.state[weights].items():
            tensors[f"optimiser.{key}.{name}"] = value
    return Snapshot(step, {name: value.detach().cpu().clone() for name, value in tensors.items()}, ())


def _restore(
    detector: Detector, optimiser: torch.optim.Optimizer, trained: Mapping[str, nn.Parameter], snapshot: Snapshot
) -> int:
    held = {"network": dict[str, Tensor](), "optimiser": dict[str, Tensor]()}
    for name, value in snapshot.tensors.items():
        kind, _, rest = name.partition(".")
        held[kind][rest] = value
    detector.load_state_dict(held["network"])
    for name, value in held["optimiser"].items():
        key, _, of = name.partition(".")
        weights = trained[of]
        placed = value.to("cpu" if key == "step" and weights.device.type == "cpu" else weights.device).clone()
        channels_last = placed.ndim == 4 and weights.is_contiguous(memory_format=torch.channels_last)
        optimiser.state[weights][key] = (
            placed.contiguous(memory_format=torch.channels_last) if channels_last else placed
        )
    return snapshot.step
