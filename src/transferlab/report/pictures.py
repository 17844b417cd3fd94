"""Pictures of a report: SVG figures, and sheets of images as PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transferlab.images.decode import decode
from transferlab.report.document import Picture

LARGE = 64  # pixels
THUMB_PX, N_THUMBS = 32, 12  # of a row of thumbnails; a phone's screen holds one row
N_COLOURS = 128  # of such a row, which makes its file a third as large


def svg_picture(text: str, alt: str, name: str, caption: str = "") -> Picture:
    """A figure, given as SVG text."""
    return Picture(name, alt, text.encode(), caption)


def sheet_picture(name: str, images: NDArray[np.uint8], alt: str = "", caption: str = "") -> Picture:
    """Images in rows of eight, or of four if they are large: on a phone a row is 350 px wide."""
    image = _sheet(images, 8 if images.shape[1] <= LARGE else 4)
    return Picture(name, alt, _png(image), caption, "png")


def thumbs_picture(name: str, images: NDArray[np.uint8], alt: str, caption: str) -> Picture:
    """Twelve of these images, evenly spread, in one row and at most 32 px large."""
    chosen = np.linspace(0, len(images) - 1, min(N_THUMBS, len(images))).round().astype(int)
    side = min(THUMB_PX, images.shape[1])
    image = _sheet(np.stack([decode(np.asarray(images[i]), side) for i in chosen]), N_THUMBS)
    return Picture(name, alt, _png(image.quantize(N_COLOURS)), caption, "png")


def _sheet(images: NDArray[np.uint8], columns: int) -> Image.Image:
    """Images in rows of so many."""
    side, gap = images.shape[1], 1
    n_rows = -(-len(images) // columns)
    canvas = np.full((n_rows * (side + gap) - gap, columns * (side + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (side + gap), (i % columns) * (side + gap)
        canvas[y : y + side, x : x + side] = image
    return Image.fromarray(canvas)


def _png(image: Image.Image) -> bytes:
    held = io.BytesIO()
    image.save(held, "PNG", optimize=True)
    return held.getvalue()
