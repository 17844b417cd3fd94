"""Results per class, on predictions whose accuracies, confusions and changes are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.answers.classes import ImagesTested, Predicted, changed, classes_of
from transferlab.answers.intervals import of_difference, of_share, redrawn_too

LABELS = np.repeat([0, 1, 3], [4, 4, 2])
NAMES = ["ant", "bee", "cow", "dog"]
# Per seed: ants 3 and 4 of 4 right, bees 2 and 1, dogs 0 and 0; a dog is always taken for a cow.
SEEDS = {0: np.array([0, 0, 0, 1, 1, 1, 0, 0, 2, 2]), 2: np.array([0, 0, 0, 0, 1, 0, 0, 0, 2, 2])}
BASE = {2: np.array([0, 1, 1, 1, 1, 1, 1, 1, 3, 2]), 5: np.zeros(10, int)}


def test_each_class_has_its_images_and_its_mean_accuracy() -> None:
    found = classes_of(ImagesTested("leaves", LABELS, NAMES), Predicted("20", SEEDS))
    assert [(each.name, each.n_images) for each in found.classes] == [("ant", 4), ("bee", 4), ("dog", 2)]
    assert [each.accuracy.value for each in found.classes] == [0.875, 0.375, 0.0]
    assert [each.name for each in found.best_first] == ["ant", "bee", "dog"]
    assert (found.n_seeds, found.n_images, found.base) == (2, 10, "")
    assert all(each.accuracy.low is None and each.change is None for each in found.classes)


def test_the_most_frequent_confusions_come_first() -> None:
    found = classes_of(ImagesTested("leaves", LABELS, NAMES), Predicted("20", SEEDS)).confusions
    assert [(c.true, c.predicted, c.n_images, c.share) for c in found] == [
        ("bee", "ant", 2.5, 0.625),
        ("dog", "cow", 2.0, 1.0),
        ("ant", "bee", 0.5, 0.125),
    ]


def test_where_all_is_right_nothing_is_confused() -> None:
    assert classes_of(ImagesTested("leaves", LABELS, NAMES), Predicted("20", {0: LABELS})).confusions == ()


def test_changes_are_of_the_seeds_that_have_both() -> None:
    found = classes_of(ImagesTested("leaves", LABELS, NAMES), Predicted("20", SEEDS), Predicted("floor", BASE))
    assert (found.base, found.n_seeds, found.n_paired) == ("floor", 2, 1)
    assert [each.change.value for each in found.classes if each.change] == [0.75, -0.75, -0.5]
    assert (found.n_gained, found.n_lost) == (3, 4)


def test_without_a_seed_in_common_nothing_is_compared() -> None:
    found = classes_of(ImagesTested("leaves", LABELS, NAMES), Predicted("20", SEEDS), Predicted("floor", {9: LABELS}))
    assert (found.base, found.n_paired) == ("", 0)
    assert all(each.change is None for each in found.classes)


def test_an_image_changes_if_most_seeds_agree_on_both_sides() -> None:
    here = np.array([[1, 1, 0, 1, 1], [1, 0, 0, 1, 1]], bool)
    there = np.array([[0, 0, 1, 1, 0], [0, 0, 1, 1, 1]], bool)
    assert changed(here, there) == (1, 1)  # the second and the last image are undecided on one side


def test_classes_without_names_have_numbers() -> None:
    found = classes_of(ImagesTested("leaves", LABELS, None), Predicted("20", SEEDS))
    assert [each.name for each in found.classes] == ["class 0", "class 1", "class 3"]
    assert not found.named


def test_classes_in_folds_have_wider_intervals() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    seeds = {seed: np.where(random.random(100) < 0.8, labels, 1 - labels) for seed in range(4)}
    plain, folded = (classes_of(ImagesTested("t", labels, None, folds), Predicted("20", seeds)) for folds in (0, 5))
    for a, b in zip(plain.classes, folded.classes, strict=True):
        assert a.accuracy.low is not None and b.accuracy.low is not None
        assert b.accuracy.low < a.accuracy.low < a.accuracy.value == b.accuracy.value


def test_a_class_that_is_always_right_has_an_interval_as_wide_as_its_images_are_few() -> None:
    few, many = of_share(np.ones((3, 10), bool)), of_share(np.ones((3, 1000), bool))
    assert few.low == pytest.approx(0.679, abs=1e-3) and few.high == 1.0  # Agresti and Coull at 10 of 10
    assert many.low is not None and 0.99 < many.low < 1
    wider = of_share(np.ones((3, 10), bool), redrawn_too(5)).low
    assert wider is not None and wider < few.low


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(3, 6), st.integers(1, 40))
def test_an_interval_of_a_share_lies_in_0_to_1_holds_the_share_and_flips(seed: int, n_seeds: int, n: int) -> None:
    random = np.random.default_rng(seed)
    right = random.random((n_seeds, n)) < random.random() * random.random((1, n))
    found, flipped = of_share(right), of_share(~right)
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (flipped.low, flipped.high) == (pytest.approx(1 - found.high), pytest.approx(1 - found.low))
    change = of_difference(found, flipped)
    assert change.low is not None and change.high is not None
    assert -1 <= change.low <= change.value == found.value - flipped.value <= change.high <= 1


def test_fewer_than_three_seeds_have_no_interval() -> None:
    two = of_share(np.ones((2, 10), bool))
    assert (two.value, two.low, two.high) == (1.0, None, None)
    assert of_difference(two, of_share(np.zeros((5, 10), bool))).low is None
