"""Pixels are what a file says they are; expected values are written by hand, files byte by byte."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from transferlab.images.decode import BadImage, decode

SIDE = 4
LEVELS = np.arange(16).reshape(SIDE, SIDE)  # 0 to 15, each once
Tags = dict[int, tuple[int, ...]]


def tiff(pixels: bytes | list[bytes], tags: Tags, order: str = "<", *, big: bool = False) -> bytes:
    """A TIFF of four by four pixels, with a strip for each of its bytes; all values are shorts, but those of strips."""
    strips = [pixels] if isinstance(pixels, bytes) else pixels
    start, wide = (16, "Q") if big else (8, "I")
    offsets = [start + sum(map(len, strips[:i])) for i in range(len(strips))]
    held: Tags = {
        256: (SIDE,),
        257: (SIDE,),
        259: (1,),
        273: tuple(offsets),
        277: (1,),
        278: (SIDE,),
        279: tuple(map(len, strips)),
        **tags,
    }
    at = start + sum(map(len, strips))
    values_at = at + (16 + 20 * len(held) if big else 6 + 12 * len(held))
    entries, values = b"", b""
    for tag, numbers in sorted(held.items()):
        code, kind = ("I", 4) if tag in (273, 279) else ("H", 3)
        data = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(data) > struct.calcsize(f"={wide}"):
            data, values = struct.pack(f"{order}{wide}", values_at + len(values)), values + data
        entries += struct.pack(f"{order}HH{wide}", tag, kind, len(numbers)) + data.ljust(
            struct.calcsize(f"={wide}"), b"\0"
        )
    first = struct.pack(f"{order}HHHQ", 43, 8, 0, at) if big else struct.pack(f"{order}HI", 42, at)
    count = struct.pack(f"{order}{'Q' if big else 'H'}", len(held))
    end = bytes(8 if big else 4)
    return (b"II" if order == "<" else b"MM") + first + b"".join(strips) + count + entries + end + values


def bits_of(values: np.ndarray, n_bits: int) -> bytes:
    """Numbers of so many bits, the highest first."""
    return int("".join(f"{int(v):0{n_bits}b}" for v in values.ravel()), 2).to_bytes(values.size * n_bits // 8, "big")


def grey(data: bytes) -> list[list[int]]:
    found = decode(data, SIDE)
    assert (found == found[:, :, :1]).all()
    return found[:, :, 0].tolist()


def test_grey_of_12_bits_has_its_own_range() -> None:
    expected = np.rint(LEVELS * 273 / 4095 * 255).astype(int).tolist()
    for pixels, packing in ((p := bits_of(LEVELS * 273, 12), 1), (zlib.compress(p), 8)):
        assert grey(tiff(pixels, {258: (12,), 259: (packing,), 262: (1,)})) == expected


@pytest.mark.parametrize("order", ["<", ">"])
def test_floats_of_either_order_packed_or_not_are_read_and_turned_where_zero_is_white(order: str) -> None:
    pixels = (LEVELS * 17).astype(f"{order}f4").tobytes()
    for packing, data in ((1, pixels), (8, zlib.compress(pixels))):
        tags: Tags = {258: (32,), 259: (packing,), 339: (3,)}
        assert grey(tiff(data, {**tags, 262: (1,)}, order)) == (LEVELS * 17).tolist()
        assert grey(tiff(data, {**tags, 262: (0,)}, order)) == (255 - LEVELS * 17).tolist()


@pytest.mark.parametrize("n_bits", [16, 32])
def test_packed_integers_of_big_endian_files_keep_their_order(n_bits: int) -> None:
    data = zlib.compress((LEVELS * 2000).astype(f">i{n_bits // 8}").tobytes())
    expected = np.rint(LEVELS * 2000 / 257).astype(int).tolist()
    assert grey(tiff(data, {258: (n_bits,), 259: (8,), 262: (1,), 339: (2,)}, ">")) == expected


def test_signed_pixels_of_8_bits_are_bad_where_any_is_negative() -> None:
    tags: Tags = {258: (8,), 262: (1,), 339: (2,)}
    assert grey(tiff(LEVELS.astype(np.int8).tobytes(), tags)) == LEVELS.tolist()
    with pytest.raises(BadImage, match="integer pixels below 0"):
        decode(tiff((LEVELS - 8).astype(np.int8).tobytes(), tags), SIDE)


@pytest.mark.parametrize("order", ["<", ">"])
def test_channels_stored_apart_are_read_or_refused(order: str) -> None:
    channels = [LEVELS * 17, LEVELS * 3, 255 - LEVELS]
    of_8 = [channel.astype(np.uint8).tobytes() for channel in channels]
    tags: Tags = {262: (2,), 277: (3,), 284: (2,)}
    found = decode(tiff(of_8, {**tags, 258: (8, 8, 8)}, order), SIDE)
    assert (found == np.stack(channels, -1)).all()
    of_16 = [(channel * 257).astype(f"{order}u2").tobytes() for channel in channels]
    packed = [zlib.compress(channel) for channel in of_16]
    assert (decode(tiff(packed, {**tags, 258: (16,) * 3, 259: (8,)}, order), SIDE) == found).all()
    with pytest.raises(BadImage, match="channels stored apart"):
        decode(tiff(of_16, {**tags, 258: (16,) * 3}, order), SIDE)


def test_one_bit_stored_apart_is_not_turned_by_mistake() -> None:
    pixels = bytes([0b1000_0000]) * SIDE
    tags: Tags = {258: (1,), 262: (0,)}
    assert grey(tiff(pixels, tags))[0] == [0, 255, 255, 255]
    with pytest.raises(BadImage, match="channels stored apart"):
        decode(tiff(pixels, {**tags, 284: (2,)}), SIDE)


def test_palettes_of_8_bits_where_16_are_due_are_not_black() -> None:
    pixels, colours = LEVELS.astype(np.uint8).tobytes(), tuple(range(256))
    expected = LEVELS.tolist()
    assert grey(tiff(pixels, {258: (8,), 262: (3,), 320: colours * 3})) == expected
    assert grey(tiff(pixels, {258: (8,), 262: (3,), 320: tuple(257 * c for c in colours) * 3})) == expected


def test_grey_multiplied_by_its_opacity_is_laid_on_white() -> None:
    pixels = np.stack([LEVELS * 4, np.full_like(LEVELS, 64)], -1).astype(np.uint8).tobytes()
    found = np.array(grey(tiff(pixels, {258: (8, 8), 262: (1,), 277: (2,), 338: (1,)})))
    assert np.abs(found - (LEVELS * 4 + 255 - 64)).max() <= 4


@pytest.mark.parametrize(("n_bits", "clear"), [(1, 1), (2, 1), (4, 7), (8, 5)])
def test_the_transparent_level_of_a_png_counts_in_its_own_bits(n_bits: int, clear: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    levels = np.arange(64).reshape(8, 8) % 2**n_bits
    rows = b"".join(b"\0" + bits_of(row, n_bits) for row in levels)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, n_bits, 0, 0, 0, 0))
    png += chunk(b"tRNS", struct.pack(">H", clear)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    expected = np.where(levels == clear, 255, levels * 255 // (2**n_bits - 1))
    assert (decode(png, 8) == expected[:, :, None]).all()


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "TIFF"])
def test_a_rotation_that_only_xmp_states_is_not_applied(form: str) -> None:
    image = Image.new("L", (8, 16), 255)
    image.paste(0, (0, 0, 8, 8))
    file = io.BytesIO()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    more = {"tiffinfo": {700: xmp}} if form == "TIFF" else {"xmp": xmp}
    image.convert("RGB").save(file, form, **more)
    found = decode(file.getvalue(), 8)[:, :, 0]
    assert found[:3].max() < 20 and found[-3:].min() > 235


def test_the_range_of_floats_is_told_of_every_format_that_holds_them() -> None:
    for value, told in ((0.5, ["floats of 0 to 1"]), (9, ["floats of 0 to 255"]), (0, [])):
        pixels = np.full(16, value, "<f4").tobytes()
        tags: Tags = {258: (32,), 262: (1,), 339: (3,)}
        files = tiff(pixels, tags), tiff(pixels, tags, big=True), b"Pf\n4 4\n-1.0\n" + pixels
        found: list[str] = []
        assert len({str(decode(data, 4, tell=found.append)) for data in files}) == 1
        assert found == told * 3
