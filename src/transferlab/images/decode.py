"""Bytes become uint8 RGB squares: limits first, then every odd mode, then one rule of resizing."""

from __future__ import annotations

import io
import warnings
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

# No EPS, PDF or anything else that would start another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MAX_PIXELS = 100_000_000  # by declared size: a decoded image takes at most 400 MB
DECODER = f"Pillow {Image.__version__}"

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
ImageFile.LOAD_TRUNCATED_IMAGES = False


class BadImage(ValueError):
    """An image that cannot be used; its text is the reason, in a few words."""


def decode(data: bytes | NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Decode, bring to RGB, scale the shorter side to ``size_px``, crop the centre.

    EXIF rotation is applied; transparency is laid on white; 16-bit grey is scaled to 8; palettes, CMYK and bilevel
    are converted. Large JPEGs are decoded at a reduced scale that is still at least twice the wanted size.

    Args:
        data: a file's bytes, or pixels uint8 [h, w] or [h, w, 3].

    Returns:
        uint8 [size_px, size_px, 3].

    Raises:
        BadImage: with the reason.
    """
    image = _opened(data) if isinstance(data, bytes) else Image.fromarray(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata that does not touch the pixels
            if image.format == "JPEG":
                image.draft("RGB", (2 * size_px, 2 * size_px))
            image = ImageOps.exif_transpose(image)
            return _square(_rgb(image), size_px)
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise BadImage(_reason(error)) from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"too many pixels (over {MAX_PIXELS:,})") from error


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise BadImage("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise BadImage("not an image that can be read") from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"too many pixels (over {MAX_PIXELS:,})") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise BadImage(_reason(error)) from error
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"too many pixels ({image.width}×{image.height})")
    if image.format in ("GIF", "WEBP", "PNG", "TIFF") and cast(Any, image).n_frames > 1:
        raise BadImage("animated, or of several pages")
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        values = np.asarray(image).astype(np.float64)
        return Image.fromarray((values.clip(0, 65535) / 257).round().astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image).astype(np.float64))
        top = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
        return Image.fromarray((values.clip(0, top) / top * 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")


def _square(image: Image.Image, size_px: int) -> NDArray[np.uint8]:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    if (width, height) != (size_px, size_px):
        # Cropping and scaling in one pass touches only the pixels that stay.
        image = image.resize((size_px, size_px), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return np.asarray(image, np.uint8)


def _reason(error: Exception) -> str:
    text = str(error)
    return "truncated" if "truncated" in text or "Truncated" in text else (text.splitlines() or ["broken"])[0][:120]
