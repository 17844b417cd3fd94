"""Fine-tunes all layers, beginning with a last layer that was fitted to frozen features. From random weights it is "scratch"."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.engine import batches
from transferlab.engine.batches import features
from transferlab.engine.fit import Fitted, Hooks, Progress, Snapshot, TrainingFailed, fit
from transferlab.identity import torch_seed
from transferlab.specs import Examples, Recipe
from transferlab.transfer.probe import last_layer
from transferlab.transfer.problem import Prediction, Problem

BATCH = 64
LOWER = (1.0, 1 / 3, 1 / 9)  # of the setting lr, in turn, where the loss does not stay finite


def fit_predict(problem: Problem, n_examples: int) -> Prediction:
    """Train all layers on training and validation images together, and predict the test images.

    The last layer begins as a linear probe on the network's frozen features (Kumar et al. 2022): from a random one, the first
    steps spoil features that are good already. Nothing is chosen on validation images; see LOG.md, "Fine-tuning begins
    with a probe", for the rate. If the loss does not stay finite, the training begins again at a third of the rate.

    Args:
        n_examples: examples that the training sees.

    Raises:
        TrainingFailed: the loss is not finite at the lowest rate either.
    """
    head = last_layer(problem) if problem.settings["head"] == "probed" else None
    rates = [problem.settings["lr"] * share for share in LOWER]
    resume = problem.hooks.resume
    lost = 0 if resume is None else min(len(resume.history), len(rates) - 1)
    lr, fitted = _trained(problem, head, rates, lost, n_examples)
    n_steps = round(fitted.n_seen / recipe_of(problem, lr, n_examples).batch)

    def alive(done: int) -> None:
        problem.hooks.progress(Progress(n_steps, n_steps, fitted.n_seen, math.nan))

    return Prediction(_scores(problem, fitted, alive), {"lr": lr, "examples": fitted.n_seen})


def recipe_of(problem: Problem, lr: float, n_examples: int) -> Recipe:
    """The network's recipe with this rate and length, SGD in small batches, and no label smoothing."""
    own, length = problem.network.recipe, Examples(n_examples)
    batch = min(own.batch, BATCH)
    return replace(own, length=length, lr=lr, batch=batch, label_smoothing=0.0, optimiser="sgd", ema=None)


def _trained(
    problem: Problem, head: nn.Linear | None, rates: Sequence[float], lost: int, n_examples: int
) -> tuple[float, Fitted]:
    """The first of the rates at which the loss stays finite, with the network; the first ``lost`` ones did not."""
    examples, seed = _train_and_val(problem), torch_seed("finetune", problem.seed)
    for number in range(lost, len(rates)):
        lr, hooks = rates[number], _hooks(problem.hooks, number, number == lost)
        start = copy.deepcopy(problem.network.backbone)
        recipe = recipe_of(problem, lr, n_examples)
        try:
            return lr, fit(examples, recipe, seed, problem.place, start=start, head=copy.deepcopy(head), hooks=hooks)
        except TrainingFailed:
            if number == len(rates) - 1:
                raise
    raise RuntimeError("no rate was tried")


def _hooks(own: Hooks, lost: int, resumes: bool) -> Hooks:
    """The hooks of a training before which so many rates were lost; a snapshot's history has an entry for each of them."""

    def save(snapshot: Snapshot) -> None:
        own.save(replace(snapshot, history=({"lost": 1.0},) * lost))

    return replace(own, save=save, resume=own.resume if resumes else None)


def _train_and_val(problem: Problem) -> batches.Examples:
    train, val = problem.examples("train"), problem.examples("val")
    rows, labels = np.concatenate([train.rows, val.rows]), np.concatenate([train.labels, val.labels])
    return replace(train, rows=rows, labels=labels)


def _scores(problem: Problem, fitted: Fitted, alive: Callable[[int], None]) -> Tensor:
    """Log-probabilities of the test images, float32 [e, c]."""
    found = features(fitted.backbone, problem.examples("test"), problem.place, problem.network.recipe.image_px, alive)
    scores = F.linear(found, fitted.head.weight.detach().cpu(), fitted.head.bias.detach().cpu())
    return F.logsigmoid(scores) if problem.multi_label else F.log_softmax(scores, 1)
