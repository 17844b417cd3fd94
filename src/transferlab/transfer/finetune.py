"""Fine-tunes all layers, beginning with a last layer that was fitted to frozen features. From random weights it is "scratch"."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable
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
MEASURED = Recipe()  # schedule, warm-up and weight decay do not depend on how the network was pre-trained


def fit_predict(problem: Problem, n_examples: int) -> Prediction:
    """Train all layers on training and validation images together, and predict the test images.

    The last layer begins as a linear probe on the network's frozen features (Kumar et al. 2022): from a random one, the first
    steps spoil features that are good already. Its penalty is all that is chosen on validation images; see LOG.md, "Fine-tuning
    begins with a probe", for the rate. If the loss does not stay finite, the training begins again at a third of the rate, then at
    a ninth.

    Args:
        n_examples: examples that the training sees.

    Raises:
        TrainingFailed: the loss is not finite at any of these rates.
    """
    head, penalty = last_layer(problem) if problem.settings["head"] == "probed" else (None, None)
    lr, fitted = _trained(problem, head, n_examples)
    n_steps = round(fitted.n_seen / recipe_of(problem, lr, n_examples).batch)

    def alive(done: int) -> None:
        problem.hooks.progress(Progress(n_steps, n_steps, fitted.n_seen, math.nan))

    chosen = {"lr": lr, "examples": float(fitted.n_seen)} | ({} if penalty is None else {"penalty": penalty})
    return Prediction(_scores(problem, fitted, alive), chosen)


def recipe_of(problem: Problem, lr: float, n_examples: int) -> Recipe:
    """The network's input and augmentation with this rate and length: SGD in small batches, one cycle, no label smoothing."""
    own = problem.network.recipe
    return replace(
        MEASURED, backbone=own.backbone, image_px=own.image_px, augmentation=own.augmentation, precision=own.precision, lr=lr,
        length=Examples(n_examples), batch=min(own.batch, BATCH), optimiser="sgd", label_smoothing=0.0,
    )  # fmt: skip


def _trained(problem: Problem, head: nn.Linear | None, n_examples: int) -> tuple[float, Fitted]:
    """The first of the rates at which loss and weights stay finite, with the network."""
    rates, resume = [problem.settings["lr"] * share for share in LOWER], problem.hooks.resume
    lost = 0 if resume is None else min(len(resume.history), len(rates) - 1)
    examples, seed = _train_and_val(problem), torch_seed("finetune", problem.seed)
    for number in range(lost, len(rates)):
        lr, hooks = rates[number], _hooks(problem.hooks, number, number == lost)
        start, layer = copy.deepcopy(problem.network.backbone), copy.deepcopy(head)
        recipe = recipe_of(problem, lr, n_examples)
        with contextlib.suppress(TrainingFailed):
            fitted = fit(examples, recipe, seed, problem.place, start=start, head=layer, hooks=hooks)
            if all(bool(p.isfinite().all()) for p in (*fitted.backbone.parameters(), *fitted.head.parameters())):
                return lr, fitted
    tried = ", ".join(f"{lr:.3g}" for lr in rates)
    raise TrainingFailed(
        f"loss or weights are not finite at the rates {tried}: lower finetune's setting lr, or use precision fp32"
    )


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
