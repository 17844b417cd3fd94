"""The toy world: creatures drawn from body plan, proportions, texture and colour, with nuisance; seeded, vectorised.

Taxonomy: 4 body plans → 4 proportions → 4 coats, 64 classes. What a level means can be seen: the body plan is how
parts are joined, proportions how long and wide they are, the coat its pattern and colours. Nuisance: pose, size,
position, light, background and an occluding blade.

Planted truths, which a study must find with their sign:

1. More images per class help transfer to ``unseen`` (there is more nuisance than a few images show).
2. Fine labels teach proportions and coats, coarse ones (body plans) do not; ``unseen`` needs both, so fine is better.
3. Shuffled labels teach nothing that transfers better than fine labels do.

Targets of the same world: ``unseen`` (other proportions and coats), ``scenes`` (how many creatures stand where) and
``attributes`` (several labels an image).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest, stream
from transferlab.images.source import Item, Source
from transferlab.taxonomy.readers import from_folders

Floats = NDArray[Any]  # float32 throughout; numpy's stubs lose track of it

BODIES = ("fish", "bird", "beast", "crab")
SHAPES = {"long": (1.45, 0.72), "round": (0.95, 1.25), "slim": (1.15, 0.62), "stout": (1.25, 1.1)}
COATS = ("striped-red", "spotted-gold", "plain-blue", "checked-green")
UNSEEN_SHAPES = {"tall": (0.8, 1.45), "thin": (1.6, 0.5)}
UNSEEN_COATS = ("spotted-violet", "striped-teal")
HUES = {"red": 0.0, "gold": 0.12, "green": 0.33, "teal": 0.48, "blue": 0.6, "violet": 0.78}
PATTERNS = ("plain", "striped", "spotted", "checked")
SCENES = tuple(f"{count}-{place}" for count in ("alone", "pair", "crowd") for place in ("sky", "meadow", "dusk"))
ATTRIBUTES = ("striped", "spotted", "checked", "warm", "large", "hidden", "facing-left", "long-bodied")
PER_CLASS = {"classes": 90, "unseen": 100, "scenes": 150, "attributes": 1500}
TASKS = tuple(PER_CLASS)
DRAWN_PX = 32
BATCH = 64  # images drawn at once, so that their arrays stay in the processor's cache


@dataclass(frozen=True)
class Creatures:
    """What n images show, an array [n] each: body plan, length and width, pattern, hue, and the nuisance's seeds."""

    body: NDArray[np.int64]
    length: Floats
    width: Floats
    pattern: NDArray[np.int64]
    hue: Floats


def read(path: str, options: Mapping[str, str]) -> Source:
    """The source behind ``toy``, ``toy?task=unseen``, ``toy?task=scenes`` and ``toy?task=attributes``.

    Options: ``images_per_class`` (of all splits together: two thirds train, a sixth each validation and test) and
    ``seed``, another world of the same kind.

    Raises:
        UserError: an unknown task, numbers that are none.
    """
    task = options.get("task", "classes")
    if task not in TASKS:
        raise UserError(f"the toy world has no task {task!r}", "toy", f"tasks are {', '.join(TASKS)}")
    per_class, seed = _whole(options, "images_per_class", PER_CLASS[task]), _whole(options, "seed", 0)
    if not 6 <= per_class <= 100_000:
        raise UserError(f"images_per_class={per_class}", "toy", "choose from 6 to 100000")
    classes = list(ATTRIBUTES) if task == "attributes" else classes_of(task)
    groups = ["attributes"] if task == "attributes" else classes

    def items() -> Iterator[Item]:
        for group in groups:
            for start in range(0, per_class, BATCH):
                numbers = np.arange(start, min(start + BATCH, per_class))
                images, attributes = draw(task, group, numbers, DRAWN_PX, seed)
                for number, image, found in zip(numbers, images, attributes, strict=True):
                    split = ("train", "train", "train", "train", "val", "test")[number % 6]
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
    """Draw images of one class; image k is the same whatever else is drawn.

    Args:
        group: a class of the task ("attributes" for that task). numbers: int [n], which images.

    Returns:
        uint8 [n, size_px, size_px, 3], and each image's attributes.
    """
    random = {int(k): stream("toy", seed, task, group, int(k)) for k in numbers}
    uniform = np.stack([random[int(k)].random(96) for k in numbers]).astype(np.float32)
    if task == "scenes":
        return _scene(group, uniform, size_px), [()] * len(numbers)
    creatures = _any_creatures(uniform) if task == "attributes" else _creatures(group, uniform)
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


