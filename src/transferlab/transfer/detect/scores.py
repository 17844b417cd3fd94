"""The metrics and arrays of a cell with detections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.transfer.detect.metrics import Found, Truth
from transferlab.transfer.metrics import METRICS, metrics_of
from transferlab.transfer.metrics.detection import matched
from transferlab.transfer.targets import Target


def scored(target: Target, found: Found, metric: str = "") -> tuple[dict[str, float], dict[str, NDArray[np.generic]]]:
    """Metrics in 0…1 by name, and arrays by name.

    Args:
        found: detections in the test images, in pixels of the originals.

    Returns:
        metrics: ``mAP`` (every point, IoU 0.5), ``mAP at 11 recalls``, COCO's ``AP``.
        rows: ``image`` int32, ``label`` int32, ``score`` float32 and ``box`` float32 [d, 4] of each detection, class by
            class, the best first; ``hit`` int8 at IoU 0.5: 1 for a hit, 0 for a false positive, -1 if ignored. Under
            the metric's own name for it, a number per test image, whose mean is the metric (see ``detect.influence``).
    """
    # The order of Matches.
    order = np.lexsort((np.arange(len(found.score)), -found.score.astype(np.float64), found.label))
    found = Found(found.image[order], found.label[order], found.score[order], found.box[order])
    truth = Truth.of(target.pack, target.test)
    metrics = {m.name: m.score(found, truth) for m in metrics_of("boxes")}
    main = METRICS[metric] if metric else target.metric
    metrics[main.name] = main.score(found, truth)
    by_voc = matched(found, truth, False)
    hit = np.where(by_voc.ignored[0], -1, by_voc.hit[0]).astype(np.int8)
    rows: dict[str, NDArray[np.generic]] = {"image": found.image, "label": found.label, "score": found.score.astype(np.float32),
            "box": found.box.astype(np.float32), "hit": hit}  # fmt: skip
    if main.each is not None:
        rows[main.rows] = main.per_image(found, truth)
    return metrics, rows
