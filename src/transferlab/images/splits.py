"""The declared split: seeded, stratified, a function of each image's key alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transferlab.identity import digest
from transferlab.specs import SPLITS, TEST, TRAIN, VAL

RULE = "60 % train, 20 % validation, 20 % test of each class, ranked by a hash of the image's name"
VAL_RULE = "20 % of each class's training images are held out for validation, ranked by a hash of the image's name"


def assign(
    keys: Sequence[str], classes: NDArray[np.int64], given: Sequence[str | None], *, resplit: bool
) -> tuple[NDArray[np.uint8], str]:
    """The split of each image, and the rule in words.

    What the format gives is kept. Without any, each class is divided 60/20/20; with train and test only, a fifth of
    the train images become validation; with train and validation only, there is no test split.

    Args:
        keys: n unique names. classes: int [n], for stratification.
        given: "train", "val", "test" or None for each image. resplit: divide anew whatever is given.

    Returns:
        uint8 [n] of TRAIN, VAL, TEST; and the rule.
    """
    names = set(given)
    if resplit or None in names:
        return _ranked(keys, classes, np.ones(len(keys), bool), (0.6, 0.2)), RULE
    split = np.array([SPLITS.index(str(name)) for name in given], np.uint8)
    if VAL in split or TRAIN not in split:
        return split, "as the source gives it"
    carved = _ranked(keys, classes, split == TRAIN, (0.8, 0.2))
    return np.where(split == TRAIN, carved, split).astype(np.uint8), f"test as the source gives it; {VAL_RULE}"


def _ranked(
    keys: Sequence[str], classes: NDArray[np.int64], among: NDArray[np.bool_], shares: tuple[float, float]
) -> NDArray[np.uint8]:
    """Of each class the first share becomes TRAIN, the second VAL, the rest TEST; every share gets one if it can."""
    split = np.full(len(keys), TEST, np.uint8)
    ranks = np.array([digest("split", key) for key in keys])
    order = np.lexsort((ranks, classes))
    order = order[among[order]]
    for members in np.split(order, np.flatnonzero(np.diff(classes[order])) + 1):
        n = len(members)
        n_test = round(n * (1 - sum(shares))) if sum(shares) < 0.999 else 0
        n_val = round(n * shares[1])
        if n >= 3:
            n_val, n_test = max(1, n_val), max(1, n_test) if sum(shares) < 0.999 else 0
        split[members[: n - n_val - n_test]] = TRAIN
        split[members[n - n_val - n_test : n - n_test]] = VAL
    return split
