"""Average precision of detections by the rules of PASCAL VOC and COCO, in numpy; COCO's twelve from faster-coco-eval.

VOC: VOCevaldet.m and VOCap.m of the development kits (host.robots.ox.ac.uk/pascal/VOC, 2007 and 2012). Detections of a class
are processed by decreasing score, equal ones in the given order. Each is assigned to the object of its class and image that
it overlaps most (boxes include their last pixel). If the overlap reaches the threshold, it is a hit unless that object was
found before, and otherwise a false positive. Detections assigned to difficult objects are ignored.

COCO: cocoapi's cocoeval.py. A detection is assigned to the free object that it overlaps most. Crowds accept many, with the
share of the detection inside as overlap. At most 100 detections count per image and class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from transferlab.specs import Boxes, Pack

Rule = Literal["voc07", "voc10", "coco"]
COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())
COCO_NAMES = ("AP", "AP50", "AP75", "APsmall", "APmedium", "APlarge",
              "AR1", "AR10", "AR100", "ARsmall", "ARmedium", "ARlarge")  # fmt: skip
MOST = 100  # detections that COCO uses per image and class
ELEVEN = np.arange(11) * 0.1  # as in the kit, where a recall of 3/10 is below 0.1 times 3 in float64
RECALLS = np.linspace(0, 1, 101)
FALSE, HIT, IGNORED = 0, 1, 2  # outcomes of a detection


def boxes_of(boxes: Boxes, rows: NDArray[np.integer[Any]]) -> Boxes:
    """The annotated objects of some images; image i is row ``rows[i]``."""
    counts = np.diff(boxes.first)[rows]
    first = np.append(0, np.cumsum(counts)).astype(np.int64)
    starts = np.repeat(np.asarray(boxes.first)[:-1][rows] - first[:-1], counts)
    at: NDArray[np.int64] = np.arange(int(first[-1]), dtype=np.int64) + starts
    return Boxes(first, boxes.boxes[at], boxes.labels[at], boxes.ignored[at], boxes.crowd[at], boxes.original[at],
                 boxes.original_sizes[rows], boxes.areas[at])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Truth:
    """Annotated objects of n images, m in all, k classes.

    Args:
        image: int32 [m], 0…n-1, ascending. label: int32 [m], 0…k-1. box: float64 [m, 4], edges in original pixels.
        ignored: bool [m], difficult or crowd. area: float64 [m].
    """

    n_images: int
    n_classes: int
    image: NDArray[np.int32]
    label: NDArray[np.int32]
    box: NDArray[np.float64]
    ignored: NDArray[np.bool_]
    area: NDArray[np.float64]

    @classmethod
    def of(cls, pack: Pack, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Truth:
        """The objects in these rows of a pack with boxes; image i is row ``rows[i]``."""
        assert pack.boxes is not None, "a pack with boxes"
        held = boxes_of(pack.boxes, np.asarray(rows))
        image = np.repeat(np.arange(len(rows), dtype=np.int32), np.diff(held.first))
        n_classes = len(pack.taxonomy.leaves)
        return cls(len(rows), n_classes, image, held.labels, held.original, held.ignored, held.areas)


@dataclass(frozen=True, eq=False)
class Found:
    """Detections, d in all: image int32 [d], label int32 [d], score float [d], box float [d, 4] as edges in original pixels."""

    image: NDArray[np.int32]
    label: NDArray[np.int32]
    score: NDArray[np.floating[Any]]
    box: NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Matches:
    """The outcome of each detection.

    Args:
        image: int32 [d]; all arrays are sorted by class, and within a class by decreasing score.
        first: int64 [k + 1]; class c has the detections first[c] to first[c + 1].
        hit, ignored: bool [t, d] at t thresholds; detections that are neither are false positives.
        counts: int64 [n, k], objects that are not ignored, by image and class.
    """

    image: NDArray[np.int32]
    first: NDArray[np.int64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    counts: NDArray[np.int64]


def average_precision(truth: Truth, found: Found, rule: Literal["voc07", "voc10"], iou: float) -> dict[int, float]:
    """Each class's average precision in 0…1; NaN for a class without an object that counts.

    Args:
        rule: ``voc07``, the mean of the best precision at eleven recalls; ``voc10``, the area under the best precision
            at each recall or a higher one.
        iou: minimum overlap of a hit, 0…1.
    """
    return ap_of(matches(truth, found, iou), np.arange(truth.n_images), rule)


def mean_of(each: dict[int, float]) -> float:
    """Mean over the classes that have a value; NaN if none has."""
    known = [value for value in each.values() if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def matches(truth: Truth, found: Found, iou: float) -> Matches:
    """Match by VOC's rule at one threshold."""
    return _matched(truth, found, (iou,), _by_voc, None)


