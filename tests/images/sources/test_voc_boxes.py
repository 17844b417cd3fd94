"""Detection in PASCAL VOC's layout: splits, classes, and each file that is missing or damaged."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image

from transferlab.errors import UserError
from transferlab.images.pack import remarks, write_pack
from transferlab.images.source import Box, Item, Source, Unreadable
from transferlab.images.sources.voc import FORMAT
from transferlab.images.sources.voc_home import CLASSES
from transferlab.images.spec import open_source, parse_spec

Open = Callable[..., Source]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]
Files = dict[str, "bytes | str"]
MAIN = "ImageSets/Main/"


def picture(number: int = 0, size: tuple[int, int] = (50, 40), form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (number * 20 % 256, 90, 128)).save(file, form)
    return file.getvalue()


def xml(*objects: tuple[str, str, bool], size: tuple[int, int] | None = (50, 40)) -> str:
    tags = ("xmin", "ymin", "xmax", "ymax")
    inner = "".join(
        f"<object><name>{name}</name><truncated>1</truncated><difficult>{int(difficult)}</difficult><bndbox>"
        + "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, box.split(), strict=True))
        + "</bndbox></object>"
        for name, box, difficult in objects
    )
    told = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"<annotation>{told}{inner}</annotation>"


def made(n: int = 10) -> Files:
    """Images of a cat each and, of every second, a difficult dog; the last one's dog counts."""
    files: Files = {}
    for k in range(n):
        dog = ("dog", "21 21 50 40", k < n - 1)
        files[f"JPEGImages/{k:03d}.jpg"] = picture(k)
        files[f"Annotations/{k:03d}.xml"] = xml(("cat", "1 1 20 30", False), *[dog] * (k % 2))
    return files


def lists(**numbers: range) -> Files:
    return {f"{MAIN}{split}.txt": "".join(f"{k:03d}\n" for k in of_split) for split, of_split in numbers.items()}


def splits(source: Source) -> list[str | None]:
    return [item.split for item in source.items()]


