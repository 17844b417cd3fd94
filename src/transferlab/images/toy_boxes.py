"""Detection in the toy world: one to four creatures at random places and sizes, with boxes; classes are body plans."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from transferlab.identity import digest, stream
from transferlab.images.boxes import classes_in
from transferlab.images.source import Box, Item, Objects, Source
from transferlab.images.toy_paint import BODIES, Floats, any_creatures, background, blade, grid, paint, to_pixels

WIDTH_PX, HEIGHT_PX = 96, 72
MOST = 4  # creatures per image
OF_EACH = 12  # random numbers per creature
VISIBLE = 0.6  # share of a creature: one of which less is visible is difficult
SIXTHS = ("train", "train", "train", "train", "val", "test")  # the split of image k is that of k modulo 6
BATCH = 16  # images drawn at once


def source(n_images: int, seed: int) -> Source:
    """Images of 96x72 pixels, two thirds for training and a sixth each for validation and test.

    A creature is difficult if others or a blade of grass hide more than 0.4 of it.
    """
    return Source(
        name="toy detection",
        classes=tuple(sorted(BODIES)),
        fingerprint=digest("toy", 1, "detection", n_images, seed),
        items=partial(_items, n_images, seed),
        n_images=n_images,
        multi_label=True,
        metric="mAP",
    )


def _items(n_images: int, seed: int) -> Iterator[Item]:
    for start in range(0, n_images, BATCH):
        numbers = range(start, min(start + BATCH, n_images))
        images, boxes = draw(list(numbers), seed)
        for number, image, found in zip(numbers, images, boxes, strict=True):
            split = SIXTHS[number % 6]
            present, ignored = classes_in(found)
            objects = Objects((WIDTH_PX, HEIGHT_PX), tuple(found))
            yield Item(f"{split}/detection/{number:05d}", image, present, split, ignored, objects=objects)


def draw(numbers: list[int], seed: int) -> tuple[NDArray[np.uint8], list[list[Box]]]:
    """Draw images by their numbers; an image does not depend on which others are drawn.

    Returns:
        uint8 [n, 72, 96, 3], and each image's boxes, from back to front.
    """
    random = [stream("toy", seed, "detection", number) for number in numbers]
    u = np.stack([one.random(20 + MOST * OF_EACH) for one in random]).astype(np.float32)
    x, y = grid(WIDTH_PX, HEIGHT_PX)
    canvas = background(u[:, 0:12], x, y)
    n_shown = 1 + (u[:, 12] * MOST).astype(int)
    covers: list[Floats] = []  # share of each pixel, creature by creature
    bodies: list[NDArray[np.int64]] = []
    for i in range(MOST):
        v = u[:, 20 + i * OF_EACH : 20 + (i + 1) * OF_EACH]
        creatures = any_creatures(v)
        scale = 0.12 + 0.16 * v[:, 4] ** 2  # small ones are more common
        room_x, room_y = 1 - 1.3 * scale, HEIGHT_PX / WIDTH_PX - 1.1 * scale
        pose = ((2 * v[:, 5] - 1) * room_x, (2 * v[:, 6] - 1) * room_y, scale, 0.6 * (v[:, 7] - 0.5))
        painted, inside = paint(canvas, creatures, pose, v[:, 8] < 0.5, 0.75 + 0.4 * v[:, 9], (x, y))
        shown = (i < n_shown)[:, None, None]
        canvas = np.where(shown[..., None], painted, canvas)
        covers.append(inside * shown)
        bodies.append(creatures.body)
    canvas, before = blade(canvas, u[:, 13] < 0.3, u[:, 14:19], x, y)
    boxes = [_boxes([c[k] for c in covers], [int(b[k]) for b in bodies], before[k]) for k in range(len(numbers))]
    return to_pixels(canvas, u[:, 19]), boxes


def _boxes(covers: list[Floats], bodies: list[int], before: Floats) -> list[Box]:
    """Boxes around everything of each creature inside the image, hidden parts included.

    Args:
        covers: share of each pixel that a creature covers, [h, w] each, from back to front; zeros if it is not shown.
        before: share of each pixel that the blade covers.
    """
    found: list[Box] = []
    for i, (share, body) in enumerate(zip(covers, bodies, strict=True)):
        own = share > 0.5
        if not own.any():
            continue
        hidden = np.maximum.reduce([before, *covers[i + 1 :]]) > 0.5
        columns, rows = np.flatnonzero(own.any(axis=0)), np.flatnonzero(own.any(axis=1))
        difficult = bool((own & ~hidden).sum() < VISIBLE * own.sum())
        edges = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        found.append(Box(BODIES[body], *edges, difficult))
    return found