def coco_matches(truth: Truth, found: Found) -> Matches:
    """Match by COCO's rule at its ten thresholds, for objects of all sizes; detections beyond 100 are left out."""
    return _matched(truth, found, COCO_IOUS, _by_coco, MOST)


def ap_of(matched: Matches, images: NDArray[np.integer[Any]], rule: Rule) -> dict[int, float]:
    """Like ``average_precision``, over any list of image positions, which may repeat.

    It is fast compared with matching, for resampling images many times.

    Args:
        rule: ``coco`` for ``coco_matches``: the mean over ten thresholds of precision at 101 recalls.
    """
    times = np.bincount(images, minlength=len(matched.counts))
    n_objects = times @ matched.counts
    each: dict[int, float] = {}
    for label, n_of_class in enumerate(n_objects.tolist()):
        own = slice(int(matched.first[label]), int(matched.first[label + 1]))
        weight = times[matched.image[own]]
        values = [
            _area(rule, np.cumsum(weight * hit[own]), np.cumsum(weight * ~(hit[own] | ignored[own])), n_of_class)
            for hit, ignored in zip(matched.hit, matched.ignored, strict=True)
        ]
        each[label] = float(np.mean(values)) if n_of_class else float("nan")
    return each


def _area(rule: Rule, hits: NDArray[np.int64], misses: NDArray[np.int64], n_objects: int) -> float:
    """Average precision from running counts of hits and false positives, [d] each."""
    if not n_objects or not len(hits) or not hits[-1]:
        return 0.0
    kept = hits + misses > 0  # precision is undefined before the first
    hits, misses = hits[kept], misses[kept]
    recall = hits / n_objects
    best = np.maximum.accumulate((hits / (hits + misses))[::-1])[::-1]  # at the same or a higher recall
    if rule == "voc10":
        return float((np.diff(recall, prepend=0) * best).sum())
    at = np.searchsorted(recall, ELEVEN if rule == "voc07" else RECALLS)
    return float(np.append(best, 0)[at].mean())


def _matched(
    truth: Truth,
    found: Found,
    ious: Sequence[float],
    match: Callable[[_Pair, float, NDArray[np.int8]], None],
    most: int | None,
) -> Matches:
    """Match the detections of each image and class to its objects, by one rule at several thresholds."""
    n = np.arange(len(found.score))
    ties = (n,) if most is None else (n, found.image)  # COCO takes image after image
    order = np.lexsort((*ties, -found.score.astype(np.float64), found.label))
    image, label, box = found.image[order], found.label[order], found.box[order].astype(np.float64)
    fate = np.full((len(ious), len(order)), FALSE, np.int8)
    kept = np.ones(len(order), bool)
    for detections, objects in _groups(truth, image, label):
        kept[detections[most:]] = most is None
        detections = detections[:most]
        pair = _paired(box[detections], truth.box[objects], truth.ignored[objects])
        for of_iou, iou in zip(fate, ious, strict=True):
            outcome = of_iou[detections]
            match(pair, iou, outcome)
            of_iou[detections] = outcome
    counts = np.zeros((truth.n_images, truth.n_classes), np.int64)
    np.add.at(counts, (truth.image[~truth.ignored], truth.label[~truth.ignored]), 1)
    first = np.searchsorted(label[kept], np.arange(truth.n_classes + 1))
    return Matches(image[kept], first, fate[:, kept] == HIT, fate[:, kept] == IGNORED, counts)


