"""Painting for the toy world: creatures by body plan, proportions and coat on a background, many images at once.

Lengths are in units of half an image's width, from its centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32 throughout; numpy's stubs lose track of it

BODIES = ("fish", "bird", "beast", "crab")
SHAPES = {"long": (1.45, 0.72), "round": (0.95, 1.25), "slim": (1.15, 0.62), "stout": (1.25, 1.1)}
UNSEEN_SHAPES = {"tall": (0.8, 1.45), "thin": (1.6, 0.5)}
PATTERNS = ("plain", "striped", "spotted", "checked")


@dataclass(frozen=True)
class Creatures:
    """The creatures of n images, an array [n] each: body plan, length and width in units of the scale, pattern, hue."""

    body: NDArray[np.int64]
    length: Floats
    width: Floats
    pattern: NDArray[np.int64]
    hue: Floats


def any_creatures(uniform: Floats) -> Creatures:
    """Creatures of every kind, for scenes and attributes."""
    proportions = np.array(list((SHAPES | UNSEEN_SHAPES).values()), np.float32)
    shape = (uniform[:, 0] * len(proportions)).astype(int)
    return Creatures(
        (uniform[:, 1] * len(BODIES)).astype(int), proportions[shape, 0], proportions[shape, 1],
        (uniform[:, 2] * len(PATTERNS)).astype(int), uniform[:, 3],
    )  # fmt: skip


def grid(width_px: int, height_px: int) -> tuple[Floats, Floats]:
    """Coordinates of pixel centres, [1, 1, w] in -1…1 and [1, h, 1]."""
    x, y = ((np.arange(n, dtype=np.float32) + 0.5) * (2 / width_px) - n / width_px for n in (width_px, height_px))
    return x[None, None, :], y[None, :, None]


def background(u: Floats, x: Floats, y: Floats) -> Floats:
    """Two soft colours, a horizon, and low waves of light; float32 [n, s, s, 3]."""
    far, near = (
        _rgb(u[:, 0], 0.18 + 0.3 * u[:, 2], 0.62 + 0.3 * u[:, 3]),
        _rgb(u[:, 1], 0.2 + 0.3 * u[:, 4], 0.4 + 0.3 * u[:, 5]),
    )
    horizon = _col(u[:, 6] - 0.3) + 0.08 * np.sin(_col(2 + 4 * u[:, 7]) * x + _col(6.3 * u[:, 8]))
    below = _soft((y - horizon) * 6)[..., None]
    waves = 0.07 * np.sin(_col(3 + 9 * u[:, 9]) * x + _col(3 + 9 * u[:, 10]) * y + _col(6.3 * u[:, 11]))
    return (1 - below) * far[:, None, None] + below * near[:, None, None] + waves[..., None]


def paint(
    canvas: Floats, c: Creatures, pose: tuple[Floats, ...], left: NDArray[np.bool_], light: Floats,
    at: tuple[Floats, Floats],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Paint creatures on a canvas: shape by distance, coat by pattern, roundness by shading, an eye.

    Args:
        pose: centre, scale and angle, [n] each. at: the coordinates from ``grid``.

    Returns:
        the canvas, and the share of each pixel that the creature covers, [n, h, w].
    """
    at_x, at_y, scale, angle = pose
    cos, sin = np.cos(angle), np.sin(angle)
    dx, dy = (at[0] - _col(at_x)) / _col(scale), (at[1] - _col(at_y)) / _col(scale)
    u = (_col(cos) * dx + _col(sin) * dy) * np.where(_col(left), -1, 1)
    v = _col(cos) * dy - _col(sin) * dx
    distance, eye = _outline(c, u, v)
    px = _col(scale) * (distance.shape[2] / 2)  # pixels per unit of the creature's own frame
    inside = _soft(-distance * px)
    coat = _coat(c, u, v)
    shade = np.clip(1.12 - 0.42 * (v / _col(c.width)) - 0.1 * (distance + 0.4), 0.45, 1.35) * _col(light)
    pupil = _soft((0.12 - eye) * px)[..., None]
    white = _soft((0.22 - eye) * px)[..., None]
    skin = coat * shade[..., None]
    skin = skin * (1 - white) + 0.97 * white
    skin = skin * (1 - pupil) + 0.08 * pupil
    return canvas * (1 - inside[..., None]) + skin * inside[..., None], inside


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
    """The main colour, with a lighter second one in the coat's pattern, [n, s, s, 3]."""
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


def blade(canvas: Floats, hidden: NDArray[np.bool_], u: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Paint a blade of grass across some of the images; returns the canvas, and the share of each pixel it covers."""
    slant = _col(1.2 * (u[:, 0] - 0.5))
    across = np.abs(x + slant * y - _col(1.1 * (u[:, 1] - 0.5))) - _col(0.07 + 0.1 * u[:, 2])
    covers = _soft(-across * (x.shape[2] / 2)) * hidden[:, None, None]
    share = covers[..., None]
    colour = _rgb(0.22 + 0.2 * u[:, 3], 0.3 + 0.3 * u[:, 4], 0.25 + 0.3 * u[:, 4])
    return canvas * (1 - share) + colour[:, None, None] * share, covers


def to_pixels(canvas: Floats, grain: Floats) -> NDArray[np.uint8]:
    """The canvas as uint8 [n, s, s, 3], each image a little brighter or darker."""
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
