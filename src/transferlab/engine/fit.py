"""The training loop, for pre-training and fine-tuning on any device; a resumed training ends in the same bits."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from transferlab.engine import batches, drops
from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import build, find
from transferlab.engine.batches import Examples, Place
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.engine.stem import whiten
from transferlab.engine.steps import STEPS, Course
from transferlab.identity import torch_seed
from transferlab.specs import Epochs, Recipe, UntilFlat


class TrainingFailed(RuntimeError):
    """The training cannot continue, because its loss is not finite; recorded as a failure of its cell."""


@dataclass(frozen=True)
class Progress:
    """The state of a training or another pass: steps done and in total, examples seen, the latest mean loss (or NaN)."""

    step: int
    n_steps: int
    n_seen: int
    loss: float


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that resuming needs: the next step, tensors by name, and the checks so far or what else the caller keeps there."""

    step: int
    tensors: Mapping[str, Tensor]
    history: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class Hooks:
    """Calls from a training to its surroundings, which own clocks and files.

    Args:
        progress: called after every step; on CUDA after every block of up to 32 steps that is enqueued.
        due: whether a checkpoint is due after this step; called as often. save: stores it.
        resume: the snapshot to continue from, if any. discard: told why that cannot be restored; the training then starts anew.
    """

    progress: Callable[[Progress], None] = lambda progress: None
    due: Callable[[int], bool] = lambda step: False
    save: Callable[[Snapshot], None] = lambda snapshot: None
    discard: Callable[[str], None] = lambda reason: None
    resume: Snapshot | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network in evaluation mode: backbone, head, examples seen, and the history of checks."""

    backbone: Backbone
    head: nn.Linear
    n_seen: int
    history: tuple[Mapping[str, float], ...] = field(default_factory=tuple)


@dataclass(frozen=True, eq=False)
class Member:
    """One network to be trained.

    Args:
        examples: what it is trained on. seed: of initialisation, order and augmentation.
        validation: examples whose loss ends a training by ``UntilFlat``; required by it, otherwise unused.
        hooks: progress and checkpoints.
        start, head: the backbone and the last layer to fine-tune, in place; None builds a fresh one.
    """

    examples: Examples
    seed: int
    validation: Examples | None = None
    hooks: Hooks = field(default_factory=Hooks)
    start: Backbone | None = None
    head: nn.Linear | None = None


def fit(
    examples: Examples,
    recipe: Recipe,
    seed: int,
    place: Place,
    *,
    start: Backbone | None = None,
    head: nn.Linear | None = None,
    validation: Examples | None = None,
    hooks: Hooks | None = None,
) -> Fitted:
    """Train a backbone and a linear head on examples; the arguments are those of ``Member``.

    Initialisation, order and augmentation are functions of ``seed`` and the step alone. On one CPU with a fixed number of
    threads, equal arguments give equal bits, interrupted or not.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    training = turns(Member(examples, seed, validation, hooks or Hooks(), start, head), recipe, place)
    lane = lane_on(place)
    while (fitted := turn(training, lane, place)) is None:
        pass
    return fitted


