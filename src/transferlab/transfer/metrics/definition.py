"""The definition of a metric: how predictions of test images become a number, and all facts about that; numpy only."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.definitions import Definition
from transferlab.errors import UserError

Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Labels = NDArray[np.int32]
UNBALANCED = 1.5  # largest over smallest test class above which a target is unbalanced
PREDICTED, TRUE_SCORE = (
    "predicted",
    "true_score",
)  # arrays of every cell of a target with one label per image, beside "right"
LabelKind = Literal["one", "many", "boxes"]


@dataclass(frozen=True, kw_only=True)
class Metric(Definition):
    """A metric of a target's test images; larger is better.

    Args:
        labels: the targets that have it: with one label per image, with several, or with boxes.
        of: the metric, usually in 0…1. One label: of scores float32 [e, c] and labels int32 [e]; several: labels int8 [e, c] of
            1, 0 and -1 (not scored); boxes: detections and annotated objects (``detect.metrics.Found`` and ``Truth``).
        each: from the same arguments a number per test image, float or bool [e], whose weighted mean is the metric; if None,
            intervals are about these test images only.
        weights: from the test labels the weights of that mean, float64 [e], which sum to 1; None for equal weights.
        rows: the name of a cell's array with these numbers; not ``predicted`` or ``true_score``, which cells have anyway.
        again: the metric of resampled test images, from a cell's arrays and int64 [e]; for metrics of several labels or boxes
            without ``each``.
        chance: the metric of a constant guess, from the test labels; None if it is unknown.
        main: whether studies compare a target by it, from the test labels and the notes of its pack.
        needs_probabilities: it is defined only for log-probabilities; no study compares it.
    """

    labels: LabelKind
    of: Callable[[Any, Any], float]
    each: Callable[[Any, Any], NDArray[Any]] | None = None
    weights: Callable[[Labels], Floats] | None = None
    rows: str = "value"
    again: Callable[[Mapping[str, NDArray[Any]], NDArray[np.int64]], float] | None = None
    chance: Callable[[NDArray[Any]], float | None] = lambda labels: None
    main: Callable[[NDArray[Any], Mapping[str, object]], bool] = lambda labels, notes: False
    needs_probabilities: bool = False

    def __post_init__(self) -> None:
        if self.again is not None and self.labels == "one":  # such cells keep one score of an image
            raise UserError(
                "a metric of one label per image cannot have again", f"metric {self.name!r}", "give each instead"
            )
        if not re.fullmatch("[a-z][a-z0-9 _-]*", self.rows):
            raise UserError(
                f"rows = {self.rows!r:.40} is not possible", f"metric {self.name!r}", 'write for example "value"'
            )

        if self.labels == "one" and self.rows in (PREDICTED, TRUE_SCORE):
            raise UserError(
                f"rows = {self.rows!r} is the name of other results", f"metric {self.name!r}", "choose another name"
            )

    def score(self, predictions: Any, truth: Any) -> float:
        """The metric, ``of``; raises UserError if that is no number."""
        return _number(self.of(predictions, truth), f"metric {self.name!r}")

    def per_image(self, predictions: Any, truth: Any) -> NDArray[Any]:
        """``each``, float or bool [e]; raises UserError if it gives something else."""
        found = np.asarray([] if self.each is None else self.each(predictions, truth))
        n = len(cast("Labels", truth)) if isinstance(truth, np.ndarray) else found.size
        if found.shape != (n,) or found.dtype.kind not in "biuf" or not np.isfinite(found).all():
            what = f"each = {found.dtype} of shape {found.shape} is not possible"
            raise UserError(what, f"metric {self.name!r}", "give a finite number for each test image")
        return found

    def share(self, labels: Labels) -> Floats | None:
        """The weights of the test images, float64 [e]; None for equal ones; raises UserError for others than ``weights`` may give."""
        found = None if self.weights is None else np.asarray(self.weights(labels), np.float64)
        if found is not None and (found.shape != (len(labels),) or not abs(found.sum() - 1) < 1e-6):
            raise UserError(f"weights of shape {found.shape} and sum {found.sum():.6g} are not possible", f"metric {self.name!r}",
                            f"give {len(labels)} numbers that sum to 1")  # fmt: skip
        return found

    def guess(self, labels: NDArray[Any]) -> float | None:
        """The metric of a constant guess, ``chance``; raises UserError if that is neither a number nor None."""
        found = self.chance(labels)
        return found if found is None else _number(found, f"chance of metric {self.name!r}")


def _number(value: object, where: str) -> float:
    if not isinstance(value, (int, float, np.floating, np.integer)) or value != value:
        raise UserError(f"{value!r:.40} is no number", where, "correct its definition")
    return float(cast("float", value))


def right(scores: Scores, labels: Labels) -> NDArray[np.bool_]:
    """Whether the best-scored class of each example is its label, bool [e]; scores [e, c], labels [e]."""
    return scores.argmax(1) == labels


def unbalanced(labels: Labels) -> bool:
    """Whether the largest class that occurs has more than 1.5 times the images of the smallest."""
    seen = np.bincount(labels)
    seen = seen[seen > 0]
    return bool(seen.max() > UNBALANCED * seen.min())
