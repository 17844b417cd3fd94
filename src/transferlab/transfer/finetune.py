"""Fine-tunes all layers with a new head. With random initial weights this is the control "scratch"."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.engine.batches import features
from transferlab.engine.fit import Fitted, Hooks, Progress, Snapshot, TrainingFailed, evaluate, fit, steps_of
from transferlab.identity import torch_seed
from transferlab.specs import Examples, Recipe
from transferlab.transfer.problem import Prediction, Problem

BATCH = 64
LOWER = 4.0  # the second learning rate tried is this many times lower


@dataclass(frozen=True, eq=False)
class _Tried:
    """A finished training: its validation loss, its learning rate, and its weights on the CPU by name."""

    loss: float
    lr: float
    weights: Mapping[str, Tensor]


def fit_predict(problem: Problem) -> Prediction:
    """Train at two learning rates, choose the one with the lower validation loss, and predict the test images.

    The length is the setting ``examples``, whatever the target's size. Without validation examples (at one shot) only the
    first rate is tried. A rate with a non-finite loss is discarded. The trainings are saved and resumed as one.

    Raises:
        TrainingFailed: the loss is not finite at any rate.
    """
    rates = [float(problem.settings["lr"])]
    if len(problem.rows("val")):
        rates.append(rates[0] / LOWER)
    course = _Course(problem, recipe_of(problem, rates[0]), len(rates))
    begun, best, resume = course.resumed()
    for number in range(begun, len(rates)):
        try:
            fitted = _fitted(problem, rates[number], course.hooks(number, best, resume))
        except TrainingFailed:
            if number == len(rates) - 1 and best is None:
                raise
        else:
            tried = _Tried(_validation_loss(problem, fitted, course.alive(number)), rates[number], _weights(fitted))
            best = tried if best is None else min(best, tried, key=lambda t: (t.loss, t.lr))
        resume = None
    assert best is not None, "a training that fails last is raised"
    return Prediction(_scores(problem, best, course.alive(len(rates) - 1)), {"lr": best.lr})


def recipe_of(problem: Problem, lr: float) -> Recipe:
    """The network's recipe with this protocol's length and rate, SGD in small batches, and no label smoothing."""
    length = Examples(int(problem.settings["examples"]))
    own = problem.network.recipe
    batch = min(own.batch, BATCH)
    return replace(own, length=length, lr=lr, batch=batch, label_smoothing=0.0, optimiser="sgd", ema=None)


class _Course:
    """The trainings of one cell as a single one: the steps of each follow those of the trainings before it."""

    def __init__(self, problem: Problem, recipe: Recipe, n_rates: int) -> None:
        self.own, self.batch = problem.hooks, recipe.batch
        self.n_steps = steps_of(recipe, len(problem.rows("train")))
        self.in_all = n_rates * self.n_steps

    def hooks(self, number: int, best: _Tried | None, resume: Snapshot | None) -> Hooks:
        """The hooks of one of the trainings; its snapshots hold the best one before it as well."""
        before = number * self.n_steps
        held = {} if best is None else {f"best.{name}": value for name, value in best.weights.items()}
        history = () if best is None else ({"lr": best.lr, "loss": best.loss},)

        def progress(at: Progress) -> None:
            self.own.progress(Progress(before + at.step, self.in_all, before * self.batch + at.n_seen, at.loss))

        def save(taken: Snapshot) -> None:
            self.own.save(Snapshot(before + taken.step, {**taken.tensors, **held}, history))

        return Hooks(progress, lambda step: self.own.due(before + step), save, self.own.discard, resume)

    def resumed(self) -> tuple[int, _Tried | None, Snapshot | None]:
        """The number of the training to resume, the best one before it, and its own snapshot; from the cell's snapshot."""
        taken = self.own.resume
        if taken is None:
            return 0, None, None
        number, step = divmod(taken.step, self.n_steps)
        weights = {k.removeprefix("best."): v for k, v in taken.tensors.items() if k.startswith("best.")}
        best = _Tried(taken.history[0]["loss"], taken.history[0]["lr"], weights) if taken.history else None
        return number, best, Snapshot(step, taken.tensors, ())

    def alive(self, number: int) -> Callable[[int], None]:
        """Progress of the passes that follow a training: it stays where that training ended."""
        at = (number + 1) * self.n_steps
        return lambda done: self.own.progress(Progress(at, self.in_all, at * self.batch, math.nan))


def _fitted(problem: Problem, lr: float, hooks: Hooks) -> Fitted:
    start = copy.deepcopy(problem.network.backbone)
    seed = torch_seed("finetune", problem.seed)
    return fit(problem.examples("train"), recipe_of(problem, lr), seed, problem.place, start=start, hooks=hooks)


def _weights(fitted: Fitted) -> dict[str, Tensor]:
    state = nn.ModuleDict({"backbone": fitted.backbone, "head": fitted.head}).state_dict()
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _scores(problem: Problem, best: _Tried, alive: Callable[[int], None]) -> Tensor:
    """Log-probabilities of the test images, float32 [e, c]."""
    backbone, px = copy.deepcopy(problem.network.backbone), problem.network.recipe.image_px
    kept = {k.removeprefix("backbone."): v for k, v in best.weights.items() if k.startswith("backbone.")}
    backbone.load_state_dict(kept)
    found = features(backbone, problem.examples("test"), problem.place, px, alive)
    scores = F.linear(found, best.weights["head.weight"], best.weights["head.bias"])
    return F.logsigmoid(scores) if problem.multi_label else F.log_softmax(scores, 1)


def _validation_loss(problem: Problem, fitted: Fitted, alive: Callable[[int], None]) -> float:
    if not len(problem.rows("val")):
        return 0.0
    px = problem.network.recipe.image_px
    return evaluate(fitted.backbone, fitted.head, problem.examples("val"), problem.place, px, alive)[0]
