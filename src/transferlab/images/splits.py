"""The split of each image: stratified by class, and a function of the image's name alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.specs import SPLITS, TEST, TRAIN, VAL
from transferlab.text import number_of

SHARE = 0.2  # of each class, for validation and for test each
GIVEN = "as the data set gives them"
CHOSEN = "chosen by a hash of their names"


def assign(
    keys: Sequence[str],
    classes: NDArray[np.int64],
    given: Sequence[str | None],
    *,
    resplit: bool,
    stated: str = "",
    where: str = "splits",
) -> tuple[NDArray[np.uint8], str]:
    """The split of each image, and the rule in words.

    Without given splits, or if all images are for training, each class is divided 60/20/20. With train and test, a fifth
    of the training images becomes validation. Train and validation without test stay as they are.

    Args:
        keys: n unique names.
        classes: int64 [n], for stratification.
        given: "train", "val", "test" or None for each image.
        resplit: whether to ignore the given splits.
        stated: where the source states them, a phrase for the rule.
        where: the source's name, for errors.

    Returns:
        uint8 [n] of TRAIN, VAL, TEST; and the rule.

    Raises:
        UserError: only some images have a split, or none is for training.
    """
    names = set(given)
    if resplit or names in ({None}, {"train"}, set[str | None]()):
        split, rule = _divided(keys, classes, np.full(len(keys), TRAIN, np.uint8), with_test=True)
        return split, f"{_ignored(names, stated)}{rule}"
    if None in names:
        without = next(key for key, name in zip(keys, given, strict=True) if name is None)
        raise UserError(
            f"{sum(name is None for name in given)} of {len(given)} images have no split, for example {without}; the others "
            "have", where, "give all of them a split, or add ?resplit=yes to divide them anew",
        )  # fmt: skip
    if "train" not in names:
        only = f"all images are for {' and '.join(sorted(map(str, names)))} {_as_given(stated)}"
        raise UserError(
            f"no image is for training: {only}", where, "add a train split, or ?resplit=yes to divide them anew"
        )
    split = np.array([SPLITS.index(str(name)) for name in given], np.uint8)
    if "val" not in names:
        split, rule = _divided(keys, classes, split, with_test=False)
        return split, f"{_as_given(stated)}; {rule}"
    return split, _as_given(stated)


def _as_given(stated: str) -> str:
    return f"{GIVEN}, {stated}" if stated else GIVEN


def _ignored(names: set[str | None], stated: str) -> str:
    """What the source states and does not count, for the rule."""
    if names == {None}:
        return ""
    if names == {"train"}:
        return f"not used, since all images are for training {_as_given(stated)}; divided anew: "
    return f"not used {_as_given(stated)}; divided anew: "


def _divided(
    keys: Sequence[str], classes: NDArray[np.int64], split: NDArray[np.uint8], *, with_test: bool
) -> tuple[NDArray[np.uint8], str]:
    """Take validation images, and with ``with_test`` also test images, from the training images of each class.

    Of three or more images each split gets at least one; of two images one is taken, for test if possible; a single
    image stays in training.
    """
    ranks = np.array([int(digest("split", key), 16) >> 64 for key in keys], np.uint64)
    order = np.lexsort((ranks, classes))
    order = order[split[order] == TRAIN]
    n_tiny = 0
    for members in np.split(order, np.flatnonzero(np.diff(classes[order])) + 1):
        n = len(members)
        n_tiny += n < 3
        each = max(1, round(n * SHARE)) if n >= 2 else 0
        n_test = each if with_test else 0
        n_val = 0 if n == 2 and with_test else each
        split[members[:n_val]] = VAL
        split[members[n_val : n_val + n_test]] = TEST
    shares = "60 % train, 20 % validation and 20 % test of the images of each class"
    if not with_test:
        shares = "for validation 20 % of the training images of each class"
    tiny = (
        f"; {number_of(n_tiny, 'class has', 'classes have')} fewer than 3 images and not all of the splits"
        if n_tiny
        else ""
    )
    return split, f"{shares}, {CHOSEN}{tiny}"