def _any_creatures(uniform: Floats) -> Creatures:
    """Creatures of every kind, for scenes and attributes."""
    proportions = np.array(list((SHAPES | UNSEEN_SHAPES).values()), np.float32)
    shape = (uniform[:, 0] * len(proportions)).astype(int)
    return Creatures(
        (uniform[:, 1] * len(BODIES)).astype(int), proportions[shape, 0], proportions[shape, 1],
        (uniform[:, 2] * len(PATTERNS)).astype(int), uniform[:, 3],
    )  # fmt: skip


def _attributes(c: Creatures, hidden: NDArray[np.bool_], left: NDArray[np.bool_]) -> list[tuple[str, ...]]:
    warm = np.abs((c.hue + 0.25) % 1 - 0.25) < 0.17
    facts = np.stack([*(c.pattern == p for p in (1, 2, 3)), warm, c.length * c.width > 1.15, hidden, left,
                      c.length / c.width > 1.6], 1)  # fmt: skip
    return [tuple(name for name, true in zip(ATTRIBUTES, row, strict=True) if true) for row in facts]


def _portrait(c: Creatures, uniform: Floats, size_px: int) -> tuple[NDArray[np.uint8], Any, Any]:
    """One creature each, before a background, behind a blade or not."""
    u = uniform[:, 8:]
    x, y = _grid(size_px)
    canvas = _background(u[:, 0:12], x, y)
    left = u[:, 12] < 0.5
    scale = 0.36 + 0.2 * u[:, 13]
    at = 0.35 * (u[:, 14:16] - 0.5)
    angle = 0.9 * (u[:, 16] - 0.5)
    light = 0.72 + 0.5 * u[:, 17]
    canvas = _paint(canvas, c, (at[:, 0], at[:, 1], scale, angle), left, light, (x, y))
    hidden = u[:, 18] < 0.4
    canvas = _blade(canvas, hidden, u[:, 19:24], x, y)
    canvas = canvas * (0.8 + 0.4 * u[:, 24])[:, None, None, None]
    return _to_pixels(canvas, u[:, 25]), hidden, left


def _scene(group: str, uniform: Floats, size_px: int) -> NDArray[np.uint8]:
    """Several small creatures of any kind on one of three grounds."""
    count, place = group.split("-")
    x, y = _grid(size_px)
    ground = uniform[:, 60:72].copy()
    top, bottom = {"sky": (0.58, 0.55), "meadow": (0.53, 0.28), "dusk": (0.85, 0.05)}[place]
    ground[:, 0] = (top + 0.1 * (ground[:, 0] - 0.5)) % 1
    ground[:, 1] = (bottom + 0.1 * (ground[:, 1] - 0.5)) % 1
    canvas = _background(ground, x, y)
    n_shown = {"alone": 1, "pair": 2, "crowd": 5}[count]
    for i in range(n_shown):
        u = uniform[:, 10 * i : 10 * i + 10]
        c = _any_creatures(u)
        turn = 2 * np.pi * (i / n_shown + uniform[:, 72])
        away = (0.0 if n_shown == 1 else 0.5) + 0.12 * (u[:, 4] - 0.5)
        at = (away * np.cos(turn) + 0.3 * (n_shown == 1) * (u[:, 5] - 0.5), 0.8 * away * np.sin(turn))
        pose = (at[0], at[1], 0.2 + 0.08 * u[:, 6], 0.6 * (u[:, 7] - 0.5))
        canvas = _paint(canvas, c, pose, u[:, 8] < 0.5, 0.75 + 0.4 * u[:, 9], (x, y))
    return _to_pixels(canvas, uniform[:, 73])


def _grid(size_px: int) -> tuple[Floats, Floats]:
    """Coordinates of pixel centres in -1…1, [1, 1, s] and [1, s, 1]."""
    span = (np.arange(size_px, dtype=np.float32) + 0.5) * (2 / size_px) - 1
    return span[None, None, :], span[None, :, None]


