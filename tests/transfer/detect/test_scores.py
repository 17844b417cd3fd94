"""What a cell keeps of detections: metrics, hits, and values whose mean is the target's metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from transferlab.specs import Pack
from transferlab.transfer.detect.metrics import Found, Truth, average_precision, mean_of
from transferlab.transfer.detect.scores import scored
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.targets import Target, view

MakePack = Callable[..., Pack]


@pytest.fixture
def target(make_scenes: MakePack) -> Target:
    return view(make_scenes((8, 2, 20)))


def found_in(target: Target) -> Found:
    """Every other object, a little off, and a false alarm for each."""
    truth = Truth.of(target.pack, target.test)
    random = np.random.default_rng(0)
    half = np.arange(0, len(truth.label), 2)
    boxes = np.concatenate([truth.box[half] + random.normal(0, 1, (len(half), 4)), truth.box[half] * 0.3])
    image = np.concatenate([truth.image[half]] * 2)
    return Found(image, np.concatenate([truth.label[half]] * 2), random.random(len(image)).astype(np.float32),
                 boxes.astype(np.float32))  # fmt: skip


def test_metrics_and_rows_are_those_of_the_detections_in_any_order(target: Target) -> None:
    found = found_in(target)
    metrics, rows = scored(target, found)
    each = average_precision(Truth.of(target.pack, target.test), found, "voc10", 0.5)
    assert metrics["mAP"] == pytest.approx(mean_of(each))
    assert 0 < metrics["AP"] < metrics["mAP"] < 1
    turned = np.random.default_rng(1).permutation(len(found.score))
    again, same = scored(target, Found(*(a[turned] for a in (found.image, found.label, found.score, found.box))))
    assert again == metrics
    assert all(np.array_equal(rows[name], same[name]) for name in rows)


def test_hits_are_kept_beside_their_detections(target: Target) -> None:
    found = found_in(target)
    _, rows = scored(target, found)
    assert set(np.unique(rows["hit"])) == {0, 1}
    n = len(found.score) // 2
    right = {tuple(box) for box in found.box[:n].tolist()}
    assert all((tuple(box) in right) == bool(hit) for box, hit in zip(rows["box"].tolist(), rows["hit"], strict=True))
    assert (np.diff(rows["label"]) >= 0).all()


def test_what_meets_an_ignored_object_counts_nowhere(target: Target) -> None:
    boxes = target.pack.boxes
    assert boxes is not None
    ignored = boxes.ignored.copy()
    first = int(boxes.first[target.test[0]])
    ignored[first] = True
    easier = replace(target, pack=replace(target.pack, boxes=replace(boxes, ignored=ignored)))
    box, label = boxes.original[first : first + 1], boxes.labels[first : first + 1]
    _, rows = scored(easier, Found(np.zeros(1, np.int32), label, np.ones(1, np.float32), box))
    assert rows["hit"].tolist() == [-1]


@pytest.mark.parametrize("metric", ["mAP", "AP"])
def test_the_values_mean_is_the_targets_metric(target: Target, metric: str) -> None:
    metrics, rows = scored(replace(target, metric=METRICS[metric]), found_in(target))
    assert rows["value"].shape == (20,)
    assert rows["value"].mean() == pytest.approx(metrics[metric])
    assert rows["value"].std() > 0


def test_without_a_detection_all_is_zero(target: Target) -> None:
    none = Found(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros((0, 4), np.float32))
    metrics, rows = scored(target, none)
    assert set(metrics.values()) == {0.0}
    assert not rows["value"].any()
