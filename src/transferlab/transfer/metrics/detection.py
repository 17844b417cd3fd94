"""Metrics of detections: ``mAP`` (PASCAL VOC 2010 and later), ``mAP at 11 recalls`` (VOC 2007), and COCO's ``AP``.

VOC's count hits from an overlap of 0.5, COCO's is the mean over overlaps from 0.5 to 0.95. They share the matching of
detections to objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.transfer.detect.influence import values_of
from transferlab.transfer.detect.metrics import Found, Matches, Rule, Truth, ap_of, coco_matches, matches, mean_of
from transferlab.transfer.metrics.definition import Floats, Metric

IOU = 0.5  # minimum overlap of a hit by VOC's rules


@lru_cache(maxsize=4)
def matched(found: Found, truth: Truth, by_coco: bool) -> Matches:
    """Match detections to objects by VOC's or COCO's rules; cached for the metrics of one cell."""
    return coco_matches(truth, found) if by_coco else matches(truth, found, IOU)


def mean_ap(rule: Rule, found: Found, truth: Truth) -> float:
    """Mean average precision by a rule, 0…1."""
    return mean_of(ap_of(matched(found, truth, rule == "coco"), np.arange(truth.n_images), rule))


def values(rule: Rule, found: Found, truth: Truth) -> Floats:
    """A number per test image, float64 [e], whose mean is the metric (``detect.influence``)."""
    return values_of(matched(found, truth, rule == "coco"), mean_ap(rule, found, truth))


def _coco_asked(labels: NDArray[Any], notes: Mapping[str, object]) -> bool:
    return notes.get("metric") == AP.name


MAP = Metric(name="mAP", labels="boxes", of=partial(mean_ap, "voc10"), each=partial(values, "voc10"),
             chance=lambda labels: 0.0, main=lambda labels, notes: not _coco_asked(labels, notes))  # fmt: skip
MAP_2007 = Metric(name="mAP at 11 recalls", labels="boxes", of=partial(mean_ap, "voc07"), each=partial(values, "voc07"),
                  chance=lambda labels: 0.0)  # fmt: skip
AP = Metric(name="AP", labels="boxes", of=partial(mean_ap, "coco"), each=partial(values, "coco"),
            chance=lambda labels: 0.0, main=_coco_asked)  # fmt: skip
