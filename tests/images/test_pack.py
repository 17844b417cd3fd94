from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transferlab.errors import UserError
from transferlab.images.pack import keys, open_pack, write_pack
from transferlab.images.publish import file_hash
from transferlab.images.source import Item, Source, Unreadable
from transferlab.sealed import sealed, unsealed
from transferlab.specs import TEST, TRAIN, VAL, Pack
from transferlab.taxonomy.readers import from_folders

Make = Callable[..., Source]


def packed(source: Source, out: Path, size: int = 8, *, skip_bad: bool = False, workers: int | None = 1) -> Pack:
    return write_pack(source, out, size, skip_bad=skip_bad, progress=lambda done, total: None, workers=workers)


def spoil(*numbers: int) -> Callable[[Item], Item]:
    """Empties these images of a made source."""

    def change(item: Item) -> Item:
        number = int(item.key.split("/")[1].split(".")[0])
        return replace(item, data=b"") if number in numbers else item

    return change


def test_a_pack_holds_what_the_source_gave(make_source: Make, tmp_path: Path) -> None:
    source = make_source(10)
    pack = packed(source, tmp_path / "pack")
    assert pack.images.shape == (10, 8, 8, 3) and pack.images.dtype == np.uint8
    assert (pack.images[:, 0, 0, 0] == np.arange(10)).all()
    assert pack.labels.tolist() == [0, 1] * 5 and pack.labels.dtype == np.int32
    assert pack.taxonomy.leaves == ("cat", "dog") and pack.name == "made" and not pack.multi_label
    assert keys(tmp_path / "pack") == [item.key for item in source.items()]
    assert len(set(pack.image_ids.tolist())) == 10 and pack.image_ids.dtype == np.uint64
    assert {TRAIN, VAL, TEST} == set(pack.split.tolist())
    assert not (tmp_path / ".pack.partial").exists()


