"""How steps are taken: one by one on the CPU; on CUDA captured once as a graph and replayed in blocks."""

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

BLOCK_NUMBERS = 2**23  # in the inputs of one block of steps, at most about; 17 MB in bf16
WARM_UP = 3  # steps before the capture, in which cuDNN and cuBLAS choose their kernels


class Trainer(Protocol):
    """The parts of a step; on CUDA each only enqueues work, so that it can be captured."""

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
    """What does not change during a training.

    Args:
        rate: step to its learning rate.
        limit: the first step of a block to the last step where it may end: the next check, or the end of the training.
    """

    examples: Examples
    recipe: Recipe
    seed: int
    place: Place
    rate: Callable[[int], float]
    limit: Callable[[int], int]


class Singly:
    """Steps one by one, with each loss known before the weights change; used on the CPU."""

    def __init__(self, trainer: Trainer, course: Course, first: int) -> None:
        self.trainer, self.course = trainer, course
        self.loss: float = math.nan  # the latest known one
        self.feed = Feed(course.examples, course.recipe, course.place, course.seed, iter(()))

    def take(self, step: int) -> int:
        """Take a step; returns the number of the next one."""
        inputs, labels = self.feed.steps(step, step + 1)
        self.trainer.set_rate(self.course.rate(step))
        self.trainer.begin(step)
        self.loss = float(self.trainer.gradients(inputs, labels))
        self.trainer.check(self.loss)
        self.trainer.update()
        return step + 1

    def settle(self) -> None:
        """Does nothing: no work is pending between steps."""

    def close(self) -> None:
        self.feed.close()


class Replayed:
    """Steps in blocks, so that the host does not wait for the device; used on CUDA.

    A block's inputs are made in a few launches. Then each step is one replay of a graph, which counts on the device which
    inputs it uses. Losses arrive one block late; each is checked, so none that is not finite is missed. All work goes to
    the current stream, which no other graph may share while this one exists: a graph keeps the stream's cuBLAS workspace.
    On the CPU the same steps run without a graph.
    """

    def __init__(self, trainer: Trainer, course: Course, first: int) -> None:
        self.trainer, self.course = trainer, course
        self.loss: float = math.nan  # the latest known one
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
        self.pending: deque[tuple[Tensor, Any]] = deque()

    def take(self, step: int) -> int:
        """Enqueue a block of steps; returns the number of the step after it."""
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
        self._request_losses(n)
        while len(self.pending) > 1:
            self._receive_losses()
        return last

    def settle(self) -> None:
        """Wait for all enqueued steps and check their losses."""
        while self.pending:
            self._receive_losses()

    def close(self) -> None:
        self.feed.close()

    def _end(self, step: int) -> int:
        """Blocks end where their random numbers end, so that a resumed training has the same blocks."""
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
        """A graph of one step. Capturing runs nothing: weights, momenta and counters stay as the warm-up left them."""
        for group in self.trainer.optimiser.param_groups:
            if "capturable" in group:
                group["capturable"] = True
        self.trainer.optimiser.zero_grad(set_to_none=True)  # so that gradients get memory of the graph's own
        graph = torch.cuda.CUDAGraph()
        if self.trainer.random is not None:  # so that each replay reads the seed that ``begin`` has set
            graph.register_generator_state(self.trainer.random)
        # Threads that load pixels continue meanwhile.
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

    def _request_losses(self, n: int) -> None:
        if self.course.place.device == "cpu":
            self.pending.append((self.losses[:n].clone(), None))
            return
        losses = torch.empty(n, pin_memory=True).copy_(self.losses[:n], non_blocking=True)
        self.pending.append((losses, torch.cuda.current_stream().record_event()))

    def _receive_losses(self) -> None:
        losses, arrived = self.pending.popleft()
        if arrived is not None:
            arrived.synchronize()
        for loss in cast("list[float]", losses.tolist()):
            self.trainer.check(loss)
            self.loss = loss


STEPS: dict[str, type[Singly] | type[Replayed]] = {"cpu": Singly, "cuda": Replayed}
