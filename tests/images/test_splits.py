from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.images.splits import assign
from transferlab.specs import SPLITS, TEST, TRAIN, VAL

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def labelled(sizes: list[int]) -> tuple[list[str], np.ndarray]:
    classes = np.repeat(np.arange(len(sizes)), sizes)
    return [f"{c}/{i}" for i, c in enumerate(classes)], classes


def counts(split: np.ndarray) -> list[int]:
    return [int((split == which).sum()) for which in (TRAIN, VAL, TEST)]


@settings(deadline=None)
@given(SIZES)
def test_every_class_is_divided_60_20_20(sizes: list[int]) -> None:
    keys, classes = labelled(sizes)
    split, rule = assign(keys, classes, [None] * len(keys), resplit=False)
    for c, n in enumerate(sizes):
        train, val, test = counts(split[classes == c])
        assert abs(val - 0.2 * n) <= 1 and abs(test - 0.2 * n) <= 1 and train >= 1
        assert min(train, val, test) >= 1 or n < 3
    assert ("fewer than 3" in rule) == (min(sizes) < 3)


@settings(deadline=None)
@given(SIZES, st.randoms(use_true_random=False))
def test_the_order_of_the_images_means_nothing(sizes: list[int], random: object) -> None:
    keys, classes = labelled(sizes)
    order = np.random.Generator(np.random.PCG64(len(keys))).permutation(len(keys))
    split, _ = assign(keys, classes, [None] * len(keys), resplit=False)
    shuffled, _ = assign([keys[i] for i in order], classes[order], [None] * len(keys), resplit=False)
    assert (shuffled == split[order]).all()


def test_one_more_class_moves_no_image_of_the_others() -> None:
    keys, classes = labelled([20, 20])
    more_keys, more_classes = labelled([20, 20, 7])
    split, _ = assign(keys, classes, [None] * 40, resplit=False)
    more, _ = assign(more_keys, more_classes, [None] * 47, resplit=False)
    assert (more[:40] == split).all()


def test_tiny_classes_are_for_training_first_then_for_the_test() -> None:
    keys, classes = labelled([1, 2, 3])
    split, rule = assign(keys, classes, [None] * 6, resplit=False)
    assert [counts(split[classes == c]) for c in range(3)] == [[1, 0, 0], [1, 0, 1], [1, 1, 1]]
    assert "2 classes have fewer than 3 images" in rule


def test_given_splits_are_kept() -> None:
    keys, classes = labelled([30])
    given_names = [SPLITS[i % 3] for i in range(30)]
    split, rule = assign(keys, classes, given_names, resplit=False)
    assert [SPLITS[s] for s in split] == given_names and rule == "as the data set gives them"


def test_train_and_validation_alone_stay_without_a_test_split() -> None:
    keys, classes = labelled([30])
    split, _ = assign(keys, classes, ["train"] * 20 + ["val"] * 10, resplit=False)
    assert counts(split) == [20, 10, 0]


def test_validation_comes_out_of_training_where_only_a_test_is_given() -> None:
    keys, classes = labelled([50, 20])
    given_names = ["test" if i % 5 == 0 else "train" for i in range(70)]
    split, rule = assign(keys, classes, given_names, resplit=False, stated="by the column split")
    assert ((split == TEST) == [name == "test" for name in given_names]).all()
    assert [counts(split[classes == c]) for c in (0, 1)] == [[32, 8, 10], [13, 3, 4]]
    assert rule == (
        "as the data set gives them, by the column split; for validation 20 % of the training images of each class, "
        "chosen by a hash of their names"
    )


def test_training_images_alone_are_divided_like_any() -> None:
    keys, classes = labelled([10])
    alone, rule = assign(keys, classes, ["train"] * 10, resplit=False, stated="by the folder train")
    assert counts(alone) == [6, 2, 2]
    assert rule.startswith(
        "not used, since all images are for training as the data set gives them, by the folder train; divided anew: 60 % train"
    )


def test_resplit_ignores_what_is_given() -> None:
    keys, classes = labelled([10])
    again, _ = assign(keys, classes, ["test"] * 10, resplit=True)
    fresh, _ = assign(keys, classes, [None] * 10, resplit=False)
    assert (again == fresh).all()


@pytest.mark.parametrize(
    ("given_names", "message"),
    [
        (["train", "train", "train", None], "1 of 4 images have no split, for example d; the others have"),
        (["train", "test", None, None], "2 of 4 images have no split"),
        (["val", "val", "test", "test"], "no image is for training: all images are for test and val"),
    ],
)
def test_splits_that_cannot_be_used_are_errors(given_names: list[str | None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        assign(list("abcd"), np.zeros(4, np.int64), given_names, resplit=False)