def test_mean_and_deviation_are_those_of_the_training_images(tmp_path: Path) -> None:
    pixels = np.random.Generator(np.random.PCG64(3)).integers(0, 256, (40, 6, 6, 3), np.uint8)

    def items() -> Iterator[Item]:
        for number, image in enumerate(pixels):
            yield Item(str(number), image, "ab"[number % 2], ("train", "val", "test")[number % 3])

    pack = packed(Source("noise", ("a", "b"), "1", items), tmp_path / "pack", 6)
    of_train = pixels[pack.split == TRAIN] / 255
    np.testing.assert_allclose(pack.mean, of_train.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(pack.std, of_train.std((0, 1, 2)), rtol=1e-5)


def test_nothing_in_an_open_pack_can_be_changed(make_source: Make, tmp_path: Path) -> None:
    pack = packed(make_source(), tmp_path / "pack")
    for array in (pack.images, pack.labels, pack.split, pack.image_ids, pack.mean, pack.std):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_neither_place_nor_name_nor_threads_count_towards_the_digest(make_source: Make, tmp_path: Path) -> None:
    first = packed(make_source(80), tmp_path / "a")
    second = packed(replace(make_source(80), name="other", fingerprint="2"), tmp_path / "deep" / "b", workers=4)
    assert first.digest == second.digest


def test_pixels_labels_names_splits_size_and_taxonomy_count(make_source: Make, tmp_path: Path) -> None:
    def shifted(item: Item) -> Item:
        return replace(item, key=f"x{item.key}")

    def swapped(item: Item) -> Item:
        return replace(item, label="dog" if item.label == "cat" else "cat")

    def all_train_but_two(item: Item) -> Item:
        return replace(item, split="val" if item.key[4] in "01" else "train")

    plain = make_source()
    sources = [
        plain, make_source(14), make_source(change=shifted), make_source(change=swapped),
        make_source(change=all_train_but_two), replace(plain, classes=("dog", "cat")),
        replace(plain, taxonomy=from_folders(["cat", "dog"], {"cat": "Cat"})),
    ]  # fmt: skip
    digests = {packed(source, tmp_path / str(number)).digest for number, source in enumerate(sources)}
    digests.add(packed(plain, tmp_path / "small", 7).digest)
    assert len(digests) == len(sources) + 1


def test_a_second_write_of_the_same_source_does_nothing(make_source: Make, tmp_path: Path) -> None:
    packed(make_source(), tmp_path / "pack")
    stamp = (tmp_path / "pack" / "manifest.json").stat().st_mtime_ns

    def never() -> Iterator[Item]:
        raise AssertionError("the images were read again")

    again = packed(replace(make_source(), items=never), tmp_path / "pack")
    assert len(again.labels) == 12 and (tmp_path / "pack" / "manifest.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "changed",
    [
        lambda s: replace(s, fingerprint="2"), lambda s: replace(s, resplit=True),
        lambda s: replace(s, classes=("dog", "cat")),
    ],
)  # fmt: skip
def test_another_source_does_not_replace_a_pack(
    changed: Callable[[Source], Source], make_source: Make, tmp_path: Path
) -> None:
    digest = packed(make_source(), tmp_path / "pack").digest
    with pytest.raises(UserError, match="contains another pack"):
        packed(changed(make_source()), tmp_path / "pack")
    with pytest.raises(UserError, match="contains another pack"):
        packed(make_source(), tmp_path / "pack", 9)
    assert open_pack(tmp_path / "pack", check=True).digest == digest


def test_a_folder_that_is_no_pack_is_left_alone(make_source: Make, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not a pack"):
        packed(make_source(), tmp_path)
    with pytest.raises(UserError, match="is not a pack"):
        packed(make_source(), tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_may_become_the_pack(make_source: Make, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    assert len(packed(make_source(), tmp_path / "pack").labels) == 12


def test_bad_images_stop_the_pack_with_their_names(make_source: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        packed(make_source(60, change=spoil(3, 40, 59)), tmp_path / "pack")
    for part in ("3 of 60 images", "3 empty file", "dog/3.png, cat/40.png, dog/59.png: empty file", "--skip-bad"):
        assert part in str(caught.value)
    assert not (tmp_path / "pack").exists()


def test_a_long_list_of_bad_images_is_cut_and_counted(make_source: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"30 of 60 images.*and 10 more"):
        packed(make_source(60, change=spoil(*range(30))), tmp_path / "pack")


def test_skip_bad_goes_on_with_what_is_decoded_already(make_source: Make, tmp_path: Path) -> None:
    source = make_source(60, change=spoil(3, 40))
    with pytest.raises(UserError):
        packed(source, tmp_path / "pack")
    seen: list[int] = []
    pack = write_pack(
        source, tmp_path / "pack", 8, skip_bad=True, progress=lambda done, total: seen.append(done), workers=1
    )
    assert seen[0] == 60  # nothing was left to decode
    assert len(pack.labels) == 58 and pack.notes["skipped"] == {"empty file": 2}
    facts = json.loads((tmp_path / "pack" / "manifest.json").read_text())
    assert facts["skipped_keys"] == ["dog/3.png", "cat/40.png"]


def test_skipping_bad_images_gives_the_pack_of_the_good_ones(make_source: Make, tmp_path: Path) -> None:
    def only_good() -> Iterator[Item]:
        return (item for item in make_source(60).items() if item.key not in ("dog/3.png", "cat/40.png"))

    skipped = packed(make_source(60, change=spoil(3, 40)), tmp_path / "a", skip_bad=True)
    assert skipped.digest == packed(replace(make_source(60), items=only_good), tmp_path / "b").digest


def test_reasons_are_counted_without_their_particulars(make_source: Make, tmp_path: Path) -> None:
    def change(item: Item) -> Item:
        return replace(item, data=Unreadable(f"damaged ({item.key})")) if "1" in item.key else item

    pack = packed(make_source(change=change), tmp_path / "pack", skip_bad=True)
    assert pack.notes["skipped"] == {"damaged": 3}


def test_a_class_without_a_good_image_is_an_error(make_source: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 class has no usable image: 'dog'"):
        packed(make_source(change=spoil(1, 3, 5, 7, 9, 11)), tmp_path / "pack", skip_bad=True)


def test_one_class_only_is_an_error(make_source: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only one class"):
        packed(make_source(classes=("cat",)), tmp_path / "pack")


def test_two_images_of_one_name_are_an_error(make_source: Make, tmp_path: Path) -> None:
    source = make_source(change=lambda item: replace(item, key="same.png"))
    with pytest.raises(UserError, match="12 images have the name 'same.png'"):
        packed(source, tmp_path / "pack")


def test_duplicates_across_splits_and_labels_are_found(png: Callable[..., bytes], tmp_path: Path) -> None:
    rows = [("a", "cat", "train", 1), ("b", "cat", "test", 1), ("c", "dog", "train", 2), ("d", "cat", "train", 2),
            ("e", "dog", "test", 3), ("f", "dog", "test", 3), ("g", "dog", "val", 4)]  # fmt: skip

    def items() -> Iterator[Item]:
        return (Item(key, png(number), label, split) for key, label, split, number in rows)

    pack = packed(Source("made", ("cat", "dog"), "1", items), tmp_path / "pack")
    found = pack.notes["duplicates"]
    assert isinstance(found, dict)
    assert (found["groups"], found["across_splits"], found["other_labels"]) == (3, 1, 1)
    assert found["examples"][:2] == [["a (train)", "b (test)"], ["c (train)", "d (train)"]]


def of_arrays(*images: np.ndarray) -> Source:
    """Floats as TIFF, other arrays as PNG, of two classes in turn."""

    def items() -> Iterator[Item]:
        for number, pixels in enumerate(images):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "TIFF" if pixels.dtype == np.float32 else "PNG")
            yield Item(f"{number}", file.getvalue(), ("cat", "dog")[number % 2], None)

    return Source("made", ("cat", "dog"), "1", items)


def test_floats_have_one_range_in_a_set(tmp_path: Path) -> None:
    dark, light = np.full((8, 8), 0.8, np.float32), np.full((8, 8), 200, np.float32)
    with pytest.raises(UserError, match=r"some images are floats of 0 to 1 \(0\) and others floats of 0 to 255 \(3\)"):
        packed(of_arrays(dark, dark, np.zeros_like(dark), light), tmp_path / "pack")
    pack = packed(of_arrays(light, light, np.zeros_like(dark), light), tmp_path / "other")
    assert pack.images[:, 0, 0, 0].tolist() == [200, 200, 0, 200]


def test_a_set_of_16_bits_that_uses_12_is_remarked_and_one_with_a_bright_image_is_not(tmp_path: Path) -> None:
    of_12_bits = np.linspace(0, 4095, 64).reshape(8, 8).astype(np.uint16)
    (note,) = packed(of_arrays(of_12_bits, of_12_bits + 1 - 1), tmp_path / "pack").notes["source"]
    assert note.startswith("no image of 16 bits has a value above 4,095 of 65,535") and note.endswith("by 16")
    assert "source" not in packed(of_arrays(of_12_bits, of_12_bits * 16), tmp_path / "other").notes


def test_images_that_came_out_black_or_white_are_named(tmp_path: Path) -> None:
    plain = [np.full((8, 8, 3), level, np.uint8) for level in (2, 100, 254, 1)]
    of_12_bits = np.random.default_rng(0).integers(0, 900, (8, 8)).astype(np.uint16)
    notes = packed(of_arrays(*plain, of_12_bits), tmp_path / "pack").notes["source"]
    assert notes == [
        "3 images are black or nearly so, for example 0",
        "1 image is white or nearly so, for example 2",
        "no image of 16 bits has a value above 1,023 of 65,535, so that they come out dark, for example 4; multiply their "
        "values by 64",
    ]


def test_several_labels_become_columns(png: Callable[..., bytes], tmp_path: Path) -> None:
    labels = [("cat", "dog"), ("dog",), (), ("cat",)]

    def items() -> Iterator[Item]:
        return (Item(str(number), png(number), label, "train") for number, label in enumerate(labels))

    pack = packed(Source("made", ("cat", "dog"), "1", items, multi_label=True), tmp_path / "pack")
    assert pack.multi_label and pack.labels.dtype == np.int8
    assert pack.labels.tolist() == [[1, 1], [0, 1], [0, 0], [1, 0]]


def test_classes_without_training_images_are_noted(png: Callable[..., bytes], tmp_path: Path) -> None:
    def items() -> Iterator[Item]:
        for number, (label, split) in enumerate([("a", "train"), ("b", "train"), ("c", "val")]):
            yield Item(str(number), png(number), label, split)

    pack = packed(Source("made", ("a", "b", "c"), "1", items), tmp_path / "pack")
    assert pack.notes["source"] == ["1 class has no training images, for example 'c'"]


def test_a_locked_pack_is_being_written_by_someone_else(make_source: Make, tmp_path: Path) -> None:
    (tmp_path / ".pack.partial").mkdir()
    with FileLock(tmp_path / ".pack.partial" / "lock"), pytest.raises(UserError, match="another process"):
        packed(make_source(), tmp_path / "pack")


def test_a_place_that_cannot_be_written_is_one_paragraph(make_source: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        packed(make_source(), tmp_path / "file" / "pack")


def test_opening_what_is_no_pack_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pack here.*transferlab pack"):
        open_pack(tmp_path)


def test_a_pack_of_another_version_is_refused_clearly(make_source: Make, tmp_path: Path) -> None:
    packed(make_source(), tmp_path / "pack")
    manifest = tmp_path / "pack" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": 99}))
    with pytest.raises(UserError, match="format version 99"):
        open_pack(tmp_path / "pack")
    manifest.write_text("{")
    with pytest.raises(UserError, match="manifest cannot be read"):
        open_pack(tmp_path / "pack")


@pytest.mark.parametrize(
    "name", ["images.u8", "labels.npy", "split.npy", "image_ids.npy", "keys.jsonl", "taxonomy.json"]
)
def test_damage_to_any_file_is_found(name: str, make_source: Make, tmp_path: Path) -> None:
    packed(make_source(), tmp_path / "pack")
    file = tmp_path / "pack" / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=f"{name} has changed"):
        open_pack(tmp_path / "pack", check=True)
    file.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=f"{name} is missing or has another size"):
        open_pack(tmp_path / "pack")
    file.unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        open_pack(tmp_path / "pack")


def test_a_pack_may_be_moved(make_source: Make, tmp_path: Path) -> None:
    digest = packed(make_source(), tmp_path / "pack").digest
    shutil.move(tmp_path / "pack", tmp_path / "elsewhere")
    assert open_pack(tmp_path / "elsewhere", check=True).digest == digest


def test_the_current_folder_may_become_the_pack(
    make_source: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert len(packed(make_source(), Path()).labels) == 12
    assert sorted(os.listdir(tmp_path)) == ["here"]


@settings(deadline=None, max_examples=20)
@given(
    names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), min_size=4, max_size=12, unique=True)
)
def test_any_names_come_back_as_they_were(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)

    def items() -> Iterator[Item]:
        for number, name in enumerate(names):
            yield Item(name, pixels + number, names[number % 2], None)

    out = tmp_path_factory.mktemp("pack") / "pack"
    pack = packed(Source("made", names[:2], "1", items), out, 4)
    assert keys(out) == names and pack.taxonomy.leaves == tuple(names[:2])


def reseal(folder: Path, **changed: Any) -> None:
    """Change the manifest, take in the files as they now are, and seal it again."""
    facts = unsealed((folder / "manifest.json").read_bytes())
    for name in facts["files"]:
        if name != "images.u8":
            facts["files"][name] = {"bytes": (folder / name).stat().st_size, "hash": file_hash(folder / name)}
    (folder / "manifest.json").write_bytes(sealed({**facts, **changed}))


@pytest.mark.parametrize("name", ["labels", "split", "image_ids"])
def test_an_edit_is_found_though_every_hash_fits(name: str, make_source: Make, tmp_path: Path) -> None:
    packed(make_source(), tmp_path / "pack")
    array = np.load(tmp_path / "pack" / f"{name}.npy")
    if name == "split":
        array[array > 0] = 3 - array[array > 0]  # validation and test images change places
    else:
        array[[0, -1]] = array[[-1, 0]]
    np.save(tmp_path / "pack" / f"{name}.npy", array)
    reseal(tmp_path / "pack")
    with pytest.raises(UserError, match="has changed"):
        open_pack(tmp_path / "pack", check=True)


def test_an_edit_of_the_taxonomy_or_the_manifest_is_found(make_source: Make, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    packed(make_source(), folder)
    manifest, taxonomy = (folder / "manifest.json").read_bytes(), folder / "taxonomy.json"
    (folder / "manifest.json").write_bytes(manifest.replace(b'"name": "', b'"name": "x'))
    with pytest.raises(UserError, match="its manifest has changed"):
        open_pack(folder)
    (folder / "manifest.json").write_bytes(manifest)
    reseal(folder, mean=[0.1, 0.2, 0.3])
    with pytest.raises(UserError, match="mean"):
        open_pack(folder, check=True)
    (folder / "manifest.json").write_bytes(manifest)
    taxonomy.write_text(taxonomy.read_text().replace("dog", "cow"))
    reseal(folder)
    with pytest.raises(UserError, match="has changed"):
        open_pack(folder, check=True)


@pytest.mark.parametrize(
    "changed", [{"files": 3}, {"mean": "x"}, {"n_images": 10**15}, {"size_px": "a"}, {"name": None, "digest": []}]
)
def test_a_manifest_of_another_shape_is_a_paragraph(changed: Any, make_source: Make, tmp_path: Path) -> None:
    packed(make_source(), tmp_path / "pack")
    facts = unsealed((tmp_path / "pack" / "manifest.json").read_bytes())
    (tmp_path / "pack" / "manifest.json").write_bytes(sealed({**facts, **changed}))
    with pytest.raises(UserError, match="damaged"):
        open_pack(tmp_path / "pack", check=True)