def turns(member: Member, recipe: Recipe, place: Place) -> Generator[None, None, Fitted]:
    """A training that ``turn`` advances, by a step on the CPU and by a block of steps on CUDA.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    hooks, n_examples = member.hooks, len(member.examples.rows)
    backbone = member.start or _begun(member, recipe, place)
    head = member.head or _new_head(backbone.n_features, member.examples.n_classes, torch_seed("head", member.seed))
    network = nn.Sequential(backbone, head).to(place.device)
    trainer = _Trainer(network, recipe, place, member.seed)
    n_steps, every = steps_of(recipe, n_examples), _check_every(recipe)
    step, history = 0, tuple[Mapping[str, float], ...]()
    if hooks.resume is not None:
        begun = {name: value.clone() for name, value in network.state_dict().items()}
        try:
            step, history = trainer.restore(hooks.resume, n_steps)
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            network.load_state_dict(begun)
            trainer = _Trainer(network, recipe, place, member.seed)
            hooks.discard(" ".join(str(error).split())[:200])
    network.train()
    rate, limit = partial(learning_rate, recipe, n_steps=n_steps), partial(_next_check, recipe, n_steps)
    steps = STEPS[place.device](trainer, Course(member.examples, recipe, member.seed, place, rate, limit), step)
    with contextlib.closing(steps):
        while step < n_steps and not _is_flat(recipe, history):
            step = steps.take(step)
            if every is not None and step % every == 0 and member.validation is not None:
                steps.settle()
                loss, accuracy = evaluate(backbone, head, member.validation, place, recipe.image_px)
                history = (*history, {"n_seen": step * recipe.batch, "loss": loss, "accuracy": accuracy})
                network.train()
            hooks.progress(Progress(step, n_steps, step * recipe.batch, steps.loss))
            if hooks.due(step) and step < n_steps:
                steps.settle()
                hooks.save(trainer.snapshot(step, history))
            yield
        steps.settle()
    trainer.finish()
    network.eval().zero_grad(set_to_none=True)  # gradients would keep the captured graph's memory
    if place.device == "cuda":
        torch.cuda.current_stream().synchronize()  # others read the weights on other streams
    return Fitted(backbone, head, step * recipe.batch, history)


def _begun(member: Member, recipe: Recipe, place: Place) -> Backbone:
    """A fresh backbone, its first filters whitened if the recipe asks for it and the backbone can."""
    backbone = build(recipe.backbone, recipe.image_px, torch_seed("initialisation", member.seed))
    stem = find(recipe.backbone)[0].stem
    if recipe.stem == "whitened" and stem is not None:
        whiten(stem(backbone.trunk), member.examples, member.seed, place, recipe.image_px)
    return backbone


def lane_on(place: Place) -> Any:
    """A new CUDA stream for one training, ordered after all work enqueued so far; None on the CPU."""
    if place.device == "cpu":
        return None
    lane = torch.cuda.Stream()
    lane.wait_stream(torch.cuda.current_stream())
    return lane


def turn(training: Generator[None, None, Fitted], lane: Any, place: Place) -> Fitted | None:
    """Advance a training by one turn; returns its network once it has ended."""
    with _exact_where_asked(place), torch.cuda.stream(lane):
        try:
            next(training)
        except StopIteration as end:
            return end.value
    return None


def steps_of(recipe: Recipe, n_examples: int) -> int:
    """The number of steps of a recipe on a set of this size (for ``UntilFlat`` the maximum)."""
    length = recipe.length
    if isinstance(length, Epochs):
        return max(1, round(length.n * n_examples / recipe.batch))
    seen = length.max_examples if isinstance(length, UntilFlat) else length.n
    return max(1, round(seen / recipe.batch))


def learning_rate(recipe: Recipe, step: int, n_steps: int) -> float:
    """The learning rate of a step: linear warm-up to the peak, then half a cosine, a line to zero, or Caffe's steps."""
    if isinstance(recipe.length, UntilFlat):  # the number of steps is not known in advance
        return recipe.lr * min(1.0, (step + 1) / max(1.0, recipe.warmup * recipe.length.check_every / recipe.batch))
    done, warm = (step + 0.5) / n_steps, recipe.warmup
    if done < warm:
        return recipe.lr * done / warm
    if recipe.schedule == "steps":
        return recipe.lr * 0.1 ** int(done * 4.5)
    left = (1 - done) / (1 - warm)
    return recipe.lr * (left if recipe.schedule == "one-cycle" else 0.5 * (1 - math.cos(math.pi * left)))