def _groups(
    truth: Truth, image: NDArray[np.int32], label: NDArray[np.int32]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions of the detections, in order, and of the objects, for each image and class with detections."""
    of_found = label.astype(np.int64) * truth.n_images + image
    of_truth = truth.label.astype(np.int64) * truth.n_images + truth.image
    detections, objects = np.argsort(of_found, kind="stable"), np.argsort(of_truth, kind="stable")
    pairs, starts = np.unique(of_found[detections], return_index=True)
    low, high = (np.searchsorted(of_truth[objects], pairs, side) for side in ("left", "right"))
    for own, first, last in zip(np.split(detections, starts[1:]) if len(pairs) else (), low, high, strict=True):
        yield own, objects[first:last]


@dataclass(frozen=True, eq=False)
class _Pair:
    """The j detections and g objects of an image and class.

    Args:
        shared, union: float64 [j, g], areas. area: float64 [j], of the detections. ignored: bool [g].
    """

    shared: NDArray[np.float64]
    union: NDArray[np.float64]
    area: NDArray[np.float64]
    ignored: NDArray[np.bool_]


def _paired(found: NDArray[np.float64], objects: NDArray[np.float64], ignored: NDArray[np.bool_]) -> _Pair:
    """From edges [j, 4] and [g, 4]."""
    corner = np.maximum(found[:, None, :2], objects[None, :, :2])
    sides = np.minimum(found[:, None, 2:], objects[None, :, 2:]) - corner
    shared = np.where((sides > 0).all(2), sides.prod(2), 0.0)
    area, of_objects = ((edges[:, 2:] - edges[:, :2]).prod(1) for edges in (found, objects))
    return _Pair(shared, area[:, None] + of_objects - shared, area, ignored)


def _by_voc(pair: _Pair, iou: float, outcome: NDArray[np.int8]) -> None:
    """Write the outcome of each detection, which depends on the object that it overlaps most, free or not."""
    if not len(pair.ignored):
        return
    overlap = np.divide(pair.shared, pair.union, out=np.full_like(pair.shared, -np.inf), where=pair.shared > 0)
    best = overlap.argmax(1)
    taken = np.zeros(len(pair.ignored), bool)
    for i in np.flatnonzero(overlap.max(1) >= iou).tolist():
        if pair.ignored[best[i]]:
            outcome[i] = IGNORED
        elif not taken[best[i]]:
            outcome[i], taken[best[i]] = HIT, True


def _by_coco(pair: _Pair, iou: float, outcome: NDArray[np.int8]) -> None:
    """Write the outcome of each detection, which depends on the free object that it overlaps most, ignored ones last."""
    outcome[pair.area < 0] = IGNORED  # swapped corners: in COCO outside of every range of sizes
    if not len(pair.ignored):
        return
    whole = np.where(pair.ignored, pair.area[:, None], pair.union)
    overlap = np.divide(pair.shared, whole, out=np.zeros_like(pair.shared), where=pair.shared > 0)
    counting, ignored = np.flatnonzero(~pair.ignored), np.flatnonzero(pair.ignored)
    free = overlap[:, counting]
    least = min(iou, 1 - 1e-10)
    for i in np.flatnonzero(overlap.max(1) >= least).tolist():
        if len(counting) and free[i].max() >= least:
            outcome[i] = HIT
            free[:, len(counting) - 1 - free[i, ::-1].argmax()] = -1  # COCO takes the last of equal ones
        elif len(ignored) and overlap[i, ignored].max() >= least:
            outcome[i] = IGNORED  # a crowd stays free


def coco_metrics(truth: Truth, found: Found) -> dict[str, float]:
    """COCO's twelve metrics by COCO_NAMES, in 0…1, from faster-coco-eval; NaN if no object counts.

    Ignored objects are its crowds.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    objects = zip(truth.image, truth.label, _corner_and_size(truth.box), truth.ignored, truth.area, strict=True)
    known = COCO({
        "images": [{"id": i} for i in range(1, truth.n_images + 1)],
        "categories": [{"id": c, "name": str(c)} for c in range(1, truth.n_classes + 1)],
        "annotations": [
            {"id": n, "image_id": int(i) + 1, "category_id": int(c) + 1, "bbox": b, "area": float(a), "iscrowd": int(w)}
            for n, (i, c, b, w, a) in enumerate(objects, 1)
        ],
    })  # fmt: skip
    detections = zip(found.image, found.label, _corner_and_size(found.box), found.score, strict=True)
    detected = known.loadRes([
        {"image_id": int(i) + 1, "category_id": int(c) + 1, "bbox": b, "score": float(s)} for i, c, b, s in detections
    ])  # fmt: skip
    scored = COCOeval_faster(known, detected, "bbox")
    scored.run()
    values: list[float] = np.asarray(scored.stats, np.float64).tolist()
    return {name: value if value >= 0 else float("nan") for name, value in zip(COCO_NAMES, values, strict=True)}


def _corner_and_size(edges: NDArray[np.floating[Any]]) -> list[list[float]]:
    """Boxes in COCO's format. Sizes are rounded because 10.1 + 20 - 10.1 is not 20 in float64."""
    held = edges.astype(np.float64)
    return np.hstack([held[:, :2], np.round(held[:, 2:] - held[:, :2], 9)]).tolist()
