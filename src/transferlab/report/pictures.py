"""Pictures inside the page: data URIs, with what they say in words."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGE = 64  # pixels


@dataclass(frozen=True)
class Picture:
    """An image inside the page: its data URI, what it says in words, its name, and its bytes for a file."""

    uri: str
    alt: str
    name: str
    data: bytes


def svg_picture(text: str, alt: str, name: str) -> Picture:
    """A figure, given as SVG text."""
    data = text.encode()
    return Picture(f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}", alt, name, data)


def sheet_picture(name: str, images: NDArray[np.uint8], alt: str = "") -> Picture:
    """Up to 24 images in rows of eight, or of four if they are large: on a phone a row is 350 px wide. As PNG."""
    side, gap = images.shape[1], 1
    columns = 8 if side <= LARGE else 4
    n_rows = -(-len(images) // columns)
    canvas = np.full((n_rows * (side + gap) - gap, columns * (side + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (side + gap), (i % columns) * (side + gap)
        canvas[y : y + side, x : x + side] = image
    held = io.BytesIO()
    Image.fromarray(canvas).save(held, "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
    return Picture(uri, alt or f"Sample images of the condition {name}", name, held.getvalue())
