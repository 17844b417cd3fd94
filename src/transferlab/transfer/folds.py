"""Folds: a target's images in a few parts, each predicted by a protocol that saw no image of it.

The folds of one half are predicted from fits that start from one fit to the other half: for three folds of five it sees two,
for two it sees three. The rest of the half chooses penalties, and then takes part in the final fit to all other folds.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.transfer.targets import Target, judged_by


def with_all_tested(target: Target, n: int) -> Target:
    """The target with all of its images as test images.

    Args:
        n: number of folds.

    Raises:
        UserError: several labels per image, or boxes; a class of which all images are equal; fewer different images than folds.
    """
    pack = target.pack
    if target.kind != "one":
        raise UserError("folds need one label per image", pack.name, "leave folds out")
    rows = np.sort(np.concatenate([target.train, target.val, target.test]))
    groups = _groups(target, rows)
    labels = pack.labels[[group[0] for group in groups]]
    n_different, present = np.bincount(labels, minlength=target.n_classes), np.unique(pack.labels[rows])
    if len(few := present[n_different[present] < 2]):
        raise UserError(
            f"a class cannot be divided into folds: {pack.taxonomy.leaves[int(few[0])]!r} has fewer than 2 different images",
            pack.name, "add images to it, or leave folds out",
        )  # fmt: skip
    if len(groups) < n:
        raise UserError(f"{len(groups)} different images cannot be divided into {n} folds", pack.name,
                        "choose fewer folds, add images, or leave folds out")  # fmt: skip
    return judged_by(pack, target.train, target.val, rows)


def in_folds(target: Target, n: int, seed: int) -> list[Target]:
    """The target in n folds: fold i's images are the test images of the i-th.

    Equal images are in one fold. Each class is spread evenly, and so are all images. The folds depend on images, classes,
    n and seed alone.

    Args:
        target: all of its images are test images (see ``with_all_tested``).
        n: from 4 up. seed: of the replicate; networks that are compared share it.
    """
    rows, fold = target.test, fold_of(target, n, seed)
    first = np.arange(n) < (n + 1) // 2
    parts: list[Target] = []
    for number in range(n):
        trained = first[fold] != first[number]
        parts.append(
            replace(target, train=rows[trained], val=rows[~trained & (fold != number)], test=rows[fold == number])
        )
    return parts


def fold_of(target: Target, n: int, seed: int) -> NDArray[np.int64]:
    """The fold of each test image, int64 [e] of 0…n-1."""
    pack, fold = target.pack, np.zeros(len(target.pack.labels), np.int64)
    of_class: defaultdict[int, list[NDArray[np.int32]]] = defaultdict(list)
    for group in _groups(target, target.test):
        of_class[int(pack.labels[group[0]])].append(group)
    sizes = np.zeros(n, np.int64)
    for label in sorted(of_class):
        groups = sorted(of_class[label], key=lambda group: int(pack.image_ids[group[0]]))
        random, held = stream("folds", seed, n, label), np.zeros(n, np.int64)
        order: list[int] = random.permutation(len(groups)).tolist()
        for i, ties in zip(order, random.random((len(groups), n)), strict=True):
            # The fewest images of the class, then the fewest of all, then by chance.
            chosen = np.lexsort((ties, sizes, held))[0]
            fold[groups[i]] = chosen
            held[chosen] += len(groups[i])
            sizes[chosen] += len(groups[i])
    return fold[target.test]


def _groups(target: Target, rows: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Rows of equal images together, the one of the smallest id first."""
    equal: defaultdict[bytes, list[int]] = defaultdict(list)
    squares, ids = target.pack.squares, target.pack.image_ids
    for row in rows[np.argsort(ids[rows], kind="stable")].tolist():
        equal[hashlib.blake2b(squares[row].tobytes(), digest_size=16).digest()].append(row)
    return [np.array(group, np.int32) for group in equal.values()]
