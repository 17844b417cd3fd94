"""How steps are taken: one after another on the CPU; on CUDA captured once as a graph and replayed, many at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from transferlab.engine.batches import DRAWN_TOGETHER, Examples, Feed, Place
from transferlab.engine.pixels import on_device
from transferlab.specs import Recipe

BLOCK_NUMBERS = 2**23  # inputs of a block of steps hold about so many numbers at most, 17 MB in bf16
WARM_UP = 3  # steps before the capture, which cuDNN and cuBLAS choose their kernels in


class Trainer(Protocol):
    """What a step is made of; each part only enqueues work on CUDA, so that it can be captured."""

    @property
    def optimiser(self) -> torch.optim.Optimizer: ...
    @property
    def random(self) -> torch.Generator | None: ...
    def begin(self, step: int) -> None: ...
    def set_rate(self, lr: float | Tensor) -> None: ...
    def gradients(self, inputs: Tensor, labels: Tensor) -> Tensor: ...
    def check(self, loss: float) -> None: ...
    def update(self) -> None: ...


@dataclass(frozen=True, eq=False)
class Course:
    """What stays fixed through a training.

    Args:
        rate: the learning rate of a step.
        limit: the step that a block beginning at a step may reach at most: the next check, or the end.
    """

    examples: Examples
    recipe: Recipe
    seed: int
    place: Place
    rate: Callable[[int], float]
    limit: Callable[[int], int]


class Singly:
    """Steps one by one, each loss known before the weights change: the CPU's way."""

    def __init__(self, trainer: Trainer, course: Course, first: int) -> None:
        self.trainer, self.course = trainer, course
        self.loss: float = math.nan  # the latest that is known
        self.feed = Feed(course.examples, course.recipe, course.place, course.seed, iter(()))

    def take(self, step: int) -> int:
        """Take a step; returns the next."""
        inputs, labels = self.feed.steps(step, step + 1)
        self.trainer.set_rate(self.course.rate(step))
        self.trainer.begin(step)
        self.loss = float(self.trainer.gradients(inputs, labels))
        self.trainer.check(self.loss)
        self.trainer.update()
        return step + 1

    def settle(self) -> None:
        """Nothing is under way between steps."""

    def close(self) -> None:
        self.feed.close()


class Replayed:
    """Steps in blocks, without the host waiting for the device: CUDA's way.

    A block's inputs are made in a few launches, then each step is one replay of a graph that counts on the device
    which of them it takes. Losses come back a block late; each is checked, so one that is not finite is not missed.
    All work goes to the current stream, which no other graph may share while this one lives: a graph keeps the
    stream's cuBLAS workspace. Off CUDA the same steps run without a graph.
    """

    def __init__(self, trainer: Trainer, course: Course, first: int) -> None:
        self.trainer, self.course = trainer, course
        self.loss: float = math.nan  # the latest that is known
        recipe, device = course.recipe, course.place.device
        numbers = recipe.batch * 3 * recipe.image_px**2
        self.n_together = 2 ** int(math.log2(min(DRAWN_TOGETHER, max(1, BLOCK_NUMBERS // numbers))))
        self.feed = Feed(course.examples, recipe, course.place, course.seed, self._parts(first))
        dtype = torch.bfloat16 if course.place.precision == "bf16" else torch.float32
        shape = (self.n_together, recipe.batch, recipe.image_px, recipe.image_px, 3)
        self.inputs = torch.zeros(shape, dtype=dtype, device=device)
        labels = self.feed.labels
        self.labels = labels.new_zeros((self.n_together, recipe.batch, *labels.shape[1:]))
        self.rates = torch.zeros(self.n_together, device=device)
        self.losses = torch.zeros(self.n_together, device=device)
        self.at = torch.zeros(1, dtype=torch.int64, device=device)
        self.n_eager, self.graph = 0, None
        self.told: deque[tuple[Tensor, Any]] = deque()

    def take(self, step: int) -> int:
        """Enqueue a block of steps; returns the step behind it."""
        last = self._end(step)
        inputs, labels = self.feed.steps(step, last)
        n = last - step
        self.inputs[:n].view(-1, *self.inputs.shape[2:]).copy_(inputs.permute(0, 2, 3, 1))
        self.labels[:n].view(-1, *self.labels.shape[2:]).copy_(labels)
        rates = np.array([self.course.rate(at) for at in range(step, last)], np.float32)
        self.rates[:n].copy_(on_device(rates, self.course.place.device), non_blocking=True)
        self.at.zero_()
        for at in range(step, last):
            self.trainer.begin(at)
            self._step()
        self._tell(n)
        while len(self.told) > 1:
            self._hear()
        return last

    def settle(self) -> None:
        """Wait for all steps taken, and check their losses."""
        while self.told:
            self._hear()

    def close(self) -> None:
        self.feed.close()

    def _end(self, step: int) -> int:
        """A block ends before its random numbers do, so that it is cut alike after every resuming."""
        to_multiple = self.n_together - step % self.n_together
        return min(step + to_multiple, self.course.limit(step))

    def _parts(self, first: int) -> Iterator[tuple[int, int]]:
        while (last := self._end(first)) > first:
            yield first, last
            first = last

    def _step(self) -> None:
        if self.course.place.device == "cpu" or self.n_eager < WARM_UP:
            self.n_eager += 1
            self._enqueue()
            return
        if self.graph is None:
            self.graph = self._captured()
        self.graph.replay()

    def _captured(self) -> torch.cuda.CUDAGraph:
        """Capturing records a step and runs nothing: weights, momenta and counters stay as the warm-up left them."""
        for group in self.trainer.optimiser.param_groups:
            if "capturable" in group:
                group["capturable"] = True
        self.trainer.optimiser.zero_grad(set_to_none=True)  # gradients then live in the graph's own memory
        graph = torch.cuda.CUDAGraph()
        if self.trainer.random is not None:  # replays then read the seed that ``begin`` sets before each
            graph.register_generator_state(self.trainer.random)
        # Threads that stream pixels go on meanwhile.
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
            self._enqueue()
        return graph

    def _enqueue(self) -> None:
        inputs = self.inputs.index_select(0, self.at)[0].permute(0, 3, 1, 2)
        labels = self.labels.index_select(0, self.at)[0]
        self.trainer.set_rate(self.rates.index_select(0, self.at)[0])
        loss = self.trainer.gradients(inputs, labels)
        self.losses.index_copy_(0, self.at, loss.float().view(1))
        self.trainer.update()
        self.at.add_(1)

    def _tell(self, n: int) -> None:
        if self.course.place.device == "cpu":
            self.told.append((self.losses[:n].clone(), None))
            return
        losses = torch.empty(n, pin_memory=True).copy_(self.losses[:n], non_blocking=True)
        self.told.append((losses, torch.cuda.current_stream().record_event()))

    def _hear(self) -> None:
        losses, arrived = self.told.popleft()
        if arrived is not None:
            arrived.synchronize()
        for loss in cast("list[float]", losses.tolist()):
            self.trainer.check(loss)
            self.loss = loss


STEPS: dict[str, type[Singly] | type[Replayed]] = {"cpu": Singly, "cuda": Replayed}