def loss_of(scores: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy for int64 labels [b]; for multi-label [b, c], the mean binary cross-entropy of scored entries."""
    if labels.ndim == 1:
        return F.cross_entropy(scores, labels, label_smoothing=label_smoothing)
    scored = labels >= 0
    each = F.binary_cross_entropy_with_logits(scores, labels.clamp(min=0).float(), reduction="none")
    return (each * scored).sum() / scored.sum().clamp(min=1)


def evaluate(
    backbone: Backbone, head: nn.Linear, examples: Examples, place: Place, image_px: int,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[float, float]:  # fmt: skip
    """Mean loss and top-1 accuracy (multi-label: share of correct entries) of a network on examples.

    Args:
        progress: called after every batch with the number of images done.
    """
    found = batches.features(backbone, examples, place, image_px, progress)
    # The head stays on its device: captured steps hold its address.
    scores = F.linear(found, head.weight.detach().cpu(), head.bias.detach().cpu())
    labels = torch.from_numpy(examples.labels.astype(np.int64 if examples.labels.ndim == 1 else np.int8))
    right = (scores.argmax(1) == labels) if labels.ndim == 1 else ((scores > 0) == (labels > 0))[labels >= 0]
    return float(loss_of(scores, labels, 0.0)), float(right.float().mean())


def saved(network: nn.Module, optimiser: Optimizer, average: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Copies on the CPU, by name, of a network's state, its optimiser's, and its averaged weights if there are any."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():  # frozen weights have none
            tensors[f"optimiser.{key}.{name}"] = value
    tensors |= {f"average.{k}": v for k, v in (average or {}).items()}
    return {k: v.detach().cpu().clone() for k, v in tensors.items()}


def load_saved(network: nn.Module, optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give a network and its optimiser the states of ``saved``, on the weights' device and in their memory format."""
    network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
    parameters = dict(network.named_parameters())
    for full, value in tensors.items():
        kind, _, rest = full.partition(".")
        key, _, name = rest.partition(".")
        if kind == "optimiser":
            weights = parameters[name]
            placed = value.to(weights.device).clone()
            if placed.ndim == 4 and weights.is_contiguous(memory_format=torch.channels_last):
                placed = placed.contiguous(memory_format=torch.channels_last)
            optimiser.state[weights][key] = placed


class _Trainer:
    """One network with its optimiser, averaged weights and precision: what a step changes, and how it is saved."""

    def __init__(self, network: nn.Module, recipe: Recipe, place: Place, seed: int) -> None:
        self.network, self.recipe, self.place, self.seed = network, recipe, place, seed
        random = torch.Generator(place.device)
        self.random = random if drops.give(network, random) else None
        self.optimiser = OPTIMISERS[recipe.optimiser].build(network, replace(recipe, precision=place.precision))
        self.average = None if recipe.ema is None else {k: v.clone() for k, v in _floats(network).items()}

    def set_rate(self, lr: float | Tensor) -> None:
        """Set the rate of the next step: a number, or a float32 [] on the device, which every captured step reads again."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def begin(self, step: int) -> None:
        """Seed the random numbers that the network draws in this step; they depend on seed and step alone."""
        if self.random is not None:
            self.random.manual_seed(torch_seed("dropout", self.seed, step))

    def gradients(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Compute the gradients of a batch; returns its mean loss [] on the device."""
        with self.place.autocast():
            scores = self.network(inputs)
        loss = loss_of(scores.float(), labels, self.recipe.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        return loss.detach()

    def check(self, loss: float) -> None:
        """Raise TrainingFailed, with a remedy, at a loss that is not finite."""
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the loss is {loss}: lower the learning rate ({self.recipe.lr}) or use precision fp32"
            )

    def update(self) -> None:
        """Change the weights by their gradients, and update their average if one is kept."""
        self.optimiser.step()
        if self.average is not None and self.recipe.ema is not None:
            for name, now in _floats(self.network).items():
                self.average[name].lerp_(now, 1 - self.recipe.ema)

    def finish(self) -> None:
        """Replace the weights by their average, if one is kept, and take the random generator away."""
        drops.give(self.network, None)
        if self.average is not None:
            for name, now in _floats(self.network).items():
                now.copy_(self.average[name])

    def snapshot(self, step: int, history: tuple[Mapping[str, float], ...]) -> Snapshot:
        return Snapshot(step, saved(self.network, self.optimiser, self.average), history)

    def restore(self, snapshot: Snapshot, n_steps: int) -> tuple[int, tuple[Mapping[str, float], ...]]:
        """Continue from a snapshot; raises any error if it is of another network or training."""
        if not 0 <= snapshot.step < n_steps:
            raise ValueError(f"step {snapshot.step} of {n_steps}")
        load_saved(self.network, self.optimiser, snapshot.tensors)
        for name, value in (self.average or {}).items():
            value.copy_(snapshot.tensors[f"average.{name}"])
        return snapshot.step, snapshot.history


def _floats(network: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach() for k, v in network.state_dict().items() if v.is_floating_point()}


def _new_head(n_features: int, n_classes: int, seed: int) -> nn.Linear:
    generator = torch.Generator().manual_seed(seed)
    head = nn.Linear(n_features, n_classes, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        head.weight.normal_(0.0, 1 / math.sqrt(n_features), generator=generator)
        head.bias.zero_()
    return head


def _next_check(recipe: Recipe, n_steps: int, step: int) -> int:
    """The step of the next check of the validation loss, or of the end of the training."""
    every = _check_every(recipe)
    return n_steps if every is None else min(n_steps, (step // every + 1) * every)


def _check_every(recipe: Recipe) -> int | None:
    """Steps from one check of the validation loss to the next; None if there are no checks."""
    length = recipe.length
    return max(1, length.check_every // recipe.batch) if isinstance(length, UntilFlat) else None


def _is_flat(recipe: Recipe, history: tuple[Mapping[str, float], ...]) -> bool:
    if not isinstance(recipe.length, UntilFlat) or not history:
        return False
    best = int(np.argmin([check["loss"] for check in history]))
    return len(history) - 1 - best >= recipe.length.patience


def _exact_where_asked(place: Place) -> Any:
    """Flags that make fp32 on CUDA deterministic and exact (no TF32); elsewhere they change nothing."""
    exact = place.precision == "fp32"
    return torch.backends.cudnn.flags(enabled=True, benchmark=not exact, deterministic=exact, allow_tf32=not exact)
