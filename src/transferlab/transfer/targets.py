"""Targets: a pack's rows for training, validation and test, in full or at k shots, with a metric and its chance level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.specs import TEST, TRAIN, VAL, Boxes, Pack, Ragged
from transferlab.taxonomy.tree import Taxonomy
from transferlab.transfer.detect.metrics import boxes_of
from transferlab.transfer.metrics import LabelKind, Metric, main_metric

Rows = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows of a pack with their labels.

    Args:
        rows: int32 [m]. labels: int32 [m], or int8 [m, c] of 1, 0, -1. boxes: image i is row ``rows[i]``.
    """

    rows: Rows
    labels: NDArray[np.integer[Any]]
    boxes: Boxes | None = None


@dataclass(frozen=True, eq=False)
class TargetData:
    """A target for a protocol: all images, but labels of training and validation images only.

    Args:
        test: int32 [e], rows of the test images. original_sizes: int32 [e, 2], their height and width before packing; only
            for targets with boxes.
    """

    name: str
    images: NDArray[np.uint8] | Ragged
    taxonomy: Taxonomy
    many_labels: bool
    train: Labelled
    val: Labelled
    test: Rows
    original_sizes: NDArray[np.int32] | None = None


@dataclass(frozen=True, eq=False)
class Target:
    """A pack as a target.

    Args:
        train, val, test: ascending row numbers, int32.
        metric: the metric that studies compare. chance: that metric for a constant guess, 0…1; None if it is unknown.
    """

    pack: Pack
    train: NDArray[np.int32]
    val: NDArray[np.int32]
    test: NDArray[np.int32]
    metric: Metric
    chance: float | None

    @property
    def n_classes(self) -> int:
        return len(self.pack.taxonomy.leaves)

    @property
    def kind(self) -> LabelKind:
        return _kind(self.pack)

    @property
    def data(self) -> TargetData:
        """The part that protocols may see."""
        pack = self.pack
        train, val = (_labelled(pack, rows) for rows in (self.train, self.val))
        sizes = None if pack.boxes is None else pack.boxes.original_sizes[self.test]
        return TargetData(pack.name, pack.images, pack.taxonomy, pack.multi_label, train, val, self.test, sizes)


def _kind(pack: Pack) -> LabelKind:
    return "boxes" if pack.boxes is not None else "many" if pack.multi_label else "one"


def _labelled(pack: Pack, rows: Rows) -> Labelled:
    return Labelled(rows, pack.labels[rows], None if pack.boxes is None else boxes_of(pack.boxes, rows))


def view(pack: Pack, *, own_classes: bool = False) -> Target:
    """A pack as a target.

    Args:
        own_classes: the pack is the study's source. Without a test split its validation rows are the test, and validation
            is drawn from its training rows.

    Raises:
        UserError: no training, validation or test images, or a class without training images.
    """
    train, val, test = (pack.rows(split) for split in (TRAIN, VAL, TEST))
    if pack.boxes is not None:
        return _with_boxes(pack, train, val, test)
    if own_classes and not len(test):
        test, val = val, train[stream("own validation").random(len(train)) < 0.1]
        train = np.setdiff1d(train, val).astype(np.int32)
    for name, rows in (("test", test), ("train", train), ("val", val)):
        if not len(rows):
            where = f"{pack.name}: splits {pack.notes['split']}" if "split" in pack.notes else pack.name
            remedy = f"add {name} images, or ?resplit=yes to split it anew; a class needs 3 images to be in every split"
            raise UserError(f"the target has no {name} split", where, remedy)
    absent = np.zeros(0, int) if pack.multi_label else np.setdiff1d(pack.labels[test], pack.labels[train])
    if len(absent):
        raise UserError(
            f"some classes have test but no training images: {len(absent)}, for example "
            f"{pack.taxonomy.leaves[int(absent[0])]!r}", pack.name, "add some, or ?resplit=yes to split it anew"
        )  # fmt: skip
    return judged_by(pack, train, val, test)


def judged_by(pack: Pack, train: Rows, val: Rows, test: Rows) -> Target:
    """A target with the metric that studies compare for such labels."""
    labels = pack.labels[test]
    metric = main_metric(_kind(pack), labels, pack.notes)
    return Target(pack, train, val, test, metric, metric.guess(labels))


def _with_boxes(pack: Pack, train: Rows, val: Rows, test: Rows) -> Target:
    """A target for detection, which trains on training and validation images together; one of them may be absent."""
    for name, rows in (("test", test), ("train", np.append(train, val))):
        if not (pack.labels[rows] > 0).any():
            raise UserError(
                f"the target has no {name} split, or no object in it that counts", pack.name,
                "add images with boxes to it, or ?resplit=yes to split it anew",
            )  # fmt: skip
    return judged_by(pack, train, val, test)


def take_shots(target: Target, shots: int, seed: int) -> Target:
    """k examples of each class for training and validation together; a fifth (at least one) is for validation.

    The examples of fewer shots are among those of more. At one shot there is no validation, and protocols use their default.

    Raises:
        UserError: more shots than the smallest class has examples, or a multi-label target.
    """
    pack = target.pack
    if pack.multi_label:
        raise UserError("shots count examples of a class, and this target has several labels per image", pack.name,
                        "use the whole target")  # fmt: skip
    pool = np.concatenate([target.train, target.val])
    train: list[NDArray[np.int32]] = []
    val: list[NDArray[np.int32]] = []
    present = np.unique(pack.labels[pool])
    smallest = int(np.bincount(pack.labels[pool])[present].min())
    if not 1 <= shots <= smallest:
        raise UserError(f"{shots} shots are impossible", pack.name, f"choose from 1 to {smallest}")
    for label in present:
        members = np.sort(pool[pack.labels[pool] == label])
        members = members[np.argsort(pack.image_ids[members], kind="stable")]
        order = members[stream("shots", seed, int(label)).permutation(len(members))][:shots]
        n_val = shots_for_validation(shots)
        # Validation takes every fifth from the second on, so that fewer shots are a subset of more.
        of_val = np.zeros(shots, bool)
        of_val[1::5][:n_val] = True
        train.append(order[~of_val])
        val.append(order[of_val])
    return replace(target, train=np.sort(np.concatenate(train)), val=np.sort(np.concatenate(val)))


def shots_for_validation(shots: int) -> int:
    """How many of a class's shots are for validation: a fifth, at least one; none at one shot."""
    return 0 if shots == 1 else max(1, shots // 5)
