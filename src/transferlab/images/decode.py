"""Bytes become uint8 RGB, squares or whole images: limits first, then every odd mode, then one rule of resizing."""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from transferlab.images.source import Crop, Data, Objects, Unreadable, at_hand

# No EPS, PDF or anything else that would start another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MAX_PIXELS = 100_000_000  # by declared size
REDUCED = 3  # times the wanted size: at 2 the worst of 60 photographs is off by 1.2 levels on average, here by 0.7
LARGE_PIXELS = 16_000_000  # images above are decoded one at a time: about 1 GB at most, however many decode
DECODER = f"Pillow {Image.__version__}"

_TO_8_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
_ORIENTATION_TAG = 0x0112
Part = tuple[float, float, float, float]  # left, top, width and height
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


class _Cut(NamedTuple):
    """What is wanted of an image as it is stored: a part, scaled to a size, then turned.

    Args:
        reduced_px: width and height that decoding at a reduced scale must leave of the whole image.
        turned: says by the orientation of its metadata how, and raises BadImage if that cannot be told.
    """

    part: Part
    size: tuple[int, int]
    reduced_px: tuple[int, int]
    turned: Callable[[int], Image.Transpose | None]


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
    return _decoded(data, turn, lambda size: _square(size, size_px, crop))


def decode_whole(
    data: Data, longer_px: int, objects: Objects, turn: AbstractContextManager[object] | None = None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode all of an image, its longer side scaled to ``longer_px`` unless it is shorter; else as ``decode``.

    EXIF rotation is applied where the annotated size says that boxes count on the upright image, or where there are no
    boxes; where it says that they count on the image as it is stored, it stays as it is.

    Returns:
        uint8 [h, w, 3], and height and width of the image that boxes count on.

    Raises:
        BadImage: also if the image has not the annotated size, or nothing tells whether boxes are rotated.
    """
    seen: list[tuple[int, int]] = []

    def cut(size: tuple[int, int]) -> _Cut:
        scale = min(1.0, longer_px / max(size))
        wanted = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

        def turned(orientation: int) -> Image.Transpose | None:
            upright = _UPRIGHT.get(orientation) if _is_turned(size, orientation, objects) else None
            width, height = (size[1], size[0]) if upright and orientation >= 5 else size
            width, height = _annotated((width, height), objects)
            seen.append((height, width))
            return upright

        return _Cut((0, 0, *size), wanted, (REDUCED * wanted[0], REDUCED * wanted[1]), turned)

    return _decoded(data, turn, cut), seen[-1]


def _is_turned(size: tuple[int, int], orientation: int, objects: Objects) -> bool:
    """Whether boxes count on the image as its metadata turn it, not as it is stored."""
    if orientation not in _UPRIGHT or not objects.boxes:
        return orientation in _UPRIGHT
    if orientation >= 5 and size[0] != size[1] and objects.size in (size, size[::-1]):
        return objects.size != size
    raise BadImage(f"turned by its metadata, and its boxes do not say whether they are (orientation {orientation})")


def _annotated(size: tuple[int, int], objects: Objects) -> tuple[int, int]:
    """The size that boxes count on."""
    if objects.size is None or objects.size == size:
        return size
    wide, high = objects.size
    if objects.reduced and max(size) <= max(wide, high) and abs(size[0] * high - size[1] * wide) < max(wide, high):
        return objects.size
    raise _other_size(size, objects.size)


def _other_size(size: tuple[int, int], told: tuple[int, int]) -> BadImage:
    return BadImage(f"not of the size that its annotation gives ({size[0]}x{size[1]}, not {told[0]}x{told[1]})")


def _decoded(
    data: Data, turn: AbstractContextManager[object] | None, cut_of: Callable[[tuple[int, int]], _Cut]
) -> NDArray[np.uint8]:
    """The cut of an image that its stored width and height ask for, uint8 [h, w, 3]."""
    data = at_hand(data)
    if isinstance(data, Unreadable):
        raise BadImage(data.reason)
    if not isinstance(data, bytes):
        return _from_array(data, cut_of)
    if not data:
        raise BadImage("empty file")
    try:
        with quiet():
            image = _opened(data)
            cut = cut_of(image.size)
            part = _reduced(image, cut)
            with (turn or _LARGE) if image.width * image.height > LARGE_PIXELS else nullcontext():
                upright = cut.turned(_orientation(image))
                return _rgb(_scaled(_plain(image), cut.size, part), upright)
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


def _from_array(pixels: NDArray[np.uint8], cut_of: Callable[[tuple[int, int]], _Cut]) -> NDArray[np.uint8]:
    fits = pixels.dtype == np.uint8 and (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3))
    if not fits or not pixels.size:
        raise BadImage(f"not pixels (shape {pixels.shape}, {pixels.dtype})")
    image = Image.fromarray(pixels)
    cut = cut_of(image.size)
    return _rgb(_scaled(image, cut.size, cut.part), cut.turned(1))


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


def _square(size: tuple[int, int], size_px: int, crop: Crop | None) -> _Cut:
    """The square that is meant: the centre, or what a crop says of an image of this very size."""
    if crop is not None and size != crop.of:
        raise _other_size(size, crop.of)
    shorter = min(size)
    left, top, side = crop.corners if crop else ((size[0] - shorter) / 2, (size[1] - shorter) / 2, shorter)
    reduced_px = math.ceil(REDUCED * size_px * shorter / side)
    return _Cut((left, top, side, side), (size_px, size_px), (reduced_px, reduced_px), _UPRIGHT.get)


def _reduced(image: Image.Image, cut: _Cut) -> Part:
    """Have a large JPEG decoded at a half, quarter or eighth of its size; returns where the part then lies.

    That is not whole where the size is no multiple of 8; to count in the reduced image's whole pixels instead would
    shift the content by up to half a pixel (3 of 255 levels on average on photographs).
    """
    if not isinstance(image, JpegImageFile):
        return cut.part
    width = image.width
    drafted = image.draft("RGB", cut.reduced_px)
    scale = 1 if drafted is None else width / drafted[1][2]
    left, top, wide, high = cut.part
    return left / scale, top / scale, wide / scale, high / scale


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


def _scaled(image: Image.Image, size: tuple[int, int], part: Part) -> Image.Image:
    """The part, scaled in the same pass, which touches only the pixels that stay."""
    left, top, width, height = part
    if image.size == size and (width, height) == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))


def _rgb(image: Image.Image, upright: Image.Transpose | None) -> NDArray[np.uint8]:
    """Rotated and laid on white: after scaling, where it is cheap; scaling weighs colours by their opacity."""
    if upright is not None:
        image = image.transpose(upright)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)
