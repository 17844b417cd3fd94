"""Scores a detector's output against annotations, by the rules of PASCAL VOC or COCO."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transferlab.errors import UserError
from transferlab.runners.score_found import read_json
from transferlab.runners.score_kit import kit_files, kit_of, read_kit
from transferlab.runners.score_truth import classes_of, lists_of, read_truth
from transferlab.transfer.detect.metrics import average_precision, coco_metrics, mean_of

Metric = Literal["voc07", "voc10", "coco"]


@dataclass(frozen=True)
class Scored:
    """Metrics by name (NaN if undefined), and sentences about what is not scored.

    Args:
        classes: average precision of each class, for VOC's metrics.
    """

    numbers: Mapping[str, float]
    classes: Mapping[str, float]
    remarks: tuple[str, ...]


def score(truth: Path, detections: Path, metric: Metric, iou: float = 0.5) -> Scored:
    """Score detections.

    The classes of VOC's metrics are those of the annotations and the output; a single file of the kit is scored for its
    class only. A class without objects that count has no value and is left out of the mean.

    Args:
        truth: a VOC folder or COCO's JSON. detections: see ``score_found`` and ``score_kit``.
        iou: minimum overlap of a hit, above 0 and up to 1; COCO's metric has its own thresholds.

    Raises:
        UserError: anything that is wrong with the files.
    """
    if not 0 < iou <= 1:
        raise UserError(f"an overlap of {iou:g} is impossible", "--iou", "choose above 0 and up to 1")
    if metric == "coco" and iou != 0.5:
        raise UserError("COCO's metric has its own thresholds, 0.5 to 0.95", f"--iou {iou:g}", "leave it out")
    files = kit_files(detections)
    if not files:
        known = read_truth(truth)
        found = read_json(detections, known)
    elif truth.is_dir():
        kit = kit_of(detections, files, lambda: classes_of(truth), lists_of(truth))
        known = read_truth(truth, kit.set)
        found = read_kit(detections, kit, known)
    else:
        known = read_truth(truth)
        found = read_kit(detections, kit_of(detections, files, lambda: known.classes, ()), known)
    classes = found.classes if found.alone else (*known.classes, *sorted(set(found.classes) - set(known.classes)))
    remarks = [*known.notes, *found.notes]
    if files and not found.alone and (silent := sorted(set(known.classes) - set(found.classes))):
        remarks.append(f"no detections for {', '.join(silent)}: there is no file of that class")
    objects, detected = known.truth(classes), found.found(classes)
    if metric == "coco":
        return Scored(coco_metrics(objects, detected), {}, tuple(remarks))
    each = average_precision(objects, detected, metric, iou)
    if empty := [classes[c] for c, value in each.items() if math.isnan(value)]:
        remarks.append(f"left out of the mean, having no objects that count: {', '.join(empty)}")
    return Scored({"mAP": mean_of(each)}, {classes[c]: value for c, value in each.items()}, tuple(remarks))


def as_json(scored: Scored) -> str:
    """Metrics as JSON, with ``AP`` by class for VOC's metrics; null if undefined."""
    numbers: dict[str, object] = {name: _known(value) for name, value in scored.numbers.items()}
    if scored.classes:
        numbers["AP"] = {name: _known(value) for name, value in scored.classes.items()}
    return json.dumps(numbers, indent=1, allow_nan=False)


def as_text(scored: Scored) -> str:
    """A line for each metric, and below it each class; "-" if undefined."""
    lines = {**scored.numbers, **{f"  {name}": value for name, value in scored.classes.items()}}
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {'-' if math.isnan(v) else f'{v:.4f}'}" for name, v in lines.items())


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