def _background(u: Floats, x: Floats, y: Floats) -> Floats:
    """Two soft colours, a horizon, and low waves of light; float32 [n, s, s, 3]."""
    far, near = (
        _rgb(u[:, 0], 0.18 + 0.3 * u[:, 2], 0.62 + 0.3 * u[:, 3]),
        _rgb(u[:, 1], 0.2 + 0.3 * u[:, 4], 0.4 + 0.3 * u[:, 5]),
    )
    horizon = _col(u[:, 6] - 0.3) + 0.08 * np.sin(_col(2 + 4 * u[:, 7]) * x + _col(6.3 * u[:, 8]))
    below = _soft((y - horizon) * 6)[..., None]
    waves = 0.07 * np.sin(_col(3 + 9 * u[:, 9]) * x + _col(3 + 9 * u[:, 10]) * y + _col(6.3 * u[:, 11]))
    return (1 - below) * far[:, None, None] + below * near[:, None, None] + waves[..., None]


def _paint(
    canvas: Floats, c: Creatures, pose: tuple[Floats, ...], left: NDArray[np.bool_], light: Floats,
    grid: tuple[Floats, Floats],
) -> Floats:  # fmt: skip
    """Lay creatures over a canvas: shape by distance, coat by pattern, roundness by shading, an eye."""
    at_x, at_y, scale, angle = pose
    cos, sin = np.cos(angle), np.sin(angle)
    dx, dy = (grid[0] - _col(at_x)) / _col(scale), (grid[1] - _col(at_y)) / _col(scale)
    u = (_col(cos) * dx + _col(sin) * dy) * np.where(_col(left), -1, 1)
    v = _col(cos) * dy - _col(sin) * dx
    distance, eye = _outline(c, u, v)
    px = _col(scale) * (distance.shape[1] / 2)  # pixels in a unit of the creature's own frame
    inside = _soft(-distance * px)
    coat = _coat(c, u, v)
    shade = np.clip(1.12 - 0.42 * (v / _col(c.width)) - 0.1 * (distance + 0.4), 0.45, 1.35) * _col(light)
    pupil = _soft((0.12 - eye) * px)[..., None]
    white = _soft((0.22 - eye) * px)[..., None]
    skin = coat * shade[..., None]
    skin = skin * (1 - white) + 0.97 * white
    skin = skin * (1 - pupil) + 0.08 * pupil
    return canvas * (1 - inside[..., None]) + skin * inside[..., None]


