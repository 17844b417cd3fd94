"""Pictures of a report: SVG figures, and sheets of images as PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transferlab.report.document import Picture

LARGE = 64  # pixels


def svg_picture(text: str, alt: str, name: str, caption: str = "") -> Picture:
    """A figure, given as SVG text."""
    return Picture(name, alt, text.encode(), caption)


def sheet_picture(name: str, images: NDArray[np.uint8], alt: str = "", caption: str = "") -> Picture:
    """Images in rows of eight, or of four if they are large: on a phone a row is 350 px wide."""
    side, gap = images.shape[1], 1
    columns = 8 if side <= LARGE else 4
    n_rows = -(-len(images) // columns)
    canvas = np.full((n_rows * (side + gap) - gap, columns * (side + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (side + gap), (i % columns) * (side + gap)
        canvas[y : y + side, x : x + side] = image
    held = io.BytesIO()
    Image.fromarray(canvas).save(held, "PNG", optimize=True)
    return Picture(name, alt, held.getvalue(), caption, "png")
