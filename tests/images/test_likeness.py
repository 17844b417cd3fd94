"""Copies are found, whatever was done to them, and images of one kind are no copies."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from transferlab.images.likeness import ALIKE, alike
from transferlab.images.toy import draw
from transferlab.specs import Pack

PX = 32


def photographs(n: int, seed: int, px: int = PX) -> np.ndarray:
    """Smooth random pictures that share no content, uint8 [n, px, px, 3]."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (n, 7, 7, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(x).resize((px, px), Image.Resampling.BICUBIC)) for x in small])


def jpeg(image: Image.Image, quality: int = 75) -> Image.Image:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality)
    return Image.open(held).convert("RGB")


def cropped(image: Image.Image, share: float, x: float, y: float) -> Image.Image:
    width = PX * (1 - share)
    left, top = (PX - width) * x, (PX - width) * y
    return image.resize((PX, PX), Image.Resampling.BICUBIC, box=(left, top, left + width, top + width))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "encoded anew": lambda i: jpeg(i, 40),
    "cropped by 5 %": lambda i: jpeg(cropped(i, 0.05, 0.3, 0.9)),
    "cropped by 8 % at a corner": lambda i: cropped(i, 0.08, 0, 0),
    "mirrored": lambda i: jpeg(i.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "brighter": lambda i: jpeg(ImageEnhance.Brightness(i).enhance(1.2)),
    "scaled down and up": lambda i: jpeg(i.resize((24, 24), Image.Resampling.LANCZOS).resize((PX, PX))),
    "grey": lambda i: i.convert("L").convert("RGB"),
}  # fmt: skip


def with_images(pack: Pack, images: np.ndarray) -> Pack:
    return replace(pack, images=images)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change: str, make_pack: Callable[..., Pack]) -> None:
    source = photographs(300, 1)
    rows = np.arange(0, 300, 15)
    copies = np.stack([np.asarray(CHANGES[change](Image.fromarray(source[row]))) for row in rows])
    target = np.concatenate([photographs(20, 2), copies])
    pack = make_pack()
    found = alike(
        (with_images(pack, target), np.arange(40, dtype=np.int32)),
        (with_images(pack, source), np.arange(300, dtype=np.int32)),
    )
    assert set(found.rows) >= set(range(21, 40)) and len(found.rows) <= 20  # at most one is missed, none is made up
    assert all(of == rows[row - 20] for row, of in zip(found.rows, found.of, strict=True))
    assert not found.exact.any() and (found.likeness >= ALIKE).all()


def test_equal_pixels_are_exact_even_without_contrast(make_pack: Callable[..., Pack]) -> None:
    source = photographs(50, 1)
    source[7] = 200
    target = np.concatenate([photographs(3, 2), source[[7, 30]], np.full((1, PX, PX, 3), 90, np.uint8)])
    pack = make_pack()
    found = alike(
        (with_images(pack, target), np.arange(6, dtype=np.int32)),
        (with_images(pack, source), np.arange(50, dtype=np.int32)),
    )
    assert found.rows.tolist() == [3, 4] and found.of.tolist() == [7, 30]
    assert found.exact.all() and found.n_plain == 2


def test_a_copy_at_another_size_is_found(make_pack: Callable[..., Pack]) -> None:
    source = photographs(80, 1, px=64)
    target = np.stack([np.asarray(Image.fromarray(x).resize((48, 48), Image.Resampling.LANCZOS)) for x in source[:10]])
    pack = make_pack()
    found = alike(
        (with_images(pack, target), np.arange(10, dtype=np.int32)),
        (with_images(pack, source), np.arange(80, dtype=np.int32)),
    )
    assert found.of.tolist() == list(range(10)) and not found.exact.any()


def test_only_the_rows_that_are_named_are_compared(make_pack: Callable[..., Pack]) -> None:
    images = photographs(40, 1)
    pack = with_images(make_pack(), images)
    even, odd = np.arange(0, 40, 2, dtype=np.int32), np.arange(1, 40, 2, dtype=np.int32)
    assert not len(alike((pack, even), (pack, odd)).rows)
    assert not len(alike((pack, even[:0]), (pack, odd)).rows)
    assert not len(alike((pack, even), (pack, odd[:0])).rows)
    images[10] = images[21]
    found = alike((pack, even), (pack, odd))
    assert (found.rows.tolist(), found.of.tolist()) == ([10], [21])


def test_drawings_of_one_kind_are_no_copies(make_pack: Callable[..., Pack]) -> None:
    images = draw("classes", "fish/long/plain-blue", np.arange(60), PX, 0)[0]
    pack = with_images(make_pack(), images)
    found = alike((pack, np.arange(30, dtype=np.int32)), (pack, np.arange(30, 60, dtype=np.int32)))
    assert not len(found.rows)
