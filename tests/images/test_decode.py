from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from transferlab.images.bounded import MAX_PIXELS
from transferlab.images.decode import FORMATS, BadImage, decode, decode_whole, quiet
from transferlab.images.source import Box, Crop, Objects, Unreadable

ORANGE = (230, 120, 20)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def pattern(width: int = 40, height: int = 40) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([127 + 120 * np.sin(x / 9), 127 + 120 * np.cos(y / 7), (x + y) * 255 / (width + height)], -1)
    return Image.fromarray(smooth.astype(np.uint8))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG"])
def test_every_format_on_the_list_keeps_a_plain_colour(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    found = decode(encoded(Image.new("RGB", (20, 20), ORANGE), form, **options), 10)
    assert found.shape == (10, 10, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - ORANGE).max() <= 2


def test_an_image_of_the_wanted_size_is_kept_to_the_bit() -> None:
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (16, 16, 3), np.uint8)
    assert (decode(encoded(Image.fromarray(pixels), "PNG"), 16) == pixels).all()
    assert (decode(pixels, 16) == pixels).all()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [8, 30, 60])
def test_a_crop_gives_what_cutting_first_gives(form: str, size: int) -> None:
    """Also where a large JPEG is decoded at a reduced scale: the part's own side counts for that, not the image's."""
    image = pattern(900, 600)
    options = {"quality": 98, "subsampling": 0} if form == "JPEG" else {}
    found = decode(encoded(image, form, **options), size, crop=Crop(310, 80, 400, (900, 600)))
    cut = decode(encoded(image.crop((310, 80, 710, 480)), "PNG"), size)
    inside = np.abs(found.astype(int) - cut)[2:-2, 2:-2]  # scaling looks a little past the edges of what is not cut off
    assert inside.max() <= 1 if form == "PNG" else inside.mean() < 1
    with pytest.raises(BadImage, match=r"not of the size in its annotation \(900x600, not 600x900\)"):
        decode(encoded(image, form, **options), size, crop=Crop(310, 80, 400, (600, 900)))


def test_grey_arrays_become_rgb() -> None:
    assert (decode(np.full((9, 5), 77, np.uint8), 4) == 77).all()


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_pixels_are_bad(pixels: np.ndarray) -> None:
    with pytest.raises(BadImage, match="not pixels"):
        decode(pixels, 4)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.repeat(np.linspace(0, 65535, 16).astype(np.uint16)[None], 16, 0)
    for form in ("PNG", "TIFF"):
        found = decode(encoded(Image.fromarray(ramp), form), 16)
        assert (found[0, :, 0] == np.rint(ramp[0] / 257)).all()


def test_sixteen_bit_grey_with_a_transparent_level_is_laid_on_white() -> None:
    ramp = np.array([[0, 1000, 65535, 30000]] * 4, np.uint16)
    image = Image.fromarray(ramp)
    found = decode(encoded(image, "PNG", transparency=1000), 4)
    assert found[0, :, 0].tolist() == [0, 255, 255, round(30000 / 257)]


def test_sixteen_bit_tiffs_whose_zero_is_white_are_turned() -> None:
    ramp = np.array([[0, 1000, 65535, 30000]] * 4, np.uint16)
    found = decode(encoded(Image.fromarray(ramp), "TIFF", tiffinfo={0x0106: 0}), 4)
    assert found[0, :, 0].tolist() == [255, 255 - round(1000 / 257), 0, 255 - round(30000 / 257)]


