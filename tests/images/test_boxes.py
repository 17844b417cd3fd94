"""Packs with boxes: images of several sizes, boxes scaled with them, and what cannot be used told or counted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlab.errors import UserError
from transferlab.images.boxes import ARRAYS, usable
from transferlab.images.pack import keys, open_pack, remarks, write_pack
from transferlab.images.sheet import COUNTED, IGNORED, first_of_each, write_sheet
from transferlab.images.source import Box, Item, Objects, Source, Unreadable
from transferlab.images.spec import open_source, parse_spec
from transferlab.specs import TRAIN, Pack, Ragged

SIZES = [(20, 10), (8, 16), (6, 6), (40, 30)]  # width and height
Change = Callable[[Item], Item]


def item(number: int) -> Item:
    """An image of noise with a cat on its left and a difficult dog in its lower right corner; every third has no dog."""
    width, height = SIZES[number % 4]
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3)).astype(np.uint8)
    boxes = [Box("cat", 0, 0, width / 2, height)]
    if number % 3:
        boxes.append(Box("dog", width - 2, height - 2, width, height, ignored=number % 3 == 1, crowd=number % 3 == 1))
    split = ("train", "train", "val", "test")[number // 4 % 4]
    return Item(f"{number}.png", pixels, (), split, objects=Objects((width, height), tuple(boxes)))


def made(n_images: int = 24, change: Change = lambda item: item) -> Source:
    def items() -> Iterator[Item]:
        yield from (change(item(number)) for number in range(n_images))

    return Source("boxed", ("cat", "dog"), "1", items, n_images=n_images, multi_label=True, metric="mAP")


def packed(source: Source, out: Path, size: int = 16, *, skip_bad: bool = False, workers: int | None = 1) -> Pack:
    return write_pack(source, out, size, skip_bad=skip_bad, progress=lambda *_: None, workers=workers)


def at(number: int, objects: Objects) -> Change:
    """Gives one image other objects."""
    return lambda one: replace(one, objects=objects) if one.key == f"{number}.png" else one


def test_images_keep_their_proportions_and_are_never_enlarged(tmp_path: Path) -> None:
    pack = packed(made(), tmp_path / "pack")
    images, boxes = pack.images, pack.boxes
    assert isinstance(images, Ragged) and boxes is not None
    assert images.sizes[:4].tolist() == [[8, 16], [16, 8], [6, 6], [12, 16]] and images.sizes.dtype == np.int32
    assert len(images) == 24 and [images[row].shape for row in range(4)] == [
        (8, 16, 3),
        (16, 8, 3),
        (6, 6, 3),
        (12, 16, 3),
    ]
    assert (images[1] == item(1).data).all() and (images[np.int32(2)] == item(2).data).all()  # not scaled at all
    assert pack.image_px == 16 and images[0].dtype == np.uint8 and not images[0].flags.writeable
    assert keys(tmp_path / "pack")[:2] == ["0.png", "1.png"]
    with pytest.raises(UserError, match="images with boxes, of several sizes"):
        _ = pack.squares


def test_boxes_scale_with_their_image_and_are_kept_as_they_were(tmp_path: Path) -> None:
    pack = packed(made(), tmp_path / "pack")
    held = pack.boxes
    assert held is not None
    assert held.first[:5].tolist() == [0, 1, 3, 5, 6] and held.first[-1] == len(held.labels)
    assert held.boxes[0].tolist() == [0, 0, 8, 8] and held.original[0].tolist() == [0, 0, 10, 10]  # 20x10 as 16x8
    assert held.original_sizes[:2].tolist() == [[10, 20], [16, 8]]
    assert held.labels[:3].tolist() == [0, 0, 1] and held.ignored[:5].tolist() == [False, False, True, False, False]
    assert (held.crowd == held.ignored).all() and held.areas[0] == 100
    assert [getattr(held, name).dtype.str[1:] for name in ARRAYS] == ["i8", "f4", "i4", "b1", "b1", "f8", "i4", "f8"]
    # 1 where an object counts, -1 where all are ignored, 0 where there is none.
    assert pack.labels[:3].tolist() == [[1, 0], [1, -1], [1, 1]] and pack.labels.dtype == np.int8
    assert any("objects, " in remark and "of them ignored" in remark for remark in remarks(pack))


def test_a_box_that_reaches_beyond_its_image_is_cut_for_training_alone(tmp_path: Path) -> None:
    beyond = Objects((20, 10), (Box("cat", -4, 2, 30, 8, area=7.5), Box("dog", 1, 1, 3, 3)))
    pack = packed(made(change=at(0, beyond)), tmp_path / "pack", 20)
    assert pack.boxes is not None
    assert pack.boxes.boxes[0].tolist() == [0, 2, 20, 8] and pack.boxes.original[0].tolist() == [-4, 2, 30, 8]
    assert pack.boxes.areas[:2].tolist() == [7.5, 4]
    assert any("1 box extends beyond its image" in remark for remark in remarks(pack))


def test_an_image_without_objects_is_kept(tmp_path: Path) -> None:
    pack = packed(made(change=at(5, Objects((8, 16), ()))), tmp_path / "pack")
    assert pack.boxes is not None
    assert np.diff(pack.boxes.first)[5] == 0 and pack.labels[5].tolist() == [0, 0]
    assert any("1 image has no objects" in remark for remark in remarks(pack))


BAD = {
    "swapped": (Box("cat", 9, 1, 4, 5), "box with swapped corners"),
    "flat": (Box("cat", 4, 1, 4, 5), "box without area"),
    "outside": (Box("cat", 20, 1, 24, 5), "box outside of its image"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_box_that_cannot_be_used_stops_or_is_counted(kind: str, tmp_path: Path) -> None:
    box, reason = BAD[kind]
    objects = Objects((20, 10), (box, Box("dog", 1, 1, 3, 3)))
    source = made(change=at(4, objects))
    with pytest.raises(
        UserError, match=rf"1 image or box cannot be used, besides 24 good images \(1 {reason}\).*4.png: {reason}"
    ):
        packed(source, tmp_path / "pack")
    pack = packed(source, tmp_path / "pack", skip_bad=True)
    assert pack.notes["skipped"] == {reason: 1} and len(pack.images) == 24
    assert pack.boxes is not None and pack.boxes.first[4:6].tolist() == [6, 7]  # the other object stays
    assert pack.labels[4].tolist() == [0, 1]
    assert any(f"images or boxes left out: 1 {reason}" in remark for remark in remarks(pack))


def test_an_image_that_disagrees_with_its_annotation_stops_or_is_counted(tmp_path: Path) -> None:
    def change(one: Item) -> Item:
        if one.key == "1.png":
            return replace(one, objects=Objects((16, 8), (Box("cat", 0, 0, 2, 2),)))
        return replace(one, data=Unreadable("missing (somewhere)")) if one.key == "2.png" else one

    message = r"2 images or boxes.*1 missing, 1 not of the size in its annotation.*1.png: not .*8x16, not 16x8"
    with pytest.raises(UserError, match=message):
        packed(made(change=change), tmp_path / "pack")
    pack = packed(made(change=change), tmp_path / "pack", skip_bad=True)
    assert len(pack.images) == len(pack.labels) == 22
    assert (pack.images[1] == packed(made(), tmp_path / "all").images[3]).all()


def test_flaws_that_a_source_found_are_told_with_the_image(tmp_path: Path) -> None:
    flawed = Objects((20, 10), (Box("dog", 1, 1, 3, 3),), flaws=("object of an unknown class ('emu')",))
    with pytest.raises(UserError, match="0.png: object of an unknown class .'emu'"):
        packed(made(change=at(0, flawed)), tmp_path / "pack")
    assert usable(flawed, (10, 20)) == ([Box("dog", 1, 1, 3, 3)], ["object of an unknown class ('emu')"])


def test_the_pack_does_not_depend_on_how_many_processes_make_it(tmp_path: Path) -> None:
    few, many = packed(made(300), tmp_path / "1"), packed(made(300), tmp_path / "3", workers=3)
    assert few.digest == many.digest == open_pack(tmp_path / "3", check=True).digest


def test_everything_about_boxes_counts_towards_the_digest(tmp_path: Path) -> None:
    plain = item(0).objects
    assert plain is not None
    changes = {
        "edge": replace(plain, boxes=(Box("cat", 0, 0, 10.5, 10),)),
        "label": replace(plain, boxes=(Box("dog", 0, 0, 10, 10),)),
        "ignored": replace(plain, boxes=(Box("cat", 0, 0, 10, 10, ignored=True),)),
        "crowd": replace(plain, boxes=(Box("cat", 0, 0, 10, 10, crowd=True),)),
        "area": replace(plain, boxes=(Box("cat", 0, 0, 10, 10, area=3.0),)),
    }
    digests = [packed(made(change=at(0, objects)), tmp_path / name).digest for name, objects in changes.items()]
    digests += [packed(made(), tmp_path / "plain").digest, packed(replace(made(), metric="AP"), tmp_path / "ap").digest]
    assert len(set(digests)) == 7


def test_moments_are_those_of_all_pixels_of_the_training_images(tmp_path: Path) -> None:
    pack = packed(made(), tmp_path / "pack")
    pixels = np.concatenate([pack.images[row].reshape(-1, 3) for row in pack.rows(TRAIN)]) / 255
    np.testing.assert_allclose(pack.mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(pack.std, pixels.std(0), rtol=1e-5)


@pytest.mark.parametrize("name", ["boxes_original.npy", "sizes.npy", "images.u8"])
def test_a_damaged_pack_is_noticed(name: str, tmp_path: Path) -> None:
    packed(made(), tmp_path / "pack")
    file = tmp_path / "pack" / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=f"{name} has changed"):
        open_pack(tmp_path / "pack", check=True)
    file.unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        open_pack(tmp_path / "pack")


MADE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from transferlab.images.pack import write_pack
from transferlab.images.source import Box, Item, Objects, Source

def items(kill_at):
    for i in range(2200):
        if i == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        size = 4 + i % 5, 3 + i % 4
        box = Box(str(i % 2), 1, 1, 3, 3 if i % 50 else 1)
        yield Item(str(i), np.full((size[1], size[0]), i % 251, np.uint8), (), None, objects=Objects(size, (box,)))

def write(out, kill_at=None):
    seen = []
    source = Source("made", ("0", "1"), "1", lambda: items(kill_at), n_images=2200, multi_label=True, metric="mAP")
    pack = write_pack(source, Path(out), 6, skip_bad=True, progress=lambda done, of: seen.append(done), workers=2)
    print(pack.digest, seen[0])

write(sys.argv[1], *map(int, sys.argv[2:]))
"""


