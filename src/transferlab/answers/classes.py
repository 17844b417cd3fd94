"""Results per class: the accuracy of each, the most frequent confusions, and what changes between two conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.intervals import Interval, of_difference, of_share, redrawn_too

N_CONFUSIONS = 5
Integers = NDArray[np.integer]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Predicted:
    """A condition's predictions of a target: from seed to the class of each test image, integers [e]."""

    condition: str
    of_seed: Mapping[int, Integers]


@dataclass(frozen=True)
class ClassAccuracy:
    """One class: its number of test images, the mean accuracy over seeds, and its change against the base.

    Args:
        change: over the seeds that have both conditions; None without a base.
    """

    name: str
    n_images: int
    accuracy: Interval
    change: Interval | None


@dataclass(frozen=True)
class Confusion:
    """Images of one class that are taken for another.

    Args:
        n_images: mean over seeds. share: of the test images of the true class, 0…1.
    """

    true: str
    predicted: str
    n_images: float
    share: float


@dataclass(frozen=True)
class Classes:
    """One condition's results on one target, class by class, and beside those of a base.

    Args:
        base: the condition of comparison; "" if there is none. n_paired: seeds that have both.
        classes: those with test images, in the order of the pack. named: whether their names are known.
        n_gained: test images that are right in most seeds, and wrong in most with the base. n_lost: the reverse.
    """

    target: str
    condition: str
    base: str
    n_seeds: int
    n_paired: int
    n_images: int
    classes: tuple[ClassAccuracy, ...]
    confusions: tuple[Confusion, ...]
    n_gained: int
    n_lost: int
    named: bool

    @property
    def best_first(self) -> list[ClassAccuracy]:
        """The classes from the highest to the lowest accuracy; equal ones in the order of the pack."""
        return sorted(self.classes, key=lambda each: -each.accuracy.value)


@dataclass(frozen=True, eq=False)
class ImagesTested:
    """A target's test images.

    Args:
        labels: the class of each, integers [e]. names: of all classes; None if they are unknown.
        folds: of how many folds the images are the union; 0 without folds.
    """

    target: str
    labels: Integers
    names: Sequence[str] | None
    folds: int = 0

    def name(self, label: int) -> str:
        """A class's name, or its number."""
        return f"class {label}" if self.names is None else self.names[label]


def classes_of(images: ImagesTested, shown: Predicted, base: Predicted | None = None) -> Classes:
    """Answers on each class of a target.

    Args:
        shown: predictions of at least one seed. base: without seeds in common nothing is compared.
    """
    predicted = np.stack(list(shown.of_seed.values()))
    paired = [] if base is None else [seed for seed in shown.of_seed if seed in base.of_seed]
    if base is None or not paired:
        accuracies = tuple(_accuracies(images, predicted == images.labels, None))
        return _answers(images, shown, predicted, accuracies)
    here, there = (np.stack([each.of_seed[seed] for seed in paired]) == images.labels for each in (shown, base))
    accuracies = tuple(_accuracies(images, predicted == images.labels, (here, there)))
    gained, lost = changed(here, there)
    return _answers(images, shown, predicted, accuracies, (base.condition, len(paired), gained, lost))


def _answers(
    images: ImagesTested, shown: Predicted, predicted: Integers, accuracies: tuple[ClassAccuracy, ...],
    compared: tuple[str, int, int, int] = ("", 0, 0, 0),
) -> Classes:  # fmt: skip
    base, n_paired, n_gained, n_lost = compared
    return Classes(
        images.target, shown.condition, base, len(predicted), n_paired, len(images.labels), accuracies,
        tuple(confusions(images, predicted)), n_gained, n_lost, images.names is not None,
    )  # fmt: skip


def _accuracies(images: ImagesTested, right: Bools, pair: tuple[Bools, Bools] | None) -> Iterator[ClassAccuracy]:
    """Each class that has test images; right [K, e], and for the change [k, e] with each of two conditions."""
    order = np.argsort(images.labels, kind="stable")
    present, begins = np.unique(images.labels[order], return_index=True)
    redrawn = redrawn_too(images.folds)
    for label, places in zip(present, np.split(order, begins[1:]), strict=True):
        change = None
        if pair is not None:
            change = of_difference(*(of_share(each[:, places], redrawn) for each in pair))
        yield ClassAccuracy(images.name(int(label)), len(places), of_share(right[:, places], redrawn), change)


def confusions(images: ImagesTested, predicted: Integers, most: int = N_CONFUSIONS) -> list[Confusion]:
    """The pairs of classes with the most wrong predictions [K, e], those with most images first."""
    labels = images.labels.astype(np.int64)
    wrong, n_labels = predicted != labels, np.bincount(labels)
    pairs = np.stack([np.broadcast_to(labels, predicted.shape)[wrong], predicted[wrong].astype(np.int64)])
    found, counts = np.unique(pairs, axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [
        Confusion(images.name(true), images.name(taken), n / len(predicted), n / len(predicted) / int(n_labels[true]))
        for (true, taken), n in zip(found[:, order].T.tolist(), counts[order].tolist(), strict=True)
    ]


def changed(here: Bools, there: Bools) -> tuple[int, int]:
    """How many images are right in most seeds here and wrong in most there, and the reverse; [k, e] each."""
    (right, wrong), (right_there, wrong_there) = ((each.mean(0) > 0.5, each.mean(0) < 0.5) for each in (here, there))
    return int((right & wrong_there).sum()), int((wrong & right_there).sum())
