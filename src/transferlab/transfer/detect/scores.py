"""What a cell keeps of detections: metrics, each detection with whether it hit, and each test image's part in the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.transfer.detect.metrics import Found, Truth
from transferlab.transfer.metrics import METRICS, metrics_of
from transferlab.transfer.metrics.detection import matched
from transferlab.transfer.targets import Target


def scored(target: Target, found: Found, metric: str = "") -> tuple[dict[str, float], dict[str, NDArray[np.generic]]]:
    """Metrics in 0…1 by name, and what is kept of the test images.

    Args:
        found: detections in the test rows, in pixels of the originals.

    Returns:
        metrics: ``mAP`` (every point, IoU 0.5), ``mAP at 11 recalls``, COCO's ``AP``.
        rows: ``image`` int32, ``label`` int32, ``score`` float32, ``box`` float32 [d, 4] of each detection, class by class,
            the best first; ``hit`` int8 at IoU 0.5: 1 found an object, 0 did not, -1 counts nowhere. ``value`` float64 [e]:
            a number for each test image whose mean is the target's metric, and whose spread is that of the metric over
            images (see ``detect.influence``).
    """
    order = np.lexsort((np.arange(len(found.score)), -found.score.astype(np.float64), found.label))  # as metrics has it
    found = Found(found.image[order], found.label[order], found.score[order], found.box[order])
    truth = Truth.of(target.pack, target.test)
    metrics = {m.name: m.of(found, truth) for m in metrics_of("boxes")}
    main = METRICS[metric] if metric else target.metric
    metrics[main.name] = main.of(found, truth)
    value = np.zeros(0) if main.each is None else main.each(found, truth)
    by_voc = matched(found, truth, False)
    hit = np.where(by_voc.ignored[0], -1, by_voc.hit[0]).astype(np.int8)
    rows: dict[str, NDArray[np.generic]] = {"image": found.image, "label": found.label, "score": found.score.astype(np.float32),
            "box": found.box.astype(np.float32), "hit": hit, "value": value}  # fmt: skip
    return metrics, rows
