from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.source import Box, Objects, Source
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.held_out import is_held_out
from transferlab.images.sources.tiny_imagenet import FORMAT, boxes_of

Open = Callable[..., Source]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]
WNIDS = ("n02124075", "n01443537")  # the official order is not sorted


def official() -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {
        "wnids.txt": "\n".join(WNIDS), "words.txt": "n00001740\tentity\nn01443537\tgoldfish, Carassius auratus\n",
        "val/val_annotations.txt": "val_0.JPEG\tn01443537\t0\t32\t44\t62\nval_1.JPEG\tn02124075\t5\t5\t9\t9\n",
        "val/images/val_0.JPEG": "v0", "val/images/val_1.JPEG": "v1", "test/images/test_0.JPEG": "no label",
    }  # fmt: skip
    for wnid in WNIDS:
        files[f"train/{wnid}/{wnid}_boxes.txt"] = "".join(f"{wnid}_{k}.JPEG\t0\t10\t63\t58\n" for k in range(3))
        files |= {f"train/{wnid}/images/{wnid}_{k}.JPEG": f"{wnid} {k}" for k in range(3)}
    return files


@pytest.mark.parametrize("packed", [False, True])
def test_the_official_tree_is_read_as_folder_and_as_zip(
    packed: bool, tmp_path: Path, write_tree: Write, zipped: Callable[[Path, str], Path], opened: Open
) -> None:
    root = write_tree(tmp_path / "tiny-imagenet-200", official())
    source = opened("tiny-imagenet", zipped(root, "tiny-imagenet-200") if packed else root)
    assert tuple(source.classes) == tuple(sorted(WNIDS))
    assert source.taxonomy is not None and source.taxonomy.names["n01443537"] == "goldfish, Carassius auratus"
    found = [(i.label, i.split) for i in source.items()]
    assert found[0] == ("n02124075", "train") and found[6:] == [("n01443537", "val"), ("n02124075", "val")]
    assert next(iter(source.items())).key == "train/n02124075/images/n02124075_0.JPEG"


def test_the_folder_around_the_tree_will_do(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    write_tree(tmp_path / "tiny-imagenet-200", official())
    assert opened("tiny-imagenet", tmp_path).n_images == 8


def test_boxes_can_be_had(tmp_path: Path, write_tree: Write) -> None:
    boxes = boxes_of(tree_of(write_tree(tmp_path, official()), "here"))
    assert boxes["val/images/val_0.JPEG"].box == (0, 32, 44, 62)
    assert boxes["train/n01443537/images/n01443537_2.JPEG"].box == (0, 10, 63, 58)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wnids.txt": None}, r"wnids.txt is not there"),
        ({"wnids.txt": "n02124075\n"}, r"val_annotations.txt gives val_0.JPEG the class n01443537"),
        ({"train/n01443537/n01443537_boxes.txt": None}, r"train/n01443537/n01443537_boxes.txt is not there"),
        ({"train/n01443537/images/n01443537_1.JPEG": None}, r"1 of the 3 files that .*n01443537_boxes.txt.*537_1.JPEG"),
        ({"val/images/val_1.JPEG": None}, r"1 of the 2 files that val/val_annotations.txt names.*val_1.JPEG"),
        ({"val/val_annotations.txt": None}, r"val/val_annotations.txt is not there"),
        ({"val/val_annotations.txt": "val_0.JPEG\tn01443537\t0\t32\n"}, r"line 1 of val/.* has 4 columns, 6 were"),
        ({"val/val_annotations.txt": "val_0.JPEG\tn01443537\t0\t32\tx\t1\n"}, r"has the box 0 32 x 1"),
        ({"val/images/val_2.JPEG": ""}, r"1 image is in no list, for example val/images/val_2.JPEG"),
        ({"train/n00000001/images/a.JPEG": ""}, r"in no list, for example train/n00000001/images/a.JPEG"),
    ],
)  # fmt: skip
def test_what_is_missing_or_disagrees_is_named(
    change: dict[str, str | None], message: str, tmp_path: Path, write_tree: Write
) -> None:
    files = {name: content for name, content in {**official(), **change}.items() if content is not None}
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(write_tree(tmp_path, files)), {})


def test_a_genuine_part_is_read(real_data: Path, opened: Open) -> None:
    source = opened("tiny-imagenet", real_data / "tiny_imagenet_sample")
    assert len(source.classes) == 4
    assert [[i.split for i in source.items()].count(s) for s in ("train", "val")] == [100, 40]


def test_localisation_gives_each_image_the_box_of_its_object(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    files = official()
    name = f"train/{WNIDS[0]}/{WNIDS[0]}_boxes.txt"
    files[name] = str(files[name]).replace("_1.JPEG\t0\t10\t63", "_1.JPEG\t63\t10\t63")  # without area
    source = opened("tiny-imagenet", write_tree(tmp_path, files), task="localisation")
    items = list(source.items())
    assert source.metric == "mAP" and "1 image is left out because its box has no area" in source.notes
    assert [item.split for item in items] == ["train"] * 5 + ["test"] * 2
    assert items[0].objects == Objects((64, 64), (Box(WNIDS[0], 0, 10, 64, 59),), reduced=True)
    assert items[0].label == (WNIDS[0],)


def test_some_classes_can_be_kept_and_others_held_out(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    root = write_tree(tmp_path, official())
    one = opened("tiny-imagenet", root, only=WNIDS[1])
    assert tuple(one.classes) == (WNIDS[1],) and {item.label for item in one.items()} == {WNIDS[1]}
    held = [name for name in WNIDS if is_held_out(name)]
    if len(held) == 1:  # which of the two it is follows from its name alone
        assert tuple(opened("tiny-imagenet", root, only="held-out").classes) == tuple(held)
    kept = [f"n{k:08d}" for k in range(1000) if not is_held_out(f"n{k:08d}")]
    assert 760 < len(kept) < 840
    with pytest.raises(UserError, match=r"there is no class 'n1'.*only=n1,"):
        FORMAT.open(str(root), {"only": f"n1,{WNIDS[0]}"})
    with pytest.raises(UserError, match="task=detection is not valid.*choose classification or localisation"):
        FORMAT.open(str(root), {"task": "detection"})