def test_a_turned_tiff_has_the_size_of_its_boxes_or_is_bad() -> None:
    box = (Box("cat", 0, 0, 2, 2),)
    turned = encoded(Image.new("RGB", (8, 4), ORANGE), "TIFF", tiffinfo={0x0112: 6})
    assert decode_whole(turned, 8, Objects((4, 8), box))[0].shape == (8, 4, 3)
    with pytest.raises(BadImage, match=r"rotated by its metadata, and its boxes not \(orientation 6\)"):
        decode_whole(turned, 8, Objects((8, 4), box))
    with pytest.raises(BadImage, match="its boxes perhaps not"):
        decode_whole(encoded(Image.new("RGB", (8, 8)), "TIFF", tiffinfo={0x0112: 3}), 8, Objects((8, 8), box))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC, which is not read .convert it to JPEG"), (b" <svg xmlns='x'/>", "SVG, a drawing"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<svg/>', "SVG, a drawing"), (b"%PDF-1.7", "PDF, not an image"),
    ],
)  # fmt: skip
def test_what_is_not_read_has_a_remedy(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        decode(data, 8)


@pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow does not read AVIF")
def test_avif_is_read_where_pillow_reads_it() -> None:
    assert np.abs(decode(encoded(Image.new("RGB", (16, 16), ORANGE), "AVIF"), 16).astype(int) - ORANGE).max() <= 4


def test_big_endian_sixteen_bit_tiff_is_read_right() -> None:
    image = Image.fromarray(np.full((6, 6), 0x8040, ">u2"))
    assert image.mode == "I;16B"
    assert (decode(encoded(image, "TIFF"), 6) == round(0x8040 / 257)).all()


def test_integers_beyond_sixteen_bits_are_named() -> None:
    with pytest.raises(BadImage, match="integer pixels outside"):
        decode(encoded(Image.fromarray(np.full((4, 4), 100_000, np.int32)), "TIFF"), 4)


@pytest.mark.parametrize(("value", "expected"), [(0.5, 128), (200.4, 200)])
def test_floats_are_read_by_either_custom(value: float, expected: int) -> None:
    assert (decode(encoded(Image.fromarray(np.full((4, 4), value, np.float32)), "TIFF"), 4) == expected).all()


@pytest.mark.parametrize("value", [np.nan, -1.0, 1e6, np.inf])
def test_floats_of_no_known_range_are_named(value: float) -> None:
    with pytest.raises(BadImage, match="float pixels"):
        decode(encoded(Image.fromarray(np.full((4, 4), value, np.float32)), "TIFF"), 4)


def test_transparency_is_laid_on_white() -> None:
    for image in (
        Image.new("RGBA", (8, 8), (200, 0, 0, 0)),
        Image.new("LA", (8, 8), (0, 0)),
        Image.new("RGB", (8, 8), (1, 2, 3)),
    ):
        options = {"transparency": (1, 2, 3)} if image.mode == "RGB" else {}
        assert (decode(encoded(image, "PNG", **options), 4) == 255).all()


def test_half_transparency_is_half_white() -> None:
    found = decode(encoded(Image.new("RGBA", (8, 8), (200, 0, 100, 128)), "PNG"), 4)
    expected = np.array([200, 0, 100]) * (128 / 255) + 255 * (127 / 255)
    assert np.abs(found - expected).max() <= 1


def test_invisible_colours_do_not_bleed_into_what_is_seen() -> None:
    image = Image.new("RGBA", (32, 32), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 32, 16))
    found = decode(encoded(image, "PNG"), 8).astype(int)
    assert (found[:3] == [255, 0, 0]).all() and (found[5:] == 255).all()
    assert (found[..., 1] <= found[..., 2] + 1).all()  # no green, which was never visible


def test_palettes_are_resolved_with_and_without_transparency() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 255, *ORANGE])
    assert (decode(encoded(image, "PNG"), 4) == ORANGE).all()
    assert (decode(encoded(image, "GIF"), 4) == ORANGE).all()
    assert (decode(encoded(image, "PNG", transparency=1), 4) == 255).all()
    assert (decode(encoded(image, "PNG", transparency=b"\xff\x00"), 4) == 255).all()


def test_bilevel_images_are_black_and_white() -> None:
    found = decode(encoded(Image.fromarray(np.eye(8, dtype=bool)), "PNG"), 8)
    assert (found[..., 0] == np.eye(8) * 255).all()


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_is_turned_to_rgb(form: str) -> None:
    found = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), form), 8).astype(int)
    assert (np.abs(found - [255, 0, 0]) <= 4).all()


def test_ycbcr_tiff_is_turned_to_rgb() -> None:
    found = decode(encoded(Image.new("RGB", (16, 16), ORANGE).convert("YCbCr"), "TIFF"), 8).astype(int)
    assert (np.abs(found - ORANGE) <= 3).all()


