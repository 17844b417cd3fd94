"""Bytes become uint8 RGB squares: limits first, then every odd mode, then one rule of resizing."""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from transferlab.images.source import Crop, Data, Unreadable, at_hand

# No EPS, PDF or anything else that would start another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MAX_PIXELS = 100_000_000  # by declared size
REDUCED = 3  # times the wanted size: at 2 the worst of 60 photographs is off by 1.2 levels on average, here by 0.7
LARGE_PIXELS = 16_000_000  # images above are decoded one at a time: about 1 GB at most, however many decode
DECODER = f"Pillow {Image.__version__}"

_TO_8_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
_ORIENTATION_TAG = 0x0112
Part = tuple[float, float, float]  # left, top and side of a square
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises on damaged files, format by format, beside its documented OSError.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, struct.error)


class BadImage(ValueError):
    """An image that cannot be used; its text is the reason in a few words, particulars in brackets at its end."""


def decode(
    data: Data, size_px: int, turn: AbstractContextManager[object] | None = None, crop: Crop | None = None
) -> NDArray[np.uint8]:
    """Decode, bring to RGB, scale the shorter side to ``size_px``, crop the centre.

    EXIF rotation is applied; transparency is laid on white; 16-bit grey is scaled to 8 bits; palettes, CMYK and
    bilevel are converted; colour profiles are ignored. Scaling is bicubic over all the pixels that fall into one.
    JPEGs of more than six times the wanted size are decoded at a reduced scale, of at least three times the wanted
    size: on average less than one of 255 levels from full decoding (tests/images/test_decode.py).

    Args:
        data: a file or its bytes, or pixels uint8 [h, w] or [h, w, 3], or the reason why there are none.
        size_px: wanted side, at least 1.
        turn: is entered while an image of many pixels is decoded; None is a lock of this process.
        crop: a square to take instead of the centre.

    Returns:
        uint8 [size_px, size_px, 3].

    Raises:
        BadImage: with the reason.
    """
    data = at_hand(data)
    if isinstance(data, Unreadable):
        raise BadImage(data.reason)
    if not isinstance(data, bytes):
        return _decode_array(data, size_px, crop)
    if not data:
        raise BadImage("empty file")
    try:
        with quiet():
            image = _opened(data)
            part = _reduced(image, REDUCED * size_px, _part(image.size, crop))
            with (turn or _LARGE) if image.width * image.height > LARGE_PIXELS else nullcontext():
                upright = _UPRIGHT.get(_orientation(image))
                return _rgb(_square(_plain(image), size_px, part), upright)
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage("not an image that can be read") from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"too many pixels (over {MAX_PIXELS:,})") from error
    except MemoryError as error:
        raise BadImage("too large for the memory") from error
    except _DAMAGED as error:
        text = (str(error).splitlines() or ["?"])[0]
        truncated = any(word in text.lower() for word in ("truncated", "not enough", "unexpected end"))
        raise BadImage("truncated" if truncated else f"damaged ({text[:120]})") from error


@contextmanager
def quiet() -> Generator[None]:
    """Silence warnings (Pillow's on odd metadata that does not touch the pixels), also with many threads inside.

    ``warnings.catch_warnings`` alone restores in the wrong order when threads overlap: the first in changes the
    filters, the last out restores them.
    """
    with _LOCK:
        if not _QUIET:
            catcher = warnings.catch_warnings()
            catcher.__enter__()
            warnings.simplefilter("ignore")
            _CATCHER.append(catcher)
        _QUIET.append(None)
    try:
        yield
    finally:
        with _LOCK:
            _QUIET.pop()
            if not _QUIET:
                _CATCHER.pop().__exit__(None, None, None)


_LARGE = threading.Lock()
_LOCK = threading.Lock()
_QUIET: list[None] = []  # one entry for each thread inside
_CATCHER: list[warnings.catch_warnings[None]] = []


def _decode_array(pixels: NDArray[np.uint8], size_px: int, crop: Crop | None) -> NDArray[np.uint8]:
    fits = pixels.dtype == np.uint8 and (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3))
    if not fits or not pixels.size:
        raise BadImage(f"not pixels (shape {pixels.shape}, {pixels.dtype})")
    image = Image.fromarray(pixels)
    return _rgb(_square(image, size_px, _part(image.size, crop)), None)


def _opened(data: bytes) -> Image.Image:
    """The image, its header read and checked, its pixels not yet decoded."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"too many pixels ({image.width}x{image.height})")
    if isinstance(image, (GifImageFile, PngImageFile, WebPImageFile)) and image.is_animated:
        raise BadImage("animated")
    if isinstance(image, TiffImageFile) and image.n_frames > 1:
        raise BadImage("several pages")
    return image


def _part(size: tuple[int, int], crop: Crop | None) -> Part:
    """The square that is meant: the centre, or what a crop says of an image of this very size."""
    if crop is None:
        side = min(size)
        return (size[0] - side) / 2, (size[1] - side) / 2, side
    if size != crop.of:
        raise BadImage(
            f"not of the size that its annotation gives ({size[0]}x{size[1]}, not {crop.of[0]}x{crop.of[1]})"
        )
    return crop.corners


def _reduced(image: Image.Image, at_least_px: int, part: Part) -> Part:
    """Have a large JPEG decoded at a half, quarter or eighth of its size; returns where the part then lies.

    That is not whole where the size is no multiple of 8; to count in the reduced image's whole pixels instead would
    shift the content by up to half a pixel (3 of 255 levels on average on photographs).
    """
    if not isinstance(image, JpegImageFile):
        return part
    width = image.width
    wanted_px = math.ceil(at_least_px * min(image.size) / part[2])
    drafted = image.draft("RGB", (wanted_px, wanted_px))
    scale = 1 if drafted is None else width / drafted[1][2]
    return part[0] / scale, part[1] / scale, part[2] / scale


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except _DAMAGED:
        return 1  # as viewers do: unreadable metadata leave the pixels as they are stored


def _plain(image: Image.Image) -> Image.Image:
    """The image in mode L, RGB, or RGBA where something is transparent."""
    if image.mode.startswith("I"):
        return Image.fromarray(_from_integers(np.asarray(image)))
    if image.mode == "F":
        return Image.fromarray(_from_floats(np.asarray(image)))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _from_integers(values: NDArray[np.integer]) -> NDArray[np.uint8]:
    if values.min() < 0 or values.max() > 65535:
        raise BadImage("integer pixels outside 0 to 65535")
    return _TO_8_BITS[values]


def _from_floats(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 255:
        raise BadImage("float pixels outside 0 to 255")
    scale = 255 if values.max() <= 1 else 1  # the two customs: 0…1 and 0…255
    return np.rint(values * scale).astype(np.uint8)


def _square(image: Image.Image, size_px: int, part: Part) -> Image.Image:
    """The part, scaled in the same pass, which touches only the pixels that stay."""
    left, top, side = part
    if image.size == (size_px, size_px) and side == size_px:
        return image
    return image.resize((size_px, size_px), Image.Resampling.BICUBIC, (left, top, left + side, top + side))


def _rgb(image: Image.Image, upright: Image.Transpose | None) -> NDArray[np.uint8]:
    """Rotated and laid on white: after scaling, where it is cheap; scaling weighs colours by their opacity."""
    if upright is not None:
        image = image.transpose(upright)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"), np.uint8)
