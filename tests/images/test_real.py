"""Genuine image sets beside the checkout; skipped where they are absent."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.images.pack import keys, write_pack
from transferlab.images.spec import open_source, parse_spec
from transferlab.specs import TEST, TRAIN, VAL, Pack


def packed(text: str, out: Path, size: int, *, skip_bad: bool = False) -> Pack:
    return write_pack(open_source(parse_spec(text)), out, size, skip_bad=skip_bad, progress=lambda done, of: None)


def counts(pack: Pack) -> list[int]:
    return [int((pack.split == which).sum()) for which in (TRAIN, VAL, TEST)]


def test_photographs_of_mixed_sizes_become_a_pack(real_data: Path, tmp_path: Path) -> None:
    pack = packed(f"imagefolder:{real_data / 'imagenet_sample'}", tmp_path / "pack", 48)
    assert pack.images.shape == (60, 48, 48, 3) and len(pack.taxonomy.leaves) == 60
    grey = (pack.images == pack.images[..., :1]).all((1, 2, 3))
    assert grey.sum() == 11  # as the set's description says
    assert keys(tmp_path / "pack")[0] == "train/n01496331/n01496331_electric_ray.JPEG"


def test_omniglot_is_read_out_of_its_zip_with_alphabets_as_taxonomy(real_data: Path, tmp_path: Path) -> None:
    pack = packed(f"imagefolder:{real_data / 'omniglot' / 'images_background_small2.zip'}", tmp_path / "pack", 8)
    assert len(pack.labels) == 3120 and len(pack.taxonomy.leaves) == 156
    assert len(pack.taxonomy.cut(1).labels) == 5 and len(pack.taxonomy.leaves_under("Greek")) == 24
    assert counts(pack) == [156 * 12, 156 * 4, 156 * 4]


def test_clothing_is_read_out_of_its_zip_with_its_splits(real_data: Path) -> None:
    source = open_source(parse_spec(f"imagefolder:{real_data / 'clothing10' / 'clothing10.zip'}"))
    splits = [item.split for item in source.items()]
    assert [splits.count(name) for name in ("train", "val", "test")] == [3068, 341, 372]
    assert len(source.classes) == 10 and source.classes[-1] == "t-shirt"


@pytest.mark.slow
def test_the_known_duplicates_of_tiny_imagenet_are_found(real_data: Path, tmp_path: Path) -> None:
    pack = packed(f"wds:{real_data / 'tiny_imagenet'}", tmp_path / "pack", 16)
    found = pack.notes["duplicates"]
    assert isinstance(found, dict)
    assert found["groups"] == 27 and found["across_splits"] == 7
    assert counts(pack) == [100_000, 5_000, 0]


@pytest.mark.slow
def test_cifar100_shards_have_the_published_moments(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "cifar100"
    pack = packed(f"wds:{folder}?taxonomy={folder / 'classes.csv'}", tmp_path / "pack", 32)
    n_test = 0
    for shard in folder.glob("test-*.tar*"):
        with tarfile.open(shard) as held:
            n_test += sum(name.endswith((".png", ".jpg")) for name in held.getnames())
    assert counts(pack)[2] == n_test > 0 and len(pack.taxonomy.cut(1).labels) == 20
    np.testing.assert_allclose(pack.mean, [0.5071, 0.4865, 0.4409], atol=0.003)
    np.testing.assert_allclose(pack.std, [0.2673, 0.2564, 0.2762], atol=0.003)


def test_photographs_of_voc_are_read_with_their_boxes(real_data: Path, tmp_path: Path) -> None:
    sample = real_data / "voc_sample" / "VOCdevkit"
    packs = [packed(f"voc:{sample}?year={y}&task=detection", tmp_path / y, 128) for y in ("2007", "2012")]
    assert [len(pack.images) for pack in packs] == [5, 4]
    boxes = packs[0].boxes
    assert boxes is not None
    assert boxes.original[:2].tolist() == [[47, 239, 195, 371], [7, 11, 352, 498]]  # 48 240 195 371, 8 12 352 498
    assert boxes.original_sizes[0].tolist() == [500, 353] and packs[0].images[0].shape == (128, 90, 3)
    assert all((pack.boxes.boxes >= 0).all() and (pack.boxes.boxes <= 128).all() for pack in packs if pack.boxes)


def test_blood_cells_have_two_boxes_without_area(real_data: Path, tmp_path: Path) -> None:
    text = f"voc:{real_data / 'bccd_voc'}?task=detection"
    with pytest.raises(
        UserError,
        match=r"2 images or boxes cannot be used, besides 364 good images.*BloodImage_00338.jpg: box without area",
    ):
        packed(text, tmp_path / "pack", 64)
    pack = packed(text, tmp_path / "pack", 64, skip_bad=True)
    assert counts(pack) == [205, 87, 72] and pack.taxonomy.leaves == ("Platelets", "RBC", "WBC")
    assert pack.notes["skipped"] == {"box without area": 2} and pack.boxes is not None
    assert np.bincount(pack.boxes.labels).sum() == 4155 + 372 + 361 - 2


def test_tiny_imagenet_is_a_target_for_localisation_of_classes_that_a_source_leaves_out(
    real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "tiny_imagenet"
    tables = f"{folder}/boxes_train.csv.gz,{folder}/boxes_val.csv"
    target = f"wds:{folder}?boxes={tables}&boxes_px=64&only=held-out"
    source = open_source(parse_spec(target))
    kept = open_source(parse_spec(f"wds:{folder}?only=kept"))
    assert not set(kept.classes) & set(source.classes) and len(kept.classes) + len(source.classes) == 200
    assert any(note.startswith("452 images are left out") for note in source.notes)  # 434 of train, 18 of val
    sample = packed(f"tiny-imagenet:{real_data / 'tiny_imagenet_sample'}?task=localisation", tmp_path / "sample", 64)
    assert sample.boxes is not None and len(sample.boxes.labels) == len(sample.images) == 140
    assert sample.boxes.original[0].tolist() == [0, 10, 64, 59]