def test_lab_is_turned_to_rgb() -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.new("RGB", (4, 4), ORANGE), srgb, lab, outputMode="LAB")
    assert image is not None and image.mode == "LAB"
    assert np.abs(decode(encoded(image, "TIFF"), 4).astype(int) - ORANGE).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_applied(orientation: int, form: str) -> None:
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8] = 250  # bright top left
    inverse = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    upright[:8, 8:] = (250, 0, 0)
    stored = Image.fromarray(upright)
    stored = stored if inverse is None else stored.transpose(inverse)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    options = {"tiffinfo": {0x0112: orientation}} if form == "TIFF" else {"exif": exif, **options}
    found = decode(encoded(stored, form, **options), 16).astype(int)
    assert np.abs(found - upright).max() <= 8


def test_unreadable_exif_leaves_the_pixels_as_they_are() -> None:
    data = encoded(Image.new("RGB", (8, 8), ORANGE), "PNG", exif=b"Exif\0\0broken beyond repair")
    assert (decode(data, 8) == ORANGE).all()


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_animations_are_named(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), (i * 80, 0, 0)) for i in range(3)]
    with pytest.raises(BadImage, match="^animated$"):
        decode(encoded(frames[0], form, save_all=True, append_images=frames[1:]), 8)


def test_documents_of_several_pages_are_named() -> None:
    pages = [Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8))]
    with pytest.raises(BadImage, match="^several pages$"):
        decode(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]), 8)


def test_a_camera_s_multi_picture_jpeg_gives_its_first_picture() -> None:
    pictures = [Image.new("RGB", (64, 64), ORANGE), Image.new("RGB", (64, 64))]
    data = encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:], quality=95)
    assert np.abs(decode(data, 8).astype(int) - ORANGE).max() <= 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "not a readable image"),
        (b"\x89PNG\r\n\x1a\n", "damaged|truncated|not a readable image"),
    ],
)
def test_files_that_are_no_images_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        decode(data, 8)


def test_what_a_source_could_not_read_keeps_its_reason() -> None:
    with pytest.raises(BadImage, match="^cannot be read"):
        decode(Unreadable("cannot be read (no permission)"), 8)


def test_postscript_is_not_an_image_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "gs"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(BadImage, match="not a readable image"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n", 8)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_bad(form: str, share: float) -> None:
    noise = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (48, 48, 3), np.uint8)
    data = encoded(Image.fromarray(noise), form)
    with pytest.raises(BadImage):
        decode(data[: int(len(data) * share)], 16)


def test_truncated_photographs_say_so() -> None:
    data = encoded(pattern(300, 300), "JPEG")
    with pytest.raises(BadImage, match="^truncated$"):
        decode(data[: len(data) // 2], 16)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_flipped_bytes_give_pixels_or_a_reason(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"]))
    whole = bytearray(encoded(pattern(24, 20), form))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode(bytes(whole), 8).shape == (8, 8, 3)
    except BadImage as bad:
        assert str(bad)


def bomb(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds a little of it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [60_000, 10_001, 2**31 - 1])
def test_pixel_bombs_are_refused_by_their_declared_size(side: int) -> None:
    assert side * side > MAX_PIXELS
    with pytest.raises(BadImage, match="too many pixels"):
        decode(bomb(side, side), 32)


def test_bombs_are_refused_within_little_memory() -> None:
    webp = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\xff\xff\xff\x0f\x00\x00\x00\x00\x00\x00\x00\x00"
    gif = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"
    bmp = encoded(Image.new("RGB", (4, 4)), "BMP")
    bmp = bmp[:18] + struct.pack("<ii", 50_000, 50_000) + bmp[26:]
    program = """
import resource, sys
from transferlab.images.decode import BadImage, decode
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
for data in eval(sys.stdin.read()):
    try:
        decode(data, 32)
        sys.exit("taken")
    except BadImage as bad:
        print(bad)
"""
    files = repr([bomb(60_000, 60_000), webp, gif, bmp, b"P6 70000 70000 255\n"])
    done = subprocess.run([sys.executable, "-c", program], input=files, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5 and "too many pixels" in done.stdout


def test_the_shorter_side_is_scaled_and_the_centre_kept() -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, :20], wide[:, 20:40], wide[:, 40:] = 10, 100, 200
    assert (decode(wide, 10)[:, 2:8] == 100).all()
    assert (decode(wide.transpose(1, 0, 2), 10)[2:8] == 100).all()


def test_scaling_down_averages_what_falls_together() -> None:
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(decode(checks, 8).astype(int) - 127).max() <= 2


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 70),
    st.sampled_from(["L", "RGB", "RGBA", "1", "P", "CMYK"]),
)
def test_any_shape_becomes_the_wanted_square(width: int, height: int, size: int, mode: str) -> None:
    form = "TIFF" if mode == "CMYK" else "PNG"
    assert decode(encoded(Image.new(mode, (width, height)), form), size).shape == (size, size, 3)


