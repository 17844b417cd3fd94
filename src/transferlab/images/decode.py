"""Decode bytes to uint8 RGB, squares or whole images: limits are checked first, every mode is converted, then scaled."""

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
from PIL import Image, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from transferlab.images.bounded import MAX_PIXELS
from transferlab.images.modes import FLOATS, BadImage, Tell, by_its_tags, plain
from transferlab.images.source import Crop, Data, Objects, Unreadable, at_hand

# Without EPS, PDF and anything else that would start another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", *(["AVIF"] if features.check("avif") else []))
# What stands at the beginning of images that are not read, at its offset, and what to do.
NOT_READ = (
    (4, b"ftypheic", "HEIC, which is not read (convert it to JPEG)"), (4, b"ftypheix", "HEIC, which is not read (convert it to JPEG)"),
    (4, b"ftypmif1", "HEIF, which is not read (convert it to JPEG)"), (4, b"ftypavif", "AVIF, damaged or not read by this Pillow (convert it to JPEG)"),
    *((0, start, "TIFF of a kind that is not read, or damaged (save it with 8 or 16 bits a channel)") for start in FLOATS[:4]),
    (0, b"<svg", "SVG, a drawing without pixels (export it as PNG)"), (0, b"%PDF", "PDF, not an image (export its pictures as PNG)"),
)  # fmt: skip
REDUCED = 3  # times the wanted size: the worst of 60 photographs differs by 0.7 levels on average; at 2, by 1.2
LARGE_PIXELS = 16_000_000  # larger images are decoded one at a time: this bounds memory to about 1 GB
DECODER = f"Pillow {Image.__version__}, modes 2"  # the number grows where an image comes out otherwise

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
# What Pillow raises on damaged files of some format, besides its documented OSError.
_DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)


class _Cut(NamedTuple):
    """What to take from a stored image: a part, scaled to a size, then rotated.

    Args:
        reduced_px: least width and height of the whole image when it is decoded at a reduced scale.
        turned: the rotation that is left for an EXIF orientation, which the decoder has applied already or not; raises
            BadImage if it cannot be determined.
    """

    part: Part
    size: tuple[int, int]
    reduced_px: tuple[int, int]
    turned: Callable[[int, bool], Image.Transpose | None]


def decode(
    data: Data, size_px: int, turn: AbstractContextManager[object] | None = None, crop: Crop | None = None,
    tell: Tell = lambda found: None,
) -> NDArray[np.uint8]:  # fmt: skip
    """Decode to RGB, scale the shorter side to ``size_px``, and crop the centre.

    EXIF rotation is applied; transparent images get a white background; every mode is converted as in ``modes``; colour
    profiles are ignored. Scaling is bicubic with antialiasing. JPEGs of more than six times the wanted size are decoded
    at a reduced scale, at least three times the wanted size: on average this differs from full decoding by less than one
    of 255 levels (tests/images/test_decode.py).

    Args:
        data: a file or its bytes, pixels uint8 [h, w] or [h, w, 3], or the reason why there are none.
        size_px: wanted side, at least 1.
        turn: a lock to hold while a large image is decoded; None is a lock of this process.
        crop: a square to take instead of the centre.
        tell: as for ``modes.plain``.

    Returns:
        uint8 [size_px, size_px, 3].

    Raises:
        BadImage: the image cannot be used.
    """
    return _decoded(data, turn, lambda size: _square(size, size_px, crop), tell)