def test_killed_while_packing_it_goes_on_and_ends_in_the_same_pack(tmp_path: Path) -> None:
    def run(*words: object) -> str:
        command = [sys.executable, "-c", MADE, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    digest, began = run(tmp_path / "whole").split()
    assert began == "0" and run(tmp_path / "pack", 2150) == ""
    assert run(tmp_path / "pack").split() == [digest, "1024"]
    assert open_pack(tmp_path / "pack", check=True).notes["skipped"] == {"box without area": 44}


def test_a_sheet_shows_the_boxes_of_each_class(tmp_path: Path) -> None:
    pack = packed(made(), tmp_path / "pack", 40)
    cats, dogs = first_of_each(f"pack:{tmp_path}/pack").values()
    assert [image.shape for image in cats] == [pack.images[row].shape for row in range(4)]
    first = cats[0]  # 20x10: the cat's box ends at column 10
    assert (first[:, 0] == COUNTED).all() and (first[:, 9] == COUNTED).all() and not (first[:, 10] == COUNTED).all()
    assert all((image == COUNTED).all(2).any() for image in dogs)
    write_sheet(f"pack:{tmp_path}/pack", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 40
    groups = first_of_each("toy?task=detection&images_per_class=30")
    assert list(groups) == ["beast", "bird", "crab", "fish"] and groups["crab"][0].shape == (72, 96, 3)
    shown = np.concatenate([image.reshape(-1, 3) for images in groups.values() for image in images])
    assert (shown == COUNTED).all(1).any()
    assert IGNORED != COUNTED


def test_the_toy_world_has_a_detection_task(tmp_path: Path) -> None:
    source = open_source(parse_spec("toy?task=detection&images_per_class=120"))
    pack = packed(source, tmp_path / "pack", 64)
    boxes = pack.boxes
    assert boxes is not None and isinstance(pack.images, Ragged)
    assert (pack.images.sizes == [48, 64]).all() and np.bincount(pack.split).tolist() == [80, 20, 20]
    counts = np.diff(boxes.first)
    assert counts.min() == 1 and counts.max() == 4 and set(boxes.labels.tolist()) == {0, 1, 2, 3}
    assert 0.02 < boxes.ignored.mean() < 0.2 and not boxes.crowd.any()
    inside = (boxes.original >= 0) & (boxes.original <= [96, 72, 96, 72])
    assert inside.all() and (boxes.original[:, 2:] - boxes.original[:, :2]).min() >= 3
    again = open_source(parse_spec("toy?task=detection&images_per_class=120"))
    assert [i.objects for i in again.items()] == [i.objects for i in source.items()]
    other = open_source(parse_spec("toy?task=detection&images_per_class=120&seed=1"))
    assert next(iter(other.items())).objects != next(iter(source.items())).objects
    fewer = list(open_source(parse_spec("toy?task=detection&images_per_class=6")).items())
    whole = list(source.items())[5]
    assert fewer[5].objects == whole.objects and np.array_equal(np.asarray(fewer[5].data), np.asarray(whole.data))
