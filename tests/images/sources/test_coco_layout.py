"""Where the splits of a set in COCO's JSON are: COCO's folders, other names of the same, Roboflow's folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.coco import FORMAT

Open = Callable[..., Source]
Png = Callable[..., bytes]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]
FIRST = {"train": 0, "val": 10, "test": 20}


def told(split: str, n: int = 4, *, empty: bool = False) -> str:
    """Images with a cat each."""
    images: list[dict[str, Any]] = [{"id": k, "file_name": f"{FIRST[split] + k}.png"} for k in range(n)]
    annotations = [{"id": k, "image_id": k, "category_id": 1, "bbox": [1, 1, 4, 4]} for k in range(0 if empty else n)]
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "cat"}]  # as Roboflow exports one class
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


@pytest.fixture
def lay(tmp_path: Path, write_tree: Write, png: Png) -> Callable[..., Path]:
    """A set from the folder of each split's images, and its annotation file."""

    def make(parts: Mapping[str, tuple[str, str]], more: Mapping[str, str] | None = None) -> Path:
        files: dict[str, bytes | str] = dict(more or {})
        for split, (folder, file) in parts.items():
            files |= {f"{folder}/{FIRST[split] + k}.png": png(FIRST[split] + k) for k in range(4)}
            files[file] = told(split)
        return write_tree(tmp_path / "set", files)

    return make


LAYOUTS: dict[str, dict[str, tuple[str, str]]] = {
    "coco's": {"train": ("train2017", "annotations/instances_train2017.json"), "val": ("val2017", "annotations/instances_val2017.json"),
               "test": ("test2017", "annotations/instances_test2017.json")},
    "with capitals": {"train": ("Train2017", "annotations/instances_Train2017.json"), "val": ("Val2017", "annotations/instances_Val2017.json"),
                      "test": ("Test2017", "annotations/instances_Test2017.json")},
    "other words": {"train": ("images/training", "annotations/instances_training.json"),
                    "val": ("images/dev", "annotations/instances_validation.json"), "test": ("images/testing", "annotations/instances_eval.json")},
    "short names": {"train": ("train", "annotations/train.json"), "val": ("valid", "annotations/val.json"), "test": ("test", "annotations/test.json")},
    "one folder of images": {"train": ("images", "annotations/train.json"), "val": ("images", "annotations/val.json"),
                             "test": ("images", "annotations/test.json")},
    "files at the top": {"train": ("train", "train_annotations.json"), "val": ("val", "val_annotations.json"), "test": ("test", "test_annotations.json")},
    "roboflow's": {"train": ("train", "train/_annotations.coco.json"), "val": ("valid", "valid/_annotations.coco.json"),
                   "test": ("test", "test/_annotations.coco.json")},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_splits(name: str, lay: Callable[..., Path], opened: Open) -> None:
    source = opened("coco", lay(LAYOUTS[name]))
    assert [(item.key, item.split) for item in source.items()] == [
        (f"{split}/{first + k}.png", split) for split, first in FIRST.items() for k in range(4)
    ]
    assert tuple(source.classes) == ("cat",)
    assert not any("left out" in note or "not used" in note for note in source.notes if "category" not in note)


@pytest.mark.parametrize("name", LAYOUTS)
def test_without_test_annotations_val_is_the_test_split(name: str, lay: Callable[..., Path], opened: Open) -> None:
    source = opened("coco", lay({split: LAYOUTS[name][split] for split in ("train", "val")}))
    assert [item.split for item in source.items()] == ["train"] * 4 + ["test"] * 4


def test_a_test_file_without_objects_is_passed_over(lay: Callable[..., Path], opened: Open) -> None:
    root = lay(LAYOUTS["roboflow's"])
    (root / "test" / "_annotations.coco.json").write_text(told("test", empty=True))
    source = opened("coco", root)
    assert [item.split for item in source.items()] == ["train"] * 4 + ["test"] * 4
    assert any("_annotations.coco.json is skipped, because it has no objects" in note for note in source.notes)


def test_files_that_are_not_used_are_told(lay: Callable[..., Path], opened: Open) -> None:
    more = {"annotations/captions_train2017.json": "{}", "annotations/instances_minival2017.json": "{}",
            "annotations/instances_trainval2017.json": "{}", "annotations/image_info_test-dev2017.json": "{}"}  # fmt: skip
    source = opened("coco", lay(LAYOUTS["coco's"], more))
    (note,) = [note for note in source.notes if "not used" in note]
    assert (
        "annotations/captions_train2017.json, annotations/image_info_test-dev2017.json" in note and "and 1 more" in note
    )


def test_other_splits_beside_a_single_file_are_told(lay: Callable[..., Path], opened: Open) -> None:
    for name in ("coco's", "roboflow's"):
        file = lay({"train": LAYOUTS[name]["train"], "val": LAYOUTS[name]["val"]}) / LAYOUTS[name]["train"][1]
        source = opened("coco", file)
        other = LAYOUTS[name]["val"][1]
        assert f"JSON files that are not used: {other}; give the folder to use them as splits" in source.notes


def test_split_folders_without_annotations_are_told(lay: Callable[..., Path], opened: Open) -> None:
    root = lay(
        {split: LAYOUTS["roboflow's"][split] for split in ("train", "val")}, {"test/a.json": "{}", "test/b.json": "{}"}
    )
    assert "folders without one annotation file are left out: test" in opened("coco", root).notes


def test_two_files_of_one_split_are_refused_with_both(lay: Callable[..., Path]) -> None:
    root = lay(LAYOUTS["short names"], {"annotations/valid.json": told("val")})
    with pytest.raises(UserError, match=r"annotations/valid.json are both of the split val"):
        FORMAT.open(str(root), {})
    (root / "annotations" / "valid.json").unlink()
    (root / "validation").mkdir()
    with pytest.raises(UserError, match="the folders valid and validation may both have the images of val.json"):
        FORMAT.open(str(root), {})
