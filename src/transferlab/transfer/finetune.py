"""Fine-tunes all layers with a new head. With random initial weights this is the control "scratch"."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from transferlab.engine import batches
from transferlab.engine.batches import features
from transferlab.engine.fit import Fitted, Hooks, Progress, Snapshot, TrainingFailed, evaluate, fit
from transferlab.identity import torch_seed
from transferlab.specs import Examples, Recipe
from transferlab.transfer.problem import Prediction, Problem
from transferlab.transfer.races import examples_of, races_of, rates_of

BATCH = 64


def fit_predict(problem: Problem) -> Prediction:
    """Choose a learning rate by short races, train at it on training and validation images together, and predict the test images.

    The races are successive halving (Jamieson and Talwalkar 2016): every rate trains for a short time with a whole schedule
    of its own, the half with the higher validation loss is dropped, and the others train anew for longer. A rate with a
    non-finite loss comes last. The last training starts anew, and its length follows from the number of images
    (``examples_of``) or is the setting ``examples``. Without validation images (at one shot) there are no races, and the rate
    is the setting ``lr``. The trainings are saved and resumed as one.

    Raises:
        TrainingFailed: the loss is not finite at any rate that is left.
    """
    n_val = len(problem.rows("val"))
    n_examples = examples_of(problem.settings, len(problem.rows("train")) + n_val)
    races, rates = races_of(n_examples, n_val), rates_of(problem.settings)
    course = _Course(problem, n_examples, races)
    for n_rates, n_seen in races:
        losses = {lr: course.race(lr, n_seen) for lr in rates[:n_rates]}
        rates = sorted(losses, key=lambda lr: (losses[lr], lr))
    lr, fitted = course.last(rates if races else [float(problem.settings["lr"])], n_examples)
    return Prediction(_scores(problem, fitted, course.alive(course.in_all)), {"lr": lr, "examples": fitted.n_seen})


def recipe_of(problem: Problem, lr: float, n_examples: int) -> Recipe:
    """The network's recipe with this rate and length, SGD in small batches, and no label smoothing."""
    own, length = problem.network.recipe, Examples(n_examples)
    batch = min(own.batch, BATCH)
    return replace(own, length=length, lr=lr, batch=batch, label_smoothing=0.0, optimiser="sgd", ema=None)


class _Course:
    """The trainings of one cell as a single one: the steps of each follow those of the trainings before it.

    A snapshot holds the losses of the trainings that have ended. Resumed, the course gives these again instead of training.
    """

    def __init__(self, problem: Problem, n_examples: int, races: Sequence[tuple[int, int]]) -> None:
        self.problem, self.own, self.batch = problem, problem.hooks, recipe_of(problem, 1.0, n_examples).batch
        self.in_all = sum(n_rates * self._steps(n_seen) for n_rates, n_seen in races) + self._steps(n_examples)
        self.before, self.losses = 0, list[float]()
        resume = self.own.resume
        self.known = [] if resume is None else [ended["loss"] for ended in resume.history]

    def race(self, lr: float, n_examples: int) -> float:
        """The validation loss after a short training on the training images alone; infinite if it is not finite."""
        loss = self._known()
        if loss is None:
            try:
                loss = self._validation_loss(self._fit(self.problem.examples("train"), lr, n_examples), n_examples)
            except TrainingFailed:
                loss = math.inf
        self.losses.append(loss)
        self.before += self._steps(n_examples)
        return loss

    def last(self, rates: Sequence[float], n_examples: int) -> tuple[float, Fitted]:
        """The first of these rates at which a whole training has a finite loss, with its network."""
        for lr in rates:
            if self._known() is None:
                try:
                    return lr, self._fit(_train_and_val(self.problem), lr, n_examples)
                except TrainingFailed:
                    if lr == rates[-1]:
                        raise
            self.losses.append(math.inf)
        raise RuntimeError("no rate was tried")

    def alive(self, at: int) -> Callable[[int], None]:
        """Progress of a pass over images that follows step ``at``: it stays there."""
        return lambda done: self.own.progress(Progress(at, self.in_all, at * self.batch, math.nan))

    def _known(self) -> float | None:
        """The loss of the next training if it ended before the snapshot that is resumed."""
        return self.known[len(self.losses)] if len(self.losses) < len(self.known) else None

    def _steps(self, n_examples: int) -> int:
        return max(1, round(n_examples / self.batch))

    def _fit(self, examples: batches.Examples, lr: float, n_examples: int) -> Fitted:
        problem, start = self.problem, copy.deepcopy(self.problem.network.backbone)
        recipe, seed = recipe_of(problem, lr, n_examples), torch_seed("finetune", problem.seed)
        return fit(examples, recipe, seed, problem.place, start=start, hooks=self._hooks())

    def _hooks(self) -> Hooks:
        """The hooks of the next training."""
        before, ended, taken = self.before, tuple({"loss": loss} for loss in self.losses), self.own.resume

        def progress(at: Progress) -> None:
            self.own.progress(Progress(before + at.step, self.in_all, before * self.batch + at.n_seen, at.loss))

        def save(snapshot: Snapshot) -> None:
            self.own.save(Snapshot(before + snapshot.step, snapshot.tensors, ended))

        is_resumed = taken is not None and len(self.losses) == len(self.known)
        resume = replace(taken, step=taken.step - before, history=()) if taken is not None and is_resumed else None
        return Hooks(progress, lambda step: self.own.due(before + step), save, self.own.discard, resume)

    def _validation_loss(self, fitted: Fitted, n_examples: int) -> float:
        problem, alive = self.problem, self.alive(self.before + self._steps(n_examples))
        px = problem.network.recipe.image_px
        loss = evaluate(fitted.backbone, fitted.head, problem.examples("val"), problem.place, px, alive)[0]
        return loss if math.isfinite(loss) else math.inf


def _train_and_val(problem: Problem) -> batches.Examples:
    train, val = problem.examples("train"), problem.examples("val")
    rows, labels = np.concatenate([train.rows, val.rows]), np.concatenate([train.labels, val.labels])
    return replace(train, rows=rows, labels=labels)


def _scores(problem: Problem, fitted: Fitted, alive: Callable[[int], None]) -> Tensor:
    """Log-probabilities of the test images, float32 [e, c]."""
    found = features(fitted.backbone, problem.examples("test"), problem.place, problem.network.recipe.image_px, alive)
    scores = F.linear(found, fitted.head.weight.detach().cpu(), fitted.head.bias.detach().cpu())
    return F.logsigmoid(scores) if problem.multi_label else F.log_softmax(scores, 1)
