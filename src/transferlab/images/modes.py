"""Every mode of Pillow becomes L, RGB or RGBA; what a file says of its pixels counts, also where Pillow passes over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImagePalette
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

FLOATS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"Pf")  # how files begin that may hold floats: TIFF and PFM
FLOATING, INTEGERS = "floats of 0 to ", "integers of 0 to "  # how ranges begin; their largest value follows
_DEPTHS = (255, 1023, 4095, 16_383)  # the largest values of 8, 10, 12 and 14 bits
_BAND = 1 << 20  # pixels converted at once, since arrays of floats or integers take many times the memory of the image

_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANAR, _COLOURS, _SAMPLES = 258, 259, 262, 284, 320, 339  # tags of TIFF
_WHITE_IS_ZERO, _APART, _SIGNED, _UNPACKED = 0, 2, 2, 1  # values of them
# libtiff gives numbers in the machine's order; Pillow would take these for big-endian still.
_NATIVE = {"F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;16BS": "I;16NS"}
_LEVEL = {"L;2": 85, "L;4": 17}  # PNGs whose levels Pillow multiplies, but not the transparent one

Tell = Callable[[str], object]


class BadImage(ValueError):
    """An image that cannot be used; its text is the reason in a few words, with details in parentheses at the end."""


def by_its_tags(image: Image.Image) -> None:
    """Correct what Pillow makes of a header, before pixels are decoded; raises BadImage if it would read them wrong."""
    for key in ("xmp", "XML:com.adobe.xmp"):  # the rotation there is often out of date; browsers do not apply it either
        image.info.pop(key, None)
    clear = image.info.get("transparency")
    if isinstance(image, PngImageFile) and isinstance(clear, int):
        image.info["transparency"] = clear * _LEVEL.get(str(image.tile[0].args), 1)
    if not isinstance(image, TiffImageFile):
        return
    tags = image.tag_v2
    bits = set(tags.get(_BITS, (1,)))
    swapped = image.mode == "F" and tags.prefix == b"MM"
    if tags.get(_PLANAR) == _APART and tags.get(_COMPRESSION, 1) == _UNPACKED and (swapped or not bits <= {8, 32}):
        raise BadImage("TIFF with channels stored apart, not of 8 bits (save it with PlanarConfiguration 1)")
    image.tile = [
        tile._replace(args=(_NATIVE.get(tile.args[0], tile.args[0]), *tile.args[1:]))
        if tile.codec_name == "libtiff" and isinstance(tile.args, tuple)
        else tile
        for tile in image.tile
    ]
    if (
        image.mode in ("P", "PA") and max(colours := tags[_COLOURS]) < 256
    ):  # 8 bits where 16 are due, as libtiff takes it
        image.palette = ImagePalette.raw("RGB;L", bytes(colours))


def plain(image: Image.Image, tell: Tell = lambda found: None) -> Image.Image:
    """The image in mode L or RGB, or in RGBA if it has transparency.

    Args:
        tell: is called with the range of values, where the file does not state it: one image cannot say it for its set. A
            dark image of 0 to 255 looks like a bright one of 0 to 1, and one of 12 bits like a dark one of 16.
    """
    if image.mode.startswith("I"):
        return _from_integers(image, tell)
    if image.mode == "F":
        return _from_floats(image, tell)
    if _tag(image, _SAMPLES, (1,)) == (_SIGNED,) and np.asarray(image.getextrema()).max() > 127:
        raise BadImage("integer pixels below 0")
    if image.mode == "La":  # which Pillow turns into nothing else
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _from_integers(image: Image.Image, tell: Tell) -> Image.Image:
    """Integers of more than 8 bits, in mode L; with transparency in LA turned RGBA."""
    bits = 12 if _tag(image, _BITS, ()) == (12,) else 16
    most = 2**bits - 1
    largest = 0
    in_8_bits = ((np.arange(most + 1) * 255 + most // 2) // most).astype(np.uint8)
    if _tag(image, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        in_8_bits = 255 - in_8_bits  # Pillow inverts 8 bits, but not 16

    def scaled(values: NDArray[Any]) -> NDArray[np.uint8]:
        nonlocal largest
        largest = max(largest, int(values.max()))
        if values.min() < 0 or largest > most:
            raise BadImage(f"integer pixels outside 0 to {most}")
        return in_8_bits[values]

    grey = _in_bands(image, scaled)
    if bits == 16 and largest > 0:
        tell(INTEGERS + str(next((depth for depth in _DEPTHS if largest <= depth), most)))
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    opaque = _in_bands(image, lambda values: np.where(values == clear, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, opaque)).convert("RGBA")


def _from_floats(image: Image.Image, tell: Tell) -> Image.Image:
    largest = _largest(image)
    scale = 255 if largest <= 1 else 1  # the two conventions: 0…1 and 0…255
    if largest > 0:
        tell(f"{FLOATING}{'1' if largest <= 1 else '255'}")
    inverted = _tag(image, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO

    def scaled(values: NDArray[Any]) -> NDArray[np.uint8]:
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 255:
            raise BadImage("float pixels outside 0 to 255")
        levels = np.rint(values * scale).astype(np.uint8)
        return 255 - levels if inverted else levels

    return _in_bands(image, scaled)


def _largest(image: Image.Image) -> float:
    return float(np.asarray(image.getextrema()).max())


def _tag(image: Image.Image, tag: int, default: object) -> object:
    """A tag of a TIFF; the default for any other image."""
    return image.tag_v2.get(tag, default) if isinstance(image, TiffImageFile) else default


def _in_bands(image: Image.Image, converted: Callable[[NDArray[Any]], NDArray[np.uint8]]) -> Image.Image:
    """The image in mode L, of which some rows at a time are converted."""
    width, height = image.size
    grey = np.empty((height, width), np.uint8)
    step = max(1, _BAND // width)
    for top in range(0, height, step):
        grey[top : top + step] = converted(np.asarray(image.crop((0, top, width, min(height, top + step)))))
    return Image.fromarray(grey)
