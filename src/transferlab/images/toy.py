"""``toy``: a drawn world of creatures with a body plan, proportions, a coat and nuisance variation; seeded.

Taxonomy: 4 body plans → 4 proportions → 4 coats, 64 classes. Each level is visible: the body plan is how parts are
joined, proportions are their length and width, the coat is their pattern and colours. Nuisance: pose, size, position,
light, background and a blade of grass in front.

Planted effects, which a study must find with the right sign:

1. More images per class help transfer to ``unseen`` (a few images do not show all nuisance variation).
2. Fine labels teach proportions and coats, coarse ones (body plans) do not; ``unseen`` needs both, so fine is better.
3. Shuffled labels never transfer better than fine labels.

Targets from the same world: ``unseen`` (other proportions and coats), ``scenes`` (how many creatures, and where),
``attributes`` (several labels per image) and ``detection`` (which body plans are where, with boxes).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.definitions import Parameter
from transferlab.identity import digest, stream
from transferlab.images import toy_boxes
from transferlab.images.format import Format, Request
from transferlab.images.source import Item, Source
from transferlab.images.toy_boxes import SIXTHS
from transferlab.images.toy_paint import (
    BODIES,
    PATTERNS,
    SHAPES,
    UNSEEN_SHAPES,
    Creatures,
    Floats,
    any_creatures,
    background,
    blade,
    grid,
    paint,
    to_pixels,
)
from transferlab.taxonomy.readers import from_folders

COATS = ("striped-red", "spotted-gold", "plain-blue", "checked-green")
UNSEEN_COATS = ("spotted-violet", "striped-teal")
HUES = {"red": 0.0, "gold": 0.12, "green": 0.33, "teal": 0.48, "blue": 0.6, "violet": 0.78}
SCENES = tuple(f"{count}-{place}" for count in ("alone", "pair", "crowd") for place in ("sky", "meadow", "dusk"))
ATTRIBUTES = ("striped", "spotted", "checked", "warm", "large", "hidden", "facing-left", "long-bodied")
PER_CLASS = {"classes": 90, "unseen": 100, "scenes": 150, "attributes": 1500, "detection": 360}
DRAWN_PX = 32
BATCH = 64  # images drawn at once: their arrays then stay in the processor's cache


def read(request: Request) -> Source:
    """Two thirds of the images are for training, a sixth each for validation and test."""
    task, seed = request.options["task"], int(request.options["seed"])
    per_class = int(request.options.get("images_per_class", PER_CLASS[task]))
    if task == "detection":
        return toy_boxes.source(per_class, seed)
    classes = list(ATTRIBUTES) if task == "attributes" else classes_of(task)
    groups = ["attributes"] if task == "attributes" else classes

    def items() -> Iterator[Item]:
        for group in groups:
            for start in range(0, per_class, BATCH):
                numbers = np.arange(start, min(start + BATCH, per_class))
                images, attributes = draw(task, group, numbers, DRAWN_PX, seed)
                for number, image, found in zip(numbers, images, attributes, strict=True):
                    split = SIXTHS[number % 6]
                    label = found if task == "attributes" else group
                    yield Item(f"{split}/{group}/{number:05d}", image, label, split)

    return Source(
        name="toy" if task == "classes" else f"toy {task}", classes=classes,
        fingerprint=digest("toy", 1, task, per_class, seed), items=items,
        taxonomy=from_folders(classes), n_images=per_class * len(groups), multi_label=task == "attributes",
    )  # fmt: skip


def classes_of(task: str) -> list[str]:
    """Class ids of a single-label task, in class-index order."""
    if task == "scenes":
        return sorted(SCENES)
    shapes, coats = (UNSEEN_SHAPES, UNSEEN_COATS) if task == "unseen" else (SHAPES, COATS)
    return sorted("/".join(parts) for parts in itertools.product(BODIES, shapes, coats))


def draw(
    task: str, group: str, numbers: NDArray[np.int64], size_px: int, seed: int
) -> tuple[NDArray[np.uint8], list[tuple[str, ...]]]:
    """Draw images of one class; image k does not depend on which others are drawn.

    Args:
        group: a class of the task ("attributes" for that task). numbers: int [n], which images.

    Returns:
        uint8 [n, size_px, size_px, 3], and each image's attributes.
    """
    random = {int(k): stream("toy", seed, task, group, int(k)) for k in numbers}
    uniform = np.stack([random[int(k)].random(96) for k in numbers]).astype(np.float32)
    if task == "scenes":
        return _scene(group, uniform, size_px), [()] * len(numbers)
    creatures = any_creatures(uniform) if task == "attributes" else _creatures(group, uniform)
    images, hidden, left = _portrait(creatures, uniform, size_px)
    return images, _attributes(creatures, hidden, left)


def _creatures(group: str, uniform: Floats) -> Creatures:
    body, shape, coat = group.split("/")
    length, width = (SHAPES | UNSEEN_SHAPES)[shape]
    pattern, colour = coat.split("-")
    n = len(uniform)
    wobble = 1 + 0.14 * (uniform[:, 0:2] - 0.5)
    hue = HUES[colour] + 0.07 * (uniform[:, 2] - 0.5)
    return Creatures(
        np.full(n, BODIES.index(body)), length * wobble[:, 0], width * wobble[:, 1],
        np.full(n, PATTERNS.index(pattern)), hue.astype(np.float32),
    )  # fmt: skip


def _attributes(c: Creatures, hidden: NDArray[np.bool_], left: NDArray[np.bool_]) -> list[tuple[str, ...]]:
    warm = np.abs((c.hue + 0.25) % 1 - 0.25) < 0.17
    facts = np.stack([*(c.pattern == p for p in (1, 2, 3)), warm, c.length * c.width > 1.15, hidden, left,
                      c.length / c.width > 1.6], 1)  # fmt: skip
    return [tuple(name for name, true in zip(ATTRIBUTES, row, strict=True) if true) for row in facts]


def _portrait(c: Creatures, uniform: Floats, size_px: int) -> tuple[NDArray[np.uint8], Any, Any]:
    """One creature per image on a background, some behind a blade."""
    u = uniform[:, 8:]
    x, y = grid(size_px, size_px)
    canvas = background(u[:, 0:12], x, y)
    left = u[:, 12] < 0.5
    scale = 0.36 + 0.2 * u[:, 13]
    at = 0.35 * (u[:, 14:16] - 0.5)
    angle = 0.9 * (u[:, 16] - 0.5)
    light = 0.72 + 0.5 * u[:, 17]
    canvas, _ = paint(canvas, c, (at[:, 0], at[:, 1], scale, angle), left, light, (x, y))
    hidden = u[:, 18] < 0.4
    canvas, _ = blade(canvas, hidden, u[:, 19:24], x, y)
    canvas = canvas * (0.8 + 0.4 * u[:, 24])[:, None, None, None]
    return to_pixels(canvas, u[:, 25]), hidden, left


def _scene(group: str, uniform: Floats, size_px: int) -> NDArray[np.uint8]:
    """Several small creatures of any kind on one of three backgrounds."""
    count, place = group.split("-")
    x, y = grid(size_px, size_px)
    ground = uniform[:, 60:72].copy()
    top, bottom = {"sky": (0.58, 0.55), "meadow": (0.53, 0.28), "dusk": (0.85, 0.05)}[place]
    ground[:, 0] = (top + 0.1 * (ground[:, 0] - 0.5)) % 1
    ground[:, 1] = (bottom + 0.1 * (ground[:, 1] - 0.5)) % 1
    canvas = background(ground, x, y)
    n_shown = {"alone": 1, "pair": 2, "crowd": 5}[count]
    for i in range(n_shown):
        u = uniform[:, 10 * i : 10 * i + 10]
        c = any_creatures(u)
        turn = 2 * np.pi * (i / n_shown + uniform[:, 72])
        away = (0.0 if n_shown == 1 else 0.5) + 0.12 * (u[:, 4] - 0.5)
        at = (away * np.cos(turn) + 0.3 * (n_shown == 1) * (u[:, 5] - 0.5), 0.8 * away * np.sin(turn))
        pose = (at[0], at[1], 0.2 + 0.08 * u[:, 6], 0.6 * (u[:, 7] - 0.5))
        canvas, _ = paint(canvas, c, pose, u[:, 8] < 0.5, 0.75 + 0.4 * u[:, 9], (x, y))
    return to_pixels(canvas, uniform[:, 73])


FORMAT = Format(
    name="toy", title="Toy world", explained="drawn creatures with planted effects, made on the spot",
    tasks=("classes", "labels", "detection"), read=read,
    parameters={
        "task": Parameter(means="which classes the images show", words=tuple(PER_CLASS), default="classes"),
        "images_per_class": Parameter(means="images of all splits per class", whole=True, low=6, high=100_000),
        "seed": Parameter(means="another number makes another world of the same kind", whole=True, default=0),
    },
)  # fmt: skip
