"""The last layer fitted anew: the probe's own where features can be held, the same optimum in passes where not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import loss_of
from transferlab.identity import stream
from transferlab.specs import Augmentation, Pack, Recipe
from transferlab.transfer import probe, refit
from transferlab.transfer import problem as problem_room
from transferlab.transfer.logistic import floored
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import refit as protocol
from transferlab.transfer.targets import Target, view

RECIPE = Recipe(backbone="small:4", image_px=16, batch=32, augmentation=Augmentation(2, flip=False), precision="fp32")


@pytest.fixture
def target(make_pack: Callable[..., Pack]) -> Target:
    """A fifth of the labels is wrong, so that the penalty matters."""
    pack = make_pack((80,) * 6, n_test=60)
    wrong = stream("wrong labels").random(len(pack.labels)) < 0.2
    return view(replace(pack, labels=np.where(wrong, (pack.labels * 5 + 1) % 6, pack.labels).astype(np.int32)))


@pytest.fixture
def problem(target: Target) -> Problem:
    torch.set_num_threads(1)
    network = Network(build("small:4", 16, 1), RECIPE, target.pack.mean, target.pack.std)
    return problem_of(network, target, protocol(), 0, Workspace(Place("cpu", "fp32")))


@pytest.fixture
def in_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem_room, "HELD_BYTES", 0)
    monkeypatch.setattr(refit, "BATCH", 64)
    monkeypatch.setattr(refit, "STEPS", 1500)


def test_where_features_are_held_it_is_the_probe(problem: Problem) -> None:
    ours, theirs = refit.fit_predict(problem), probe.fit_predict(problem)
    assert torch.equal(ours.scores, theirs.scores)
    assert ours.chosen == theirs.chosen


@pytest.mark.usefixtures("in_passes")
@pytest.mark.parametrize("penalty", [1e-1, 1e-2])
def test_passes_end_at_the_probes_optimum(
    penalty: float, problem: Problem, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PENALTIES", (penalty,))
    exact, found = probe.fit_predict(problem), refit.fit_predict(problem)
    assert found.chosen == exact.chosen == {"penalty": penalty}
    assert (found.scores.exp() - exact.scores.exp()).abs().mean() < 0.01
    labels = torch.from_numpy(target.pack.labels[target.test].astype(np.int64))
    assert float(loss_of(found.scores, labels, 0.0)) == pytest.approx(
        float(loss_of(exact.scores, labels, 0.0)), abs=0.02
    )
    assert (found.scores.argmax(1) == exact.scores.argmax(1)).float().mean() > 0.97


@pytest.mark.usefixtures("in_passes")
def test_passes_choose_a_penalty_and_hold_no_features(problem: Problem) -> None:
    found = refit.fit_predict(problem)
    assert found.chosen["penalty"] in probe.PENALTIES
    assert problem.cache == {}


@pytest.mark.usefixtures("in_passes")
def test_the_scale_is_that_of_all_features(problem: Problem) -> None:
    scale = refit._scale(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem_room, "HELD_BYTES", 2**30)
        features = problem.features("train")
    torch.testing.assert_close(scale.centre, features.mean(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(scale.spread, floored(features.std(0, correction=0)), atol=1e-5, rtol=1e-3)
    standard = (features - features.mean(0)) / scale.spread
    covariance = (standard.T @ standard).double() / len(features)
    torch.testing.assert_close(scale.metric.covariance, covariance, atol=1e-3, rtol=1e-3)
