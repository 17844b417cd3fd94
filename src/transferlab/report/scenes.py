"""Detections drawn on test images: correct and wrong ones, and missed objects, chosen by fixed rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from transferlab.answers.study import Scenes
from transferlab.specs import Boxes, Pack, Ragged
from transferlab.transfer.targets import Target

N_SCENES, TILE_PX = 8, 112
SEEN, OVERLAP = 0.3, 0.5  # an object counts as missed without a box of this score and this IoU
# Okabe and Ito's blue, vermilion and yellow; objects are thin and white.
COLOURS = {"found": "#0072B2", "found wrongly": "#D55E00", "missed": "#F0E442"}
Floats = NDArray[np.float64]


class Marked(NamedTuple):
    """A box to draw: the image's index in the test set, its edges in pixels of the original, and its caption."""

    image: int
    box: Floats
    caption: str


def scenes_of(target: Target, rows: Mapping[str, NDArray[Any]], name: str, network: str) -> list[Scenes]:
    """Up to eight images of each kind: objects found, found wrongly and missed.

    Args:
        rows: the detections of a cell, as ``transfer.detect.scores`` keeps them.
    """
    pack = target.pack
    if pack.boxes is None or not isinstance(pack.images, Ragged):
        return []
    found: list[Scenes] = []
    chosen = {
        "found": _best(pack, rows, 1), "found wrongly": _best(pack, rows, 0),
        "missed": _missed(pack, pack.boxes, target.test, rows),
    }  # fmt: skip
    for what, candidates in chosen.items():
        marked = list(_one_an_image(candidates))
        if marked:
            tiles = np.stack(
                [_tile(pack.images, pack.boxes, int(target.test[m.image]), m.box, COLOURS[what]) for m in marked]
            )
            found.append(Scenes(name, what, network, tiles, tuple(m.caption for m in marked)))
    return found


def _best(pack: Pack, rows: Mapping[str, NDArray[Any]], hit: int) -> Iterator[Marked]:
    """Detections that match an object (``hit`` 1) or do not (0), those with the highest scores first."""
    wanted = np.flatnonzero(rows["hit"] == hit)
    for i in wanted[np.argsort(-rows["score"][wanted], kind="stable")]:
        caption = f"{_called(pack, int(rows['label'][i]))} {rows['score'][i]:.2f}"
        yield Marked(int(rows["image"][i]), rows["box"][i].astype(np.float64), caption)


def _missed(pack: Pack, truth: Boxes, test: NDArray[np.int32], rows: Mapping[str, NDArray[Any]]) -> Iterator[Marked]:
    """Objects that count and were not detected, the largest relative to their image first."""
    left: list[tuple[float, Marked]] = []
    seen = np.flatnonzero(rows["score"] >= SEEN)
    seen = seen[np.argsort(rows["image"][seen], kind="stable")]
    by_image = np.searchsorted(rows["image"][seen], np.arange(len(test) + 1))
    for image, row in enumerate(test):
        near = seen[by_image[image] : by_image[image + 1]]
        for i in range(int(truth.first[row]), int(truth.first[row + 1])):
            box, same = truth.original[i], near[rows["label"][near] == truth.labels[i]]
            if truth.ignored[i] or (overlaps(box, rows["box"][same].astype(np.float64)) >= OVERLAP).any():
                continue
            area = float((box[2:] - box[:2]).prod() / truth.original_sizes[row].prod(dtype=np.float64))
            left.append((area, Marked(image, box, _called(pack, int(truth.labels[i])))))
    yield from (marked for _, marked in sorted(left, key=lambda each: -each[0]))


def overlaps(box: Floats, others: Floats) -> Floats:
    """Intersection over union of a box [4] with others [m, 4], 0…1."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(1)
    both = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - common
    return common / np.maximum(both, 1e-9)


def _one_an_image(candidates: Iterator[Marked]) -> Iterator[Marked]:
    seen: set[int] = set()
    for marked in candidates:
        if len(seen) == N_SCENES:
            return
        if marked.image not in seen:
            seen.add(marked.image)
            yield marked


def _tile(images: Ragged, truth: Boxes, row: int, box: Floats, colour: str) -> NDArray[np.uint8]:
    """uint8 [s, s, 3]: the image as large as fits, on white, its objects thin and the marked box thick."""
    height, width = truth.original_sizes[row].tolist()
    factor = TILE_PX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    tile = Image.new("RGB", (TILE_PX, TILE_PX), "white")
    tile.paste(Image.fromarray(np.ascontiguousarray(images[row])).resize(size, Image.Resampling.BILINEAR))
    pen = ImageDraw.Draw(tile)
    for i in range(int(truth.first[row]), int(truth.first[row + 1])):
        _outline(pen, truth.original[i] * factor, "white", 1)
    _outline(pen, box * factor, "black", 4)
    _outline(pen, box * factor, colour, 2)
    return np.asarray(tile)


def _outline(pen: ImageDraw.ImageDraw, box: Floats, colour: str, width: int) -> None:
    """Draw a box's edge, cut at the tile's edge and at least one pixel wide."""
    x0, y0, x1, y1 = np.clip(np.round(box), 0, TILE_PX - 1).tolist()
    pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=width)


def _called(pack: Pack, label: int) -> str:
    leaf = pack.taxonomy.leaves[label]
    return pack.taxonomy.names[leaf].split(",")[0]
