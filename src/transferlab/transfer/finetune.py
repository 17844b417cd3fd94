"""Fine-tunes all layers with a new head. With random initial weights this is the control "scratch"."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F

from transferlab.engine.batches import features
from transferlab.engine.fit import Fitted, TrainingFailed, evaluate, fit
from transferlab.identity import torch_seed
from transferlab.specs import Examples, Recipe
from transferlab.transfer.problem import Prediction, Problem

BATCH = 64
LOWER = 4.0  # the second learning rate tried is this many times lower


def fit_predict(problem: Problem) -> Prediction:
    """Train at two learning rates, choose the one with the lower validation loss, and predict the test images.

    The length is the setting ``examples``, whatever the target's size. Without validation examples (at one shot) only the
    first rate is tried. A rate with a non-finite loss is discarded.

    Raises:
        TrainingFailed: the loss is not finite at any rate.
    """
    rates = [float(problem.settings["lr"])]
    if len(problem.rows("val")):
        rates.append(rates[0] / LOWER)
    tried: list[tuple[float, float, Fitted]] = []
    for lr in rates:
        try:
            fitted = _fitted(problem, lr)
        except TrainingFailed:
            if lr == rates[-1] and not tried:
                raise
            continue
        tried.append((_validation_loss(problem, fitted), lr, fitted))
    _, lr, fitted = min(tried, key=lambda t: t[:2])
    found = features(fitted.backbone, problem.examples("test"), problem.place, problem.network.recipe.image_px)
    with torch.inference_mode():
        scores = fitted.head.to("cpu")(found).float()
    scores = F.logsigmoid(scores) if problem.multi_label else F.log_softmax(scores, 1)
    return Prediction(scores.clone(), {"lr": lr})


def recipe_of(problem: Problem, lr: float) -> Recipe:
    """The network's recipe with this protocol's length and rate, SGD in small batches, and no label smoothing."""
    length = Examples(int(problem.settings["examples"]))
    own = problem.network.recipe
    batch = min(own.batch, BATCH)
    return replace(own, length=length, lr=lr, batch=batch, label_smoothing=0.0, optimiser="sgd", ema=None)


def _fitted(problem: Problem, lr: float) -> Fitted:
    start = copy.deepcopy(problem.network.backbone)
    seed = torch_seed("finetune", problem.seed)
    return fit(problem.examples("train"), recipe_of(problem, lr), seed, problem.place, start=start)


def _validation_loss(problem: Problem, fitted: Fitted) -> float:
    if not len(problem.rows("val")):
        return 0.0
    px = problem.network.recipe.image_px
    return evaluate(fitted.backbone, fitted.head, problem.examples("val"), problem.place, px)[0]