def full(data: bytes, size: int) -> np.ndarray:
    """Decoded whole, without the short cut for large JPEGs."""
    return decode(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), size).astype(int)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_reduced_decoding_of_large_jpegs_stays_close(size: int, real_data: Path) -> None:
    files = sorted((real_data / "imagenet_sample" / "train").rglob("*.JPEG"))[:12]
    for data in (file.read_bytes() for file in files):
        difference = np.abs(decode(data, size).astype(int) - full(data, size))
        assert difference.mean() < 1 and np.quantile(difference, 0.99) <= 8


def test_reduced_decoding_of_a_made_photograph_stays_close() -> None:
    data = encoded(pattern(900, 700), "JPEG", quality=90)
    assert np.abs(decode(data, 32).astype(int) - full(data, 32)).mean() < 1


def test_threads_inside_quiet_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)
    steps = threading.Barrier(4)

    def work() -> None:
        for _ in range(50):
            with quiet():
                warnings.warn("odd metadata", UserWarning, stacklevel=1)
            steps.wait(30)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def boxed(size: tuple[int, int] | None, *, reduced: bool = False) -> Objects:
    return Objects(size, (Box("a", 0, 0, 2, 2),), reduced=reduced)


@pytest.mark.parametrize(
    ("size", "longer", "expected"),
    [((40, 30), 20, (15, 20)), ((30, 40), 20, (20, 15)), ((40, 1), 8, (1, 8)), ((7, 5), 20, (5, 7)), ((9, 9), 9, (9, 9))],
)  # fmt: skip
def test_a_whole_image_keeps_its_proportions_and_is_never_enlarged(
    size: tuple[int, int], longer: int, expected: tuple[int, int]
) -> None:
    found, of = decode_whole(encoded(pattern(*size), "PNG"), longer, boxed(size))
    assert found.shape == (*expected, 3) and of == (size[1], size[0])
    if max(size) <= longer:
        assert (found == np.asarray(pattern(*size))).all()


def test_a_large_jpeg_is_decoded_at_a_reduced_scale_also_as_a_whole() -> None:
    data = encoded(pattern(1000, 700), "JPEG", quality=95)
    found, of = decode_whole(data, 50, boxed((1000, 700)))
    exact = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((50, 35), Image.Resampling.BICUBIC))
    assert of == (700, 1000) and np.abs(found.astype(int) - exact).mean() < 1


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(pattern(40, 30), "JPEG", quality=95, exif=exif)


def test_boxes_say_whether_an_image_is_turned() -> None:
    upright, of = decode_whole(turned(6), 40, boxed((30, 40)))
    assert upright.shape == (40, 30, 3) and of == (40, 30)
    stored, of = decode_whole(turned(6), 40, boxed((40, 30)))
    assert stored.shape == (30, 40, 3) and of == (30, 40)
    assert (np.rot90(stored, -1) == upright).all()
    assert decode_whole(turned(6), 40, Objects((30, 40), ()))[1] == (40, 30)  # nothing to be wrong about
    for orientation, size in ((6, None), (3, (40, 30)), (2, None)):
        with pytest.raises(BadImage, match=rf"boxes perhaps not \(orientation {orientation}\)"):
            decode_whole(turned(orientation), 40, boxed(size))


def test_an_image_must_have_the_annotated_size_or_be_a_smaller_copy_where_that_is_said() -> None:
    data = encoded(pattern(40, 30), "PNG")
    with pytest.raises(BadImage, match=r"not of the size in its annotation \(40x30, not 80x60\)"):
        decode_whole(data, 40, boxed((80, 60)))
    found, of = decode_whole(data, 40, boxed((80, 60), reduced=True))
    assert found.shape == (30, 40, 3) and of == (60, 80)
    for other in ((20, 15), (80, 80)):  # a larger copy, other proportions
        with pytest.raises(BadImage, match="not of the size"):
            decode_whole(data, 40, boxed(other, reduced=True))
