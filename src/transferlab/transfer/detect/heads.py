"""The two kinds of detector by the name that a study gives them."""

from __future__ import annotations

from collections.abc import Callable

from transferlab.transfer.detect.faster_rcnn import FasterRcnn
from transferlab.transfer.detect.fcos import Fcos
from transferlab.transfer.detect.maps import Maps

Detector = Fcos | FasterRcnn
HEADS: dict[str, Callable[[Maps, int], Detector]] = {"faster-rcnn": FasterRcnn, "fcos": Fcos}
