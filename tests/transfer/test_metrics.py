"""Metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from transferlab.transfer.metrics.average_precision import average_precision, mean_average_precision
from transferlab.transfer.metrics.log_likelihood import negative_log_likelihood
from transferlab.transfer.metrics.mean_class_accuracy import mean_class_accuracy
from transferlab.transfer.metrics.top1 import top1
from transferlab.transfer.metrics.top5 import top5


def scores_and_labels(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(60, 7)).astype(np.float32)
    return (np.round(scores) if ties else scores), random.integers(0, 7, 60).astype(np.int32)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_single_label_metrics_equal_scikit_learns(seed: int) -> None:
    scores, labels = scores_and_labels(seed, ties=False)
    every = list(range(7))
    assert top1(scores, labels) == pytest.approx(reference.accuracy_score(labels, scores.argmax(1)))
    five = reference.top_k_accuracy_score(labels, scores, k=5, labels=every)
    assert top5(scores, labels) == pytest.approx(five)
    recall = np.mean([(scores.argmax(1) == c)[labels == c].mean() for c in np.unique(labels)])
    assert mean_class_accuracy(scores, labels) == pytest.approx(recall)
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    expected = reference.log_loss(labels, np.exp(logs) / np.exp(logs).sum(1, keepdims=True), labels=every)
    assert negative_log_likelihood(logs, labels) == pytest.approx(expected, rel=1e-4)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.booleans())
def test_average_precision_equals_scikit_learns_with_and_without_ties(seed: int, ties: bool) -> None:
    scores, labels = scores_and_labels(seed, ties)
    relevant = labels < 3
    if relevant.any():
        expected = reference.average_precision_score(relevant, scores[:, 0])
        assert average_precision(scores[:, 0], relevant) == pytest.approx(expected)


def test_entries_that_are_not_scored_and_empty_classes_do_not_count() -> None:
    scores = np.array([[0.9, 0.1], [0.5, 0.2], [0.1, 0.3]], np.float32)
    labels = np.array([[1, 0], [-1, 0], [0, 0]], np.int8)
    assert mean_average_precision(scores, labels) == 1.0


def test_top5_of_few_classes_is_one() -> None:
    assert top5(np.eye(3, dtype=np.float32), np.array([2, 1, 0], np.int32)) == 1.0
