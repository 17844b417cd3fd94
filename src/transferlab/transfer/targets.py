"""Targets: a pack's rows as train, validation and test, at full size or at k shots; metric and level of guessing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.specs import TEST, TRAIN, VAL, Pack, Protocol

UNBALANCED = 1.5  # largest over smallest test class from which mean class accuracy is the main metric


Rows = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Target:
    """A pack as a target.

    Args:
        train, val, test: ascending row numbers, int32.
        metric: ``top1``, ``mean class accuracy``, ``mean average precision``, or with boxes ``mAP`` or COCO's ``AP``: the
            one that studies compare.
        chance: that metric for a constant guess, 0…1.
    """

    pack: Pack
    train: NDArray[np.int32]
    val: NDArray[np.int32]
    test: NDArray[np.int32]
    metric: str
    chance: float

    @property
    def n_classes(self) -> int:
        return len(self.pack.taxonomy.leaves)


def view(pack: Pack, *, own_classes: bool = False) -> Target:
    """A pack as a target, checked.

    Args:
        own_classes: the pack is the study's source itself; without a test split its validation rows are the test,
            and validation is drawn from its train rows.

    Raises:
        UserError: no test, train or validation images, or a class without training images.
    """
    train, val, test = (pack.rows(split) for split in (TRAIN, VAL, TEST))
    if pack.boxes is not None:
        return _with_boxes(pack, train, val, test)
    if own_classes and not len(test):
        test, val = val, train[stream("own validation").random(len(train)) < 0.1]
        train = np.setdiff1d(train, val).astype(np.int32)
    for name, rows in (("test", test), ("train", train), ("val", val)):
        if not len(rows):
            raise UserError(
                f"the target has no {name} split", pack.name, f"add a {name} folder, or ?resplit=yes to divide it anew"
            )
    if pack.multi_label:
        return Target(pack, train, val, test, "mean average precision", float((pack.labels[test] > 0).mean()))
    n_classes = len(pack.taxonomy.leaves)
    counts = np.bincount(pack.labels[test], minlength=n_classes)
    absent = np.setdiff1d(pack.labels[test], pack.labels[train])
    if len(absent):
        raise UserError(
            f"some classes have test but no training images: {len(absent)}, for example "
            f"{pack.taxonomy.leaves[int(absent[0])]!r}", pack.name, "add some, or ?resplit=yes to divide it anew"
        )  # fmt: skip
    seen = counts[counts > 0]
    if seen.max() > UNBALANCED * seen.min():
        return Target(pack, train, val, test, "mean class accuracy", 1 / len(seen))
    return Target(pack, train, val, test, "top1", float(counts.max() / counts.sum()))


def _with_boxes(pack: Pack, train: Rows, val: Rows, test: Rows) -> Target:
    """For detection, which learns from train and validation images together: one of them may be absent."""
    for name, rows in (("test", test), ("train", np.append(train, val))):
        if not (pack.labels[rows] > 0).any():
            raise UserError(
                f"the target has no {name} split, or no object in it that counts", pack.name,
                "add images with boxes to it, or ?resplit=yes to divide it anew",
            )  # fmt: skip
    return Target(pack, train, val, test, str(pack.notes.get("metric", "mAP")), 0.0)


def take_shots(target: Target, shots: int, seed: int) -> Target:
    """k examples of each class for training and validation together, nested in k; a fifth (at least one) validates.

    With one shot there is nothing to validate with: protocols then keep their middle choice.

    Raises:
        UserError: more shots than the smallest class has, or a multi-label target.
    """
    pack = target.pack
    if pack.multi_label:
        raise UserError("shots count examples of a class, and this target has several labels an image", pack.name,
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
        n_val = 0 if shots == 1 else max(1, shots // 5)
        # Validation takes every fifth from the second on, so that fewer shots lie inside more.
        of_val = np.zeros(shots, bool)
        of_val[1::5][:n_val] = True
        train.append(order[~of_val])
        val.append(order[of_val])
    return replace(target, train=np.sort(np.concatenate(train)), val=np.sort(np.concatenate(val)))


def coarse_labels(pack: Pack, protocol: Protocol) -> NDArray[np.int32]:
    """The coarse label of each class, int32 [c], by the knob of an induction: ``cut``, a depth, or ``merge``, passes.

    Raises:
        UserError: no knob or another one, one that is no whole number, or a depth or pass that the pack's taxonomy does not have.
    """
    if set(protocol.knobs) not in ({"cut"}, {"merge"}) or not all(isinstance(n, int) for n in protocol.knobs.values()):
        raise UserError("induction needs one rule that makes coarse labels", f"protocol on {pack.name}",
                        "write induction(cut=DEPTH) or induction(merge=PASSES)")  # fmt: skip
    ((rule, n),) = protocol.knobs.items()
    return pack.taxonomy.cut(int(n)).of_leaf if rule == "cut" else pack.taxonomy.merge_up(int(n)).of_leaf