def test_boxes_lose_their_first_pixel_and_keep_their_last(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    source = opened("voc", write_tree(tmp_path / "plants", made()), task="detection")
    assert tuple(source.classes) == ("cat", "dog") and source.metric == "mAP" and source.name == "plants-detection"
    item = list(source.items())[1]
    assert item.key == "JPEGImages/001.jpg" and item.label == ("cat",) and item.unscored == ("dog",)
    assert item.objects is not None and item.objects.size == (50, 40)
    assert item.objects.boxes == (Box("cat", 0, 0, 20, 30), Box("dog", 20, 20, 50, 40, ignored=True))
    assert set(splits(source)) == {None}  # divided by our rule


def test_lists_give_the_splits(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    root = write_tree(tmp_path, made() | lists(train=range(4), val=range(4, 6), test=range(6, 9)))
    assert splits(opened("voc", root, task="detection")) == ["train"] * 4 + ["val"] * 2 + ["test"] * 3
    (root / MAIN / "test.txt").unlink()
    assert splits(opened("voc", root, task="detection")) == ["train"] * 4 + ["test"] * 2  # as for classification
    write_tree(root, lists(trainval=range(8)))
    assert splits(opened("voc", root, task="detection")) == ["train"] * 4 + ["test"] * 2


def test_trainval_is_for_training_where_it_is_the_only_list(tmp_path: Path, write_tree: Write) -> None:
    root = write_tree(tmp_path / "set", made(20) | lists(trainval=range(12), test=range(12, 20)))
    source = open_source(parse_spec(f"voc:{root}?task=detection"))
    assert splits(source) == ["train"] * 12 + ["test"] * 8
    pack = write_pack(source, tmp_path / "pack", 32, skip_bad=False, progress=lambda *_: None, workers=1)
    assert sorted(set(pack.split.tolist())) == [0, 1, 2] and (pack.split == 2).sum() == 8


def test_a_test_list_without_annotations_is_passed_over(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    files = made() | lists(train=range(6), val=range(6, 10)) | {f"{MAIN}test.txt": "2008_1\n2008_2\n"}
    source = opened("voc", write_tree(tmp_path, files), task="detection")
    assert splits(source) == ["train"] * 6 + ["test"] * 4
    assert any("none of its images is annotated" in note for note in source.notes)


def test_classes_of_difficult_objects_alone_are_left_out(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    files = made(4) | {"Annotations/000.xml": xml(("cat", "1 1 9 9", False), ("emu", "1 1 9 9", True))}
    source = opened("voc", write_tree(tmp_path, files), task="detection")
    assert tuple(source.classes) == ("cat", "dog")
    assert any("whose objects are all difficult are left out: emu" in note for note in source.notes)


def test_other_endings_and_an_unknown_size_are_read(tmp_path: Path, write_tree: Write) -> None:
    files = made(8) | {"Annotations/002.xml": xml(("cat", "1 1 20 30", False), size=None),
                       "Annotations/004.xml": xml(("cat", "1 1 20 30", False), size=(0, 0))}  # fmt: skip
    del files["JPEGImages/000.jpg"]
    files |= {"JPEGImages/000.PNG": picture(form="PNG"), "JPEGImages/002.png": picture(form="PNG")}
    source = open_source(parse_spec(f"voc:{write_tree(tmp_path / 'set', files)}?task=detection"))
    names = [item.key for item in source.items()]
    assert names[:3] == ["JPEGImages/000.PNG", "JPEGImages/001.jpg", "JPEGImages/002.jpg"]
    pack = write_pack(source, tmp_path / "pack", 50, skip_bad=False, progress=lambda *_: None, workers=1)
    assert pack.boxes is not None and (pack.boxes.original_sizes == [40, 50]).all()


BAD: dict[str, tuple[Files, str]] = {
    "a missing image": ({"JPEGImages/003.jpg": ""}, r"JPEGImages/003.jpg: missing \(its name is in a list, or it is annotated\)"),
    "a missing annotation": ({"Annotations/003.xml": ""}, r"003.jpg: its annotation is missing \(Annotations/003.xml\)"),
    "another encoding": ({"Annotations/003.xml": xml(("k\xe4t", "1 1 9 9", False)).encode("latin-1")},
                         r"003.jpg: its annotation cannot be used \(Annotations/003.xml is not an annotation of PASCAL VOC"),
    "entities": ({"Annotations/003.xml": '<!DOCTYPE a [<!ENTITY b "bbb"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>'},
                 r"its annotation cannot be used \(Annotations/003.xml declares a document type\)"),
    "half a file": ({"Annotations/003.xml": xml(("cat", "1 1 9 9", False))[:-20]}, "003.xml is not an annotation of PASCAL VOC"),
    "swapped corners": ({"Annotations/003.xml": xml(("dog", "1 1 9 9", False), ("cat", "30 1 20 9", False))},
                        r"003.jpg: box with swapped corners \(object 2, cat 30 1 20 9, of Annotations/003.xml\)"),
    "no area": ({"Annotations/003.xml": xml(("dog", "1 1 9 9", False), ("cat", "20 1 20 9", False))},
                r"003.jpg: box without area \(object 2, cat 20 1 20 9, of Annotations/003.xml\)"),
    "outside": ({"Annotations/003.xml": xml(("dog", "1 1 9 9", False), ("cat", "51 1 60 9", False))},
                r"003.jpg: box outside of its image \(cat, edges 50 0 60 9 in 50x40\)"),
    "no box": ({"Annotations/003.xml": "<annotation><object><name>cat</name></object></annotation>"},
               r"003.jpg: object without a box \(object 1, cat, of Annotations/003.xml\)"),
    "another size": ({"Annotations/003.xml": xml(("cat", "1 1 20 30", False), size=(40, 50))},
                     r"003.jpg: not of the size in its annotation \(50x40, not 40x50\)"),
    "no image": ({"JPEGImages/003.jpg": "no image"}, "003.jpg: not a readable image"),
    "an unknown class": ({f"{MAIN}cat_train.txt": "000 1\n", f"{MAIN}dog_train.txt": "000 -1\n",
                          "Annotations/003.xml": xml(("emu", "1 1 9 9", False))},
                         r"003.jpg: object of an unknown class \('emu'\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("listed", [False, True])
def test_what_cannot_be_used_is_named_or_counted(name: str, listed: bool, tmp_path: Path, write_tree: Write) -> None:
    change, message = BAD[name]
    files = {**made(16), **(lists(train=range(8), val=range(8, 12), test=range(12, 16)) if listed else {}), **change}
    files = {path: content for path, content in files.items() if content != ""}
    source = open_source(parse_spec(f"voc:{write_tree(tmp_path / 'set', files)}?task=detection"))
    assert len(list(source.items())) == 16  # nothing is lost
    with pytest.raises(UserError, match=message) as told:
        write_pack(source, tmp_path / "pack", 32, skip_bad=False, progress=lambda *_: None, workers=1)
    assert "1 image or box" in str(told.value) and "--skip-bad" in str(told.value)
    pack = write_pack(source, tmp_path / "pack", 32, skip_bad=True, progress=lambda *_: None, workers=1)
    of_box = any(word in message for word in (" box ", "object "))
    assert len(pack.images) == (16 if of_box else 15)
    assert any("images or boxes left out: 1 " in remark for remark in remarks(pack))


def test_lists_that_do_not_fit_are_named(tmp_path: Path, write_tree: Write) -> None:
    root = write_tree(tmp_path, made() | lists(train=range(4), val=range(3, 6)))
    with pytest.raises(
        UserError, match=r"ImageSets/Main/val.txt names 003, which ImageSets/Main/train.txt named before"
    ):
        FORMAT.open(str(root), {"task": "detection"})
    write_tree(root, {f"{MAIN}val.txt": b"\xff\xfe"})
    with pytest.raises(UserError, match=r"val.txt is not text in UTF-8"):
        FORMAT.open(str(root), {"task": "detection"})
    write_tree(root, {f"{MAIN}val.txt": ""})
    with pytest.raises(UserError, match=r"val.txt is empty"):
        FORMAT.open(str(root), {"task": "detection"})
    with pytest.raises(UserError, match="task=boxes is not valid.*classification or action or detection"):
        FORMAT.open(str(root), {"task": "boxes"})


def test_a_set_without_any_object_is_no_target(tmp_path: Path, write_tree: Write) -> None:
    root = write_tree(tmp_path, {"JPEGImages/1.jpg": picture(), "Annotations/1.xml": xml()})
    with pytest.raises(UserError, match="no object is annotated in Annotations"):
        FORMAT.open(str(root), {"task": "detection"})


def test_in_vocs_own_folders_other_names_than_its_own_are_mistakes(
    tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    files: Files = {}
    for k, name in enumerate((*CLASSES, "dgo")):
        files[f"VOC2007/JPEGImages/{k:03d}.jpg"] = picture(k)
        files[f"VOC2007/Annotations/{k:03d}.xml"] = xml((name, "1 1 9 9", False))
    source = opened("voc", write_tree(tmp_path, files), task="detection")
    assert tuple(source.classes) == CLASSES
    (flawed,) = [item for item in source.items() if item.objects and item.objects.flaws]
    assert flawed.objects is not None and flawed.objects.flaws == ("object of an unknown class ('dgo')",)


def test_annotations_count_towards_the_fingerprint(tmp_path: Path, write_tree: Write) -> None:
    root = write_tree(tmp_path, made())
    before = FORMAT.open(str(root), {"task": "detection"}).fingerprint
    write_tree(root, {"Annotations/000.xml": xml(("cat", "1 1 20 31", False))})
    assert FORMAT.open(str(root), {"task": "detection"}).fingerprint != before
    items: list[Item] = list(FORMAT.open(str(root), {}).items())
    assert items[0].objects is None  # classification is as it was


def detection(root: Path) -> Source:
    return FORMAT.open(str(root), {"task": "detection"})


@pytest.mark.parametrize(
    "words",
    [
        ("train", "val", "test"),
        ("Train", "Val", "TEST"),
        ("training", "valid", "testing"),
        ("train2007", "dev", "eval"),
    ],
)
def test_lists_may_have_any_usual_name_of_a_split(
    words: tuple[str, str, str], tmp_path: Path, write_tree: Write
) -> None:
    of = dict(zip(words, (range(4), range(4, 6), range(6, 10)), strict=True))
    source = detection(write_tree(tmp_path, made() | lists(**of)))
    assert splits(source) == ["train"] * 4 + ["val"] * 2 + ["test"] * 4
    assert not any("not used" in note or "left out" in note for note in source.notes)


def test_lists_that_are_not_used_and_two_of_one_split_are_told(tmp_path: Path, write_tree: Write) -> None:
    names = {
        "train": range(6),
        "val": range(6, 10),
        "train_small": range(2),
        "training": range(6),
        "trainval": range(10),
    }
    root = write_tree(
        tmp_path, made() | lists(**names) | {f"{MAIN}traffic_light_train.txt": "000 -1\n", f"{MAIN}.x": ""}
    )
    source = detection(root)
    assert splits(source) == ["train"] * 6 + ["test"] * 4
    assert "ImageSets/Main has lists that are not used: train_small.txt, training.txt" in source.notes
    write_tree(root, lists(valid=range(6, 8), dev=range(8, 10)))
    (root / MAIN / "val.txt").unlink()
    with pytest.raises(UserError, match=r"Main/dev.txt and ImageSets/Main/valid.txt are both of the split val"):
        detection(root)


def test_lists_of_classes_with_underscores_are_lists_of_classes(tmp_path: Path, write_tree: Write) -> None:
    light = {"Annotations/000.xml": xml(("traffic_light", "1 1 9 9", False), ("cat", "1 1 9 9", False))}
    own = {f"{MAIN}{name}_train.txt": "000 1\n" for name in ("traffic_light", "cat", "dog")}
    source = detection(write_tree(tmp_path, made() | lists(train=range(6), val=range(6, 10)) | light | own))
    assert tuple(source.classes) == ("cat", "dog", "traffic_light")
    assert not any("not used" in note for note in source.notes)


def test_what_is_in_no_list_is_counted(tmp_path: Path, write_tree: Write) -> None:
    more: Files = {"Annotations/900.xml": xml(("cat", "1 1 9 9", False)), "JPEGImages/readme.md": "", "Annotations/1.txt": "",
                   "JPEGImages/001.png": picture(form="PNG")}  # fmt: skip
    notes = detection(write_tree(tmp_path, made(12) | lists(train=range(6), val=range(6, 10)) | more)).notes
    assert "2 images are in no list and are left out: 010, 011" in notes
    assert "1 annotations without an image are in no list and are left out: 900" in notes
    assert "2 files in JPEGImages and Annotations are neither images nor XML: readme.md, 1.txt" in notes
    assert any(note.startswith("1 image has several files, of which a JPEG counts") for note in notes)


def test_lists_may_give_names_with_folder_and_suffix(tmp_path: Path, write_tree: Write) -> None:
    train = "".join(f"JPEGImages/{k:03d}.jpg\n" for k in range(6))
    val = "".join(f"{k:03d}.xml\n" for k in range(6, 10))
    source = detection(write_tree(tmp_path, made() | {f"{MAIN}train.txt": train, f"{MAIN}val.txt": val}))
    assert splits(source) == ["train"] * 6 + ["test"] * 4
    assert all(item.objects and item.objects.boxes for item in source.items())


def test_boxes_relative_to_the_size_of_their_images_are_refused(tmp_path: Path, write_tree: Write) -> None:
    files = {
        name: xml(("cat", "0.1 0.25 0.5 1.0", False)) if name.endswith("xml") else data for name, data in made().items()
    }
    with pytest.raises(UserError, match="all boxes of Annotations are between 0 and 1.*in pixels"):
        detection(write_tree(tmp_path, files))


def test_optional_values_that_are_none_are_counted_and_refuse_nothing(tmp_path: Path, write_tree: Write) -> None:
    odd = {"Annotations/002.xml": xml(("cat", "1 1 20 30", False)).replace("<difficult>0", "<difficult>Unspecified"),
           "Annotations/004.xml": xml(("cat", "1 1 20 30", False)).replace("<width>50", "<width>wide")}  # fmt: skip
    root = write_tree(tmp_path / "set", made() | odd)
    source = open_source(parse_spec(f"voc:{root}?task=detection"))
    told = "2 annotations have optional values that do not count: difficult of an object (cat) is 'unspecified'"
    assert any(note.startswith(told) for note in source.notes)
    pack = write_pack(source, tmp_path / "pack", 32, skip_bad=False, progress=lambda *_: None, workers=1)
    assert len(pack.images) == 10
    assert any("2 annotations have optional values" in note for note in FORMAT.open(str(root), {}).notes)


def test_an_annotation_beyond_reason_is_not_read(tmp_path: Path, write_tree: Write) -> None:
    root = write_tree(tmp_path, made())
    with (root / "Annotations" / "003.xml").open("wb") as file:
        file.truncate(1 << 33)
    (flawed,) = [item for item in detection(root).items() if isinstance(item.data, Unreadable)]
    assert "003.xml has 8,589,934,592 bytes" in flawed.data.reason


def test_one_class_is_a_task(tmp_path: Path, write_tree: Write) -> None:
    files = {name: xml(("cat", "1 1 9 9", False)) if name.endswith("xml") else data for name, data in made().items()}
    source = open_source(parse_spec(f"voc:{write_tree(tmp_path / 'set', files)}?task=detection"))
    pack = write_pack(source, tmp_path / "pack", 32, skip_bad=False, progress=lambda *_: None, workers=1)
    assert pack.taxonomy.leaves == ("cat",)
