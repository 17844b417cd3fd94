"""The probe as a whole against scikit-learn's regression, tuned in the same way over the same penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.identity import stream
from transferlab.specs import Augmentation, Pack, Recipe
from transferlab.transfer import logistic as logistic_room
from transferlab.transfer import probe as probe_room
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.metrics.top1 import top1
from transferlab.transfer.probe import PENALTIES, fit_predict
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import probe
from transferlab.transfer.targets import Target, view

MakePack = Callable[..., Pack]
RECIPE = Recipe(backbone="small:8", image_px=16, batch=32, augmentation=Augmentation(2, flip=False), precision="fp32")


def target(pack: Pack) -> Target:
    """A fifth of the labels is wrong, so that the penalty matters."""
    wrong = stream("wrong labels").random(len(pack.labels)) < 0.2
    return view(replace(pack, labels=np.where(wrong, (pack.labels * 5 + 1) % 6, pack.labels).astype(np.int32)))


def problem(target: Target, precision: Literal["bf16", "fp32"]) -> Problem:
    """Few features separate these classes."""
    torch.set_num_threads(1)
    network = Network(build("small:8", 16, 1), RECIPE, target.pack.mean, target.pack.std)
    made = problem_of(network, target, probe(), 0, Workspace(Place("cpu", "fp32")))
    for split in ("train", "val", "test"):
        made.features(split)  # the same features for both precisions
    return replace(made, place=Place("cpu", precision))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_scores_what_scikit_learn_scores_with_the_same_penalties(
    precision: Literal["bf16", "fp32"], make_pack: MakePack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_room, "LARGE", 0)  # bf16 also for these few rows
    held = target(make_pack((40,) * 6, n_test=60))
    given = problem(held, precision)
    train, val, test = (given.features(split).numpy() for split in ("train", "val", "test"))
    scaler = StandardScaler().fit(train)
    scaler.scale_ = np.maximum(scaler.scale_, 0.3 * np.median(train.std(0)[train.std(0) > 0]))
    train, val, test = (scaler.transform(part).astype(np.float64) for part in (train, val, test))
    train_labels, val_labels = given.train_labels.numpy(), given.val_labels.numpy()

    def fitted(penalty: float, x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> Any:
        features, labels = np.concatenate(x), np.concatenate(y)
        with threadpool_limits(1, "blas"):  # more threads wait for each other
            return LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-8, max_iter=20_000).fit(features, labels)

    right = {p: fitted(p, [train], [train_labels]).score(val, val_labels) for p in PENALTIES}
    ours = fit_predict(given)
    chosen = ours.chosen["penalty"]
    assert right[chosen] >= max(right.values()) - 1.5 / len(val)  # a fit to 1e-4 may flip a validation image
    model = fitted(chosen, [train, val], [train_labels, val_labels])
    np.testing.assert_allclose(ours.scores.exp(), model.predict_proba(test), atol=0.01)
    labels = held.pack.labels[held.test].astype(np.int32)
    assert top1(ours.scores.numpy(), labels) == pytest.approx(model.score(test, labels), abs=0.006)


def test_giving_up_on_weak_penalties_halfway_chooses_what_fitting_them_chooses(
    make_pack: MakePack, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = problem(target(make_pack((40,) * 6, n_test=60)), "fp32")
    evaluate, counted = logistic_room.loss_and_gradient, list[int]()

    def counting(features: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> tuple[float, torch.Tensor]:
        counted[-1] += 1
        return evaluate(features, labels, weights)

    monkeypatch.setattr(logistic_room, "loss_and_gradient", counting)
    counted.append(0)
    quick = fit_predict(given)
    monkeypatch.setattr(logistic_room, "LOOK", 10**9)
    counted.append(0)
    patient = fit_predict(given)
    assert counted[0] < 0.8 * counted[1], counted  # 51 and 93
    assert quick.chosen == patient.chosen
    torch.testing.assert_close(quick.scores, patient.scores, atol=1e-3, rtol=1e-3)
