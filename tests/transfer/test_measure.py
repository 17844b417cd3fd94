"""Predictions are scored once, against the test labels; what cannot be scored is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch

from transferlab.errors import UserError
from transferlab.specs import Pack, Protocol
from transferlab.transfer.definition import ProtocolDefinition
from transferlab.transfer.measure import judged
from transferlab.transfer.metrics import METRICS, Metric
from transferlab.transfer.problem import Prediction, Problem
from transferlab.transfer.protocols import PROTOCOLS, knn
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


def test_each_images_predicted_class_and_score_of_the_true_class_are_kept(target: Target) -> None:
    found = np.random.default_rng(0).normal(size=(len(target.test), 6)).astype(np.float32)
    labels = target.pack.labels[target.test]
    rows = judged(target, knn(), Prediction(torch.from_numpy(found), probabilities=False)).rows
    assert rows["predicted"].dtype == np.uint8 and rows["true_score"].dtype == np.float16
    assert rows["predicted"].tolist() == found.argmax(1).tolist()
    np.testing.assert_allclose(rows["true_score"], found[np.arange(len(labels)), labels], rtol=1e-3)
    assert ((rows["predicted"] == labels) == rows["right"]).all()


def test_predicted_classes_past_256_have_two_bytes(make_pack: Callable[..., Pack]) -> None:
    for n, dtype in ((256, np.uint8), (257, np.uint16)):
        many = view(make_pack((3,) * n, n_test=1))
        rows = judged(many, knn(), Prediction(scores(many), probabilities=False)).rows
        assert rows["predicted"].dtype == dtype and rows["right"].all()


def test_scores_past_the_range_of_two_bytes_are_infinite(target: Target) -> None:
    rows = judged(target, knn(), Prediction(scores(target) * 1e6, probabilities=False)).rows
    assert np.isinf(rows["true_score"]).all()


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


@pytest.mark.parametrize("rows", ["predicted", "true_score"])
def test_a_metric_may_not_be_named_like_the_predictions(rows: str) -> None:
    with pytest.raises(UserError, match=f"rows = '{rows}' is the name of other results"):
        Metric(name="mine", labels="one", of=lambda scores, of: 0.5, each=lambda scores, of: of, rows=rows)


def test_a_protocol_from_outside_may_not_replace_the_predictions(target: Target, bring: Callable[..., None]) -> None:
    def judge(scores: np.ndarray, labels: np.ndarray, notes: object) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        return {}, {"predicted": labels}

    mine = ProtocolDefinition(
        name="mine", run=lambda problem: Prediction(scores(target), probabilities=False), judge=judge
    )
    bring(PROTOCOLS, mine)
    with pytest.raises(UserError, match="'predicted' is the name of other results"):
        judged(target, Protocol("mine"), mine.run(cast("Problem", None)))