def _outline(c: Creatures, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Distance to the creature's outline (negative inside) and to its eye, [n, s, s], by body plan."""
    distance, eye = np.empty_like(u), np.empty_like(u)
    for body, shape in enumerate((_fish, _bird, _beast, _crab)):
        own = c.body == body
        if own.any():
            a, b = _col(c.length[own]), _col(c.width[own]) * 0.62
            distance[own], (eye_u, eye_v) = shape(u[own], v[own], a, b)
            eye[own] = np.hypot(u[own] - eye_u, v[own] - eye_v)
    return distance, eye


Shape = tuple[Floats, tuple[Floats, Floats]]  # distance to the outline, and where the eye is


def _fish(u: Floats, v: Floats, a: Floats, b: Floats) -> Shape:
    tail, fin = _triangle(u + a * 0.8, v, a * 0.75, b * 1.25), _triangle(-(v + b * 0.55), u, b * 0.95, a * 0.42)
    return _union(_ellipse(u, v, a, b), tail, fin), (a * 0.62, -b * 0.2)


def _bird(u: Floats, v: Floats, a: Floats, b: Floats) -> Shape:
    wing = _ellipse(u * 0.8 + v * 0.6 + 0.1 * a, v * 0.8 - u * 0.6 + 0.95 * b, a * 0.3, b * 1.2)
    head = _ellipse(u - a * 0.95, v + b * 0.75, b * 0.62, b * 0.62)
    beak = _triangle(-(u - a * 0.95 - b * 1.25), v + b * 0.72, b * 0.8, b * 0.3)
    leg = _bar(u, v - b * 1.3, 0.07, b * 0.65)
    return _union(_ellipse(u, v, a, b), wing, head, beak, leg), (a * 1.05, -b * 0.85)


def _beast(u: Floats, v: Floats, a: Floats, b: Floats) -> Shape:
    head = _ellipse(u - a * 1.02, v + b * 0.7, b * 0.66, b * 0.56)
    legs = [_bar(u - a * at, v - b * 1.15, a * 0.09 + 0.05, b * 0.85) for at in (-0.66, -0.36, 0.36, 0.66)]
    tail = _bar(u + a * 1.08, v + b * 0.35, a * 0.26, 0.08)
    return _union(_ellipse(u, v, a, b), head, *legs, tail), (a * 1.12, -b * 0.8)


def _crab(u: Floats, v: Floats, a: Floats, b: Floats) -> Shape:
    parts = [_ellipse(u, v, a * 0.85, b * 0.95)]
    for side in (-1.0, 1.0):
        parts.append(_ellipse(u - side * a * 1.05, v + b * 0.85, b * 0.48, b * 0.42))
        parts.append(_bar(u * 0.8 - side * (v * 0.6 + a * 0.55), v * 0.8, 0.07, b * 0.9))
        parts += [_bar(u - side * a * at, v - b * 1.05, 0.075, b * 0.6) for at in (0.35, 0.75)]
    return _union(*parts), (0.28 * a, -b * 0.45)


def _coat(c: Creatures, u: Floats, v: Floats) -> Floats:
    """Main colour with a lighter second one in the coat's pattern, [n, s, s, 3]."""
    first, second = (
        _rgb(c.hue, np.full_like(c.hue, 0.78), np.full_like(c.hue, 0.78)),
        _rgb((c.hue + 0.09) % 1, np.full_like(c.hue, 0.3), np.full_like(c.hue, 0.98)),
    )
    stripes = np.sin(u * 9.5)
    spots = np.cos(u * 8.5) * np.cos(v * 8.5) * 1.6 - 0.55
    checks = np.sin(u * 7.5) * np.sin(v * 7.5) * 2
    pattern = c.pattern[:, None, None]
    wave = np.select([pattern == 1, pattern == 2, pattern == 3], [stripes, spots, checks], -1.0)
    share = _soft(wave * 5)[..., None]
    return first[:, None, None] * (1 - share) + second[:, None, None] * share


def _blade(canvas: Floats, hidden: NDArray[np.bool_], u: Floats, x: Floats, y: Floats) -> Floats:
    """A blade of grass or a post across some of the images."""
    slant = _col(1.2 * (u[:, 0] - 0.5))
    across = np.abs(x + slant * y - _col(1.1 * (u[:, 1] - 0.5))) - _col(0.07 + 0.1 * u[:, 2])
    share = (_soft(-across * (x.shape[2] / 2)) * hidden[:, None, None])[..., None]
    colour = _rgb(0.22 + 0.2 * u[:, 3], 0.3 + 0.3 * u[:, 4], 0.25 + 0.3 * u[:, 4])
    return canvas * (1 - share) + colour[:, None, None] * share


def _to_pixels(canvas: Floats, grain: Floats) -> NDArray[np.uint8]:
    """Clip, a little brighter or darker by image; uint8 [n, s, s, 3]."""
    return ((canvas + 0.02 * (_col(grain) - 0.5)[..., None]).clip(0, 1) * 255).round().astype(np.uint8)


def _union(*distances: Floats) -> Floats:
    return np.minimum.reduce(distances)


def _ellipse(u: Floats, v: Floats, a: Floats, b: Floats) -> Floats:
    return (np.hypot(u / a, v / b) - 1) * np.minimum(a, b)


def _triangle(u: Floats, v: Floats, length: Floats, width: Floats) -> Floats:
    """Points to the right with its tip at u = 0; its base is at u = -length."""
    return np.maximum(np.abs(v) - width * np.clip(-u / length, 0, 2) * 0.8, np.maximum(u, -u - length))


def _bar(u: Floats, v: Floats, half_width: Any, half_height: Any) -> Floats:
    return np.maximum(np.abs(u) - half_width, np.abs(v) - half_height)


def _soft(z: Floats) -> Floats:
    """A step from 0 to 1 about one pixel wide."""
    return np.clip(z + 0.5, 0, 1)


def _col(values: Any) -> Floats:
    return np.asarray(values, np.float32)[:, None, None]


def _rgb(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    """HSV to RGB, [n] each in 0…1 to [n, 3]."""
    k = (np.array([5, 3, 1], np.float32) + hue[:, None] * 6) % 6
    return value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))


def _whole(options: Mapping[str, str], key: str, default: int) -> int:
    try:
        return int(options.get(key, default))
    except ValueError as error:
        raise UserError(f"{key}={options[key]} is no whole number", "toy", f"write for example {key}=60") from error
