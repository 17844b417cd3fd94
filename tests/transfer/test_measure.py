"""Predictions are scored once, against the test labels; what cannot be scored is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from transferlab.errors import UserError
from transferlab.specs import Pack
from transferlab.transfer.measure import judged
from transferlab.transfer.metrics import METRICS, Metric
from transferlab.transfer.problem import Prediction
from transferlab.transfer.protocols import knn
from transferlab.transfer.targets import Target, view


@pytest.fixture
def target(make_pack: Callable[..., Pack]) -> Target:
    return view(make_pack((12,) * 6))


def scores(target: Target) -> torch.Tensor:
    """Those of a perfect classifier, float32 [e, 6]."""
    return torch.eye(target.n_classes)[torch.from_numpy(target.pack.labels[target.test].astype(np.int64))]


def test_a_perfect_classifier_is_right_on_every_image(target: Target) -> None:
    measured = judged(target, knn(), Prediction(scores(target), probabilities=False))
    assert measured.metrics["top1"] == measured.metrics["top5"] == 1.0
    assert measured.rows["right"].all() and len(measured.rows["right"]) == len(target.test)


@pytest.mark.parametrize(("change", "told"), [
    (lambda s: s * float("nan"), "are not all numbers"),
    (lambda s: s[1:], r"are of shape \(35, 6\)"),
    (lambda s: torch.cat([s, s], 1), r"are of shape \(36, 12\)"),
])  # fmt: skip
def test_scores_that_are_no_numbers_or_too_many_or_too_few_are_refused(
    target: Target, change: Callable[[torch.Tensor], torch.Tensor], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        judged(target, knn(), Prediction(change(scores(target)), probabilities=False))


def test_a_metric_from_outside_may_not_take_the_place_of_other_results(
    target: Target, bring: Callable[..., None]
) -> None:
    bring(
        METRICS,
        Metric(
            name="mine",
            labels="one",
            of=lambda scores, of: 0.5,
            each=lambda scores, of: np.full(len(of), 0.5),
            rows="right",
        ),
    )
    with pytest.raises(UserError, match="rows = 'right' is the name of other results"):
        judged(target, knn(), Prediction(scores(target), probabilities=False), "mine")
