"""Small test images of each target, for the first screen of a report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.images.decode import decode
from transferlab.outcomes.store import Store
from transferlab.planned import Plan
from transferlab.report.pictures import N_THUMBS, THUMB_PX
from transferlab.report.results import pack_of
from transferlab.specs import TEST, Pack


def thumbnails(store: Store, plan: Plan) -> dict[str, NDArray[np.uint8]]:
    """Target to uint8 [k, s, s, 3]; of targets whose packs exist, without the source as a target."""
    packs = {facts.name: pack_of(store, facts) for facts in plan.targets if not facts.own_classes}
    return {name: _tested(pack) for name, pack in packs.items() if pack is not None}


def _tested(pack: Pack) -> NDArray[np.uint8]:
    """Up to twelve test images, spread over the classes; of all images if the pack has no test split."""
    rows = pack.rows(TEST)
    rows = rows if len(rows) else np.arange(len(pack.split), dtype=np.int32)
    if pack.labels.ndim == 1:
        rows = rows[np.argsort(pack.labels[rows], kind="stable")]
    chosen = rows[np.linspace(0, len(rows) - 1, min(N_THUMBS, len(rows))).round().astype(int)]
    side = min(THUMB_PX, pack.image_px)
    return np.stack([decode(np.asarray(pack.images[int(row)]), side) for row in chosen])