def decode_whole(
    data: Data, longer_px: int, objects: Objects, turn: AbstractContextManager[object] | None = None,
    tell: Tell = lambda found: None,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:  # fmt: skip
    """Decode a whole image, its longer side scaled down to ``longer_px``; otherwise as ``decode``.

    EXIF rotation is applied if there are no boxes, or if the annotated size is that of the rotated image; if it is that
    of the stored image, the image is not rotated.

    Returns:
        uint8 [h, w, 3], and height and width of the image that the boxes were drawn on.

    Raises:
        BadImage: as ``decode``; the image does not have the annotated size, or it is unclear whether boxes are rotated.
    """
    seen: list[tuple[int, int]] = []

    def cut(size: tuple[int, int]) -> _Cut:
        scale = min(1.0, longer_px / max(size))
        wanted = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

        def turned(orientation: int, applied: bool) -> Image.Transpose | None:
            stored = (size[1], size[0]) if applied and orientation >= 5 else size
            is_turned = _is_turned(stored, orientation, objects)
            if applied and not is_turned and orientation in _UPRIGHT:
                raise BadImage(f"rotated by its metadata, and its boxes not (orientation {orientation})")
            upright = _UPRIGHT.get(orientation) if is_turned and not applied else None
            width, height = (size[1], size[0]) if upright and orientation >= 5 else size
            width, height = _annotated((width, height), objects)
            seen.append((height, width))
            return upright

        return _Cut((0, 0, *size), wanted, (REDUCED * wanted[0], REDUCED * wanted[1]), turned)

    return _decoded(data, turn, cut, tell), seen[-1]


def _is_turned(size: tuple[int, int], orientation: int, objects: Objects) -> bool:
    """Whether the boxes were drawn on the image as its metadata rotate it, not as it is stored."""
    if orientation not in _UPRIGHT or not objects.boxes:
        return orientation in _UPRIGHT
    if orientation >= 5 and size[0] != size[1] and objects.size in (size, size[::-1]):
        return objects.size != size
    raise BadImage(f"rotated by its metadata, and its boxes perhaps not (orientation {orientation})")


def _annotated(size: tuple[int, int], objects: Objects) -> tuple[int, int]:
    """The size of the image that the boxes were drawn on."""
    if objects.size is None or objects.size == size:
        return size
    wide, high = objects.size
    if objects.reduced and max(size) <= max(wide, high) and abs(size[0] * high - size[1] * wide) < max(wide, high):
        return objects.size
    raise _other_size(size, objects.size)


def _other_size(size: tuple[int, int], told: tuple[int, int]) -> BadImage:
    return BadImage(f"not of the size in its annotation ({size[0]}x{size[1]}, not {told[0]}x{told[1]})")


def _decoded(
    data: Data, turn: AbstractContextManager[object] | None, cut_of: Callable[[tuple[int, int]], _Cut], tell: Tell
) -> NDArray[np.uint8]:
    """The cut of an image, given its stored width and height, uint8 [h, w, 3]."""
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
                applied = isinstance(image, TiffImageFile)  # Pillow rotates these while it decodes them
                upright = cut.turned(_orientation(image), applied)
                return _rgb(_scaled(plain(image, tell), cut.size, part), upright)
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(_not_read(data)) from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"too many pixels (over {MAX_PIXELS:,})") from error
    except MemoryError as error:
        raise BadImage("too large for the memory") from error
    except _DAMAGED as error:
        text = (str(error).splitlines() or ["?"])[0]
        truncated = any(word in text.lower() for word in ("truncated", "not enough", "unexpected end"))
        raise BadImage("truncated" if truncated else f"damaged ({text[:120]})") from error


def _not_read(data: bytes) -> str:
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<?xml") and b"<svg" in start:
        start = b"<svg"
    found = (reason for offset, begins, reason in NOT_READ if start.startswith(begins, offset))
    return next(found, "not a readable image")


@contextmanager
def quiet() -> Generator[None]:
    """Silence warnings, such as Pillow's about odd metadata, in any number of threads at once.

    ``warnings.catch_warnings`` alone restores in the wrong order when threads overlap: here the first to enter changes
    the filters, and the last to leave restores them.
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
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise BadImage(f"too many pixels ({pixels.shape[1]}x{pixels.shape[0]})")
    image = Image.fromarray(pixels)
    cut = cut_of(image.size)
    return _rgb(_scaled(image, cut.size, cut.part), cut.turned(1, False))


def _opened(data: bytes) -> Image.Image:
    """The image with its header checked and its pixels not yet decoded."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"too many pixels ({image.width}x{image.height})")
    # Pictures for two eyes (MPO) are JPEGs to everybody else.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise BadImage("several pages" if isinstance(image, TiffImageFile) else "animated")
    by_its_tags(image)
    return image


def _square(size: tuple[int, int], size_px: int, crop: Crop | None) -> _Cut:
    """The centre, or the square of a crop, which is of an image of exactly this size."""
    if crop is not None and size != crop.of:
        raise _other_size(size, crop.of)
    shorter = min(size)
    left, top, side = crop.corners if crop else ((size[0] - shorter) / 2, (size[1] - shorter) / 2, shorter)
    reduced_px = math.ceil(REDUCED * size_px * shorter / side)
    return _Cut((left, top, side, side), (size_px, size_px), (reduced_px, reduced_px), _left)


def _left(orientation: int, applied: bool) -> Image.Transpose | None:
    return None if applied else _UPRIGHT.get(orientation)


def _reduced(image: Image.Image, cut: _Cut) -> Part:
    """Let a large JPEG be decoded at a half, quarter or eighth of its size; returns the part in the reduced image.

    Its edges are fractions if the size is not a multiple of 8. Whole pixels of the reduced image would shift the content
    by up to half a pixel (on photographs 3 of 255 levels on average).
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
        return 1  # as viewers do: unreadable metadata do not rotate


def _scaled(image: Image.Image, size: tuple[int, int], part: Part) -> Image.Image:
    """Crop and scale in one pass, which reads only the pixels of the part."""
    left, top, width, height = part
    if image.size == size and (width, height) == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))


def _rgb(image: Image.Image, upright: Image.Transpose | None) -> NDArray[np.uint8]:
    """Rotate and put on a white background; after scaling, this is cheap, and scaling weights colours by opacity."""
    if upright is not None:
        image = image.transpose(upright)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)
