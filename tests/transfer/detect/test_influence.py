"""Values of images: what average precision is without each, their mean the score, their spread its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transferlab.transfer.detect import influence
from transferlab.transfer.detect.influence import values_of, without_each
from transferlab.transfer.detect.metrics import Found, Matches, Truth, ap_of, coco_matches, matches, mean_of

N, K = 40, 3


def world(seed: int) -> tuple[Truth, Found]:
    """Objects in N images, most of them found, some twice, with false alarms among them."""
    random = np.random.default_rng(seed)
    n_objects = random.integers(0, 4, N)
    image = np.repeat(np.arange(N, dtype=np.int32), n_objects)
    corner, side = random.uniform(0, 60, (len(image), 2)), random.uniform(8, 30, (len(image), 2))
    box, label = np.hstack([corner, corner + side]), random.integers(0, K, len(image)).astype(np.int32)
    truth = Truth(N, K, image, label, box, random.random(len(image)) < 0.1, side.prod(1))
    seen = np.flatnonzero(random.random(len(image)) < 0.8)
    seen = np.concatenate([seen, seen[: len(seen) // 4]])
    shaken = box[seen] + random.normal(0, 2.5, (len(seen), 4))
    n_false = 30
    false = np.hstack([c := random.uniform(0, 60, (n_false, 2)), c + random.uniform(8, 30, (n_false, 2))])
    found = Found(
        np.concatenate([image[seen], random.integers(0, N, n_false).astype(np.int32)]),
        np.concatenate([label[seen], random.integers(0, K, n_false).astype(np.int32)]),
        np.concatenate([random.beta(4, 2, len(seen)), random.beta(2, 4, n_false)]).astype(np.float32),
        np.concatenate([shaken, false]),
    )
    return truth, found


def mean_ap(matched: Matches, images: np.ndarray) -> float:
    return mean_of(ap_of(matched, images, "voc10"))


@pytest.mark.parametrize("seed", range(4))
def test_leaving_out_is_leaving_out(seed: int) -> None:
    matched = matches(*world(seed), 0.5)
    one_by_one = [mean_ap(matched, np.delete(np.arange(N), i)) for i in range(N)]
    assert without_each(matched) == pytest.approx(np.array(one_by_one))


def test_over_several_thresholds_it_is_their_mean() -> None:
    matched = coco_matches(*world(5))
    each = [without_each(replace(matched, hit=matched.hit[i : i + 1], ignored=matched.ignored[i : i + 1]))
            for i in range(len(matched.hit))]  # fmt: skip
    assert without_each(matched) == pytest.approx(np.mean(each, axis=0))


def test_in_blocks_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    matched = matches(*world(6), 0.5)
    whole = without_each(matched)
    monkeypatch.setattr(influence, "AT_ONCE", 100)
    assert np.array_equal(without_each(matched), whole)


def test_values_have_the_score_as_their_mean() -> None:
    matched = matches(*world(7), 0.5)
    assert values_of(matched, 0.4).mean() == pytest.approx(0.4)


def test_their_spread_is_that_of_redrawn_images() -> None:
    matched = matches(*world(11), 0.5)
    random = np.random.default_rng(0)
    redrawn = [mean_ap(matched, random.integers(0, N, N)) for _ in range(1000)]
    assert np.sqrt(values_of(matched, 0.5).var(ddof=1) / N) == pytest.approx(np.std(redrawn), rel=0.2)


def test_a_class_whose_objects_are_all_in_one_image_is_left_out_with_it() -> None:
    truth, found = world(2)
    label = np.where(truth.image == truth.image[0], 0, np.maximum(truth.label, 1)).astype(np.int32)
    matched = matches(replace(truth, label=label, ignored=np.zeros(len(label), bool)), found, 0.5)
    image = int(truth.image[0])
    assert without_each(matched)[image] == pytest.approx(mean_ap(matched, np.delete(np.arange(N), image)))


def test_without_detections_or_objects_every_value_is_the_score() -> None:
    truth, found = world(0)
    none = Found(*(held[:0] for held in (found.image, found.label, found.score, found.box)))
    assert (values_of(matches(truth, none, 0.5), 0.0) == 0).all()
    empty = Truth(N, K, *(held[:0] for held in (truth.image, truth.label, truth.box, truth.ignored, truth.area)))
    assert (values_of(matches(empty, found, 0.5), 0.0) == 0).all()
