from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlab.errors import UserError
from transferlab.images.pack import open_pack, remarks, write_pack
from transferlab.images.source import Crop, Source
from transferlab.images.sources.voc import ACTIONS, CLASSES, FORMAT
from transferlab.images.spec import open_source, parse_spec
from transferlab.transfer.targets import view

Open = Callable[..., Source]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]
Files = dict[str, "bytes | str"]
SPLIT_OF = {"train": range(1, 23), "val": range(23, 45), "test": range(45, 67)}


def jpeg(number: int = 0, size: tuple[int, int] = (50, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (number * 3 % 256, 90, 128)).save(file, "JPEG")
    return file.getvalue()


def xml(*objects: tuple[str, str, bool], size: tuple[int, int] = (50, 40), more: str = "") -> str:
    """Objects by name, box as text and whether they are difficult."""
    tags = ("xmin", "ymin", "xmax", "ymax")
    inner = "".join(
        f"<object><name>{name}</name><difficult>{int(difficult)}</difficult><bndbox>"
        + "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, box.split(), strict=True))
        + f"</bndbox>{more}</object>"
        for name, box, difficult in objects
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{inner}</annotation>"


def flag(number: int, place: int) -> int:
    """Image n shows class n modulo 21 (0 to 19; none for 20) for sure, and the next one with difficulty."""
    shown = number % 21
    return 1 if place == shown else 0 if place == shown + 1 else -1


def classification(splits: tuple[str, ...] = ("train", "val", "test"), year: str = "VOC2007") -> Files:
    files: Files = {}
    for split in splits:
        for place, name in enumerate(CLASSES):
            lines = [f"{n:06d} {flag(n, place):2d}" for n in SPLIT_OF[split]]
            files[f"{year}/ImageSets/Main/{name}_{split}.txt"] = "\n".join(lines) + "\n"
        files[f"{year}/ImageSets/Main/{split}.txt"] = "\n".join(f"{n:06d}" for n in SPLIT_OF[split])
        files |= {f"{year}/JPEGImages/{n:06d}.jpg": jpeg(n) for n in SPLIT_OF[split]}
    return files


def test_lists_give_present_absent_and_unscored_classes(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    source = opened("voc", write_tree(tmp_path, classification()))
    items = list(source.items())
    assert tuple(source.classes) == CLASSES and source.multi_label and source.name == "voc2007"
    assert [(i.label, i.unscored) for i in items][:1] == [(("bicycle",), ("bird",))]
    assert items[19].label == () and items[19].unscored == ()  # image 20: none of the classes
    assert items[20].label == ("aeroplane",)
    assert [[i.split for i in items].count(s) for s in ("train", "val", "test")] == [22, 22, 22]


def test_lists_that_contradict_annotations_count_and_it_is_told(
    tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    root = write_tree(tmp_path, classification())
    first, last = (CLASSES[n % 21] for n in (1, 3))
    box = "1 1 20 20"
    right = {"000001": xml((first, box, False), (CLASSES[2], box, True), ("a thing", box, False)), "000021": "damaged"}
    write_tree(root, {f"VOC2007/Annotations/{name}.xml": text for name, text in right.items()})
    assert not [note for note in opened("voc", root).notes if "otherwise" in note]
    write_tree(root, {"VOC2007/Annotations/000003.xml": xml((CLASSES[7], box, False))})
    source = opened("voc", root)
    assert (
        f"1 image is labelled otherwise by Annotations, and the lists count, for example 000003: {last} in the lists, "
        f"{CLASSES[7]} in its annotation"
    ) in source.notes
    assert {item.key: item.label for item in source.items()}["VOC2007/JPEGImages/000003.jpg"] == (last,)


def test_a_pack_and_a_target_keep_what_is_not_scored(tmp_path: Path, write_tree: Write) -> None:
    root = write_tree(tmp_path / "set", classification())
    packs = [
        write_pack(open_source(parse_spec(f"voc:{root}")), tmp_path / str(n), 8, skip_bad=False, workers=n,
                   progress=lambda *_: None) for n in (1, 3)
    ]  # fmt: skip
    assert packs[0].digest == packs[1].digest
    pack = open_pack(tmp_path / "1", check=True)
    expected = [[flag(n, place) for place in range(20)] for numbers in SPLIT_OF.values() for n in numbers]
    # Absent is 0 and not scored is -1 in a pack; VOC's lists have it the other way round.
    assert (pack.labels == np.array([{1: 1, 0: -1, -1: 0}[f] for row in expected for f in row]).reshape(-1, 20)).all()
    assert view(pack).metric.name == "mean average precision" and len(view(pack).test) == 22


def test_without_test_labels_val_is_the_test_split(tmp_path: Path, write_tree: Write) -> None:
    files = classification(("train", "val"), "VOC2012") | {"VOC2012/ImageSets/Main/test.txt": "2008_000001\n"}
    root = write_tree(tmp_path / "VOCdevkit", files)
    pack = write_pack(
        open_source(parse_spec(f"voc:{root}")), tmp_path / "pack", 8, skip_bad=False, progress=lambda *_: None
    )
    assert np.bincount(pack.split).tolist()[2] == 22 and pack.split.tolist().count(1) > 0
    assert any("there are no test labels" in remark for remark in remarks(pack))


def test_labels_follow_from_annotations_where_there_are_no_lists(
    tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    files: Files = {f"VOC2007/JPEGImages/{n}.jpg": jpeg(n) for n in range(3)}
    files["VOC2007/Annotations/0.xml"] = xml(
        ("cat", "1 1 9 9", False), ("cat", "1 1 9 9", True), ("dog", "1 1 9 9", True)
    )
    files["VOC2007/Annotations/1.xml"] = xml(("dog", "1 1 9 9", False), ("bird", "1 1 9 9", True))
    files["VOC2007/Annotations/2.xml"] = xml()
    source = opened("voc", write_tree(tmp_path, files))
    assert tuple(source.classes) == ("cat", "dog")
    assert [(i.label, i.unscored, i.split) for i in source.items()] == [
        (("cat",), ("dog",), None), (("dog",), (), None), ((), (), None)
    ]  # fmt: skip
    assert any("labels come from Annotations" in note for note in source.notes)
    lists = {"VOC2007/ImageSets/Main/train.txt": "0\n", "VOC2007/ImageSets/Main/val.txt": "1\n"}
    source = opened("voc", write_tree(tmp_path, lists))
    assert [i.split for i in source.items()] == ["train", "test"]


def test_one_of_several_years_is_chosen(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    root = write_tree(tmp_path, classification() | classification(("train", "val"), "VOC2012"))
    with pytest.raises(UserError, match=r"2 folders contain JPEGImages: VOC2007/, VOC2012/.*[?]year=2007"):
        FORMAT.open(str(root), {})
    assert opened("voc", root, year="2012").n_images == 44
    assert opened("voc", root / "VOC2007").n_images == 66
    with pytest.raises(UserError, match="there is no folder VOC2010/JPEGImages"):
        FORMAT.open(str(root), {"year": "2010"})


def test_what_no_label_comes_from_is_counted(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    files = classification() | {"VOC2007/JPEGImages/900.jpg": jpeg(), "VOC2007/Annotations/901.xml": xml()}
    notes = opened("voc", write_tree(tmp_path / "lists", files)).notes
    assert "1 images are in no list of Main and are left out: 900" in notes
    assert "1 annotations without an image are in no list of Main and are left out: 901" in notes
    files = {f"VOC2007/JPEGImages/{n}.jpg": jpeg(n) for n in range(4)}
    files |= {
        f"VOC2007/Annotations/{n}.xml": xml((name, "1 1 9 9", False)) for n, name in enumerate(("cat", "dog", "cat"))
    }
    root = write_tree(tmp_path / "xml", files)
    assert "1 images have no annotation and are left out: 3" in opened("voc", root).notes
    write_tree(root, {"VOC2007/ImageSets/Main/Training.txt": "0.jpg\n", "VOC2007/ImageSets/Main/dev.txt": "1\n"})
    source = opened("voc", root)
    assert [i.split for i in source.items()] == ["train", "test"]
    assert "2 images are in no list and are left out: 2, 3" in source.notes


def test_an_image_in_two_lists_is_an_error(tmp_path: Path, write_tree: Write) -> None:
    files: dict[str, bytes | str] = {f"VOC2007/JPEGImages/{n}.jpg": jpeg(n) for n in range(3)}
    files |= {f"VOC2007/Annotations/{n}.xml": xml(("cat", "1 1 9 9", False)) for n in range(3)}
    root = write_tree(tmp_path, files | {f"{MAIN}train.txt": "0\n1\n", f"{MAIN}val.txt": "1\n2\n"})
    with pytest.raises(UserError, match=r"val.txt names 1, which .*train.txt named before"):
        FORMAT.open(str(root), {})
    for name in ("cat", "dog"):
        write_tree(root, {f"{MAIN}{name}_train.txt": "0 1\n1 -1\n", f"{MAIN}{name}_val.txt": "1 1\n2 1\n"})
    (root / "VOC2007").rename(root / "VOC9")
    with pytest.raises(UserError, match=r"cat_val.txt names 1, which cat_train.txt named before"):
        FORMAT.open(str(root / "VOC9"), {})


MAIN = "VOC2007/ImageSets/Main/"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"VOC2007/JPEGImages/000030.jpg": None}, r"1 of the 22 files that .*aeroplane_val.txt names.*000030.jpg"),
        ({f"{MAIN}sofa_val.txt": None}, r"ImageSets/Main/sofa_val.txt is not there"),
        ({f"{MAIN}{name}_train.txt": None for name in CLASSES}, r"Main/aeroplane_train.txt is not there"),
        ({f"{MAIN}sofa_val.txt": "000023 1\n"}, r"sofa_val.txt and .*aeroplane_val.txt do not name the same images"),
        ({f"{MAIN}sofa_val.txt": "000023 2\n"}, r"line 1 of .*sofa_val.txt is '000023 2'"),
        ({f"{MAIN}sofa_val.txt": "000023\n"}, r"line 1 of .*sofa_val.txt has 1 columns, 2 were expected"),
        ({f"{MAIN}sofa_val.txt": "000023 1\n000023 1\n"}, r"line 2 of .*sofa_val.txt repeats 000023"),
        ({f"{MAIN}sofa_val.txt": b"\xff\xfe"}, r"sofa_val.txt is not text in UTF-8"),
    ],
)  # fmt: skip
def test_lists_that_do_not_fit_are_named(
    change: dict[str, bytes | str | None], message: str, tmp_path: Path, write_tree: Write
) -> None:
    files = {name: content for name, content in {**classification(), **change}.items() if content is not None}
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(write_tree(tmp_path, files)), {})


def test_annotations_that_do_not_fit_are_named(tmp_path: Path, write_tree: Write) -> None:
    with pytest.raises(UserError, match="there is no folder VOC<year>/JPEGImages"):
        FORMAT.open(str(tmp_path), {})
    root = write_tree(tmp_path, {"VOC2007/JPEGImages/1.jpg": jpeg(), "VOC2007/ImageSets/Main/train.txt": "1\n"})
    with pytest.raises(UserError, match=r"VOC2007/Annotations/1.xml is not there"):
        FORMAT.open(str(root), {})
    write_tree(root, {"VOC2007/Annotations/1.xml": "<annotation>"})
    with pytest.raises(UserError, match=r"VOC2007/Annotations/1.xml is not an annotation"):
        FORMAT.open(str(root), {})
    write_tree(root, {"VOC2007/ImageSets/Main/train.txt": "1\n2\n"})
    with pytest.raises(UserError, match=r"train.txt names are not there, for example VOC2007/JPEGImages/2.jpg"):
        FORMAT.open(str(root), {})
    with pytest.raises(UserError, match="task=boxes is not valid"):
        FORMAT.open(str(root), {"task": "boxes"})


def actions() -> Files:
    """Twelve images, each of a chair and two people, of whom the first does action n and the second nothing listed."""
    files: Files = {}
    ids = {"train": [f"2010_{n:06d}" for n in range(10)], "val": ["2011_000001", "2011_000002"]}
    for split, names in ids.items():
        for place, action in enumerate(ACTIONS):
            lines = [
                f"{name} {which}  {1 if which == 2 and n == place else -1}"
                for n, name in enumerate(names)
                for which in (2, 3)
            ]
            files[f"VOC2012/ImageSets/Action/{action}_{split}.txt"] = "\n".join(lines)
        files[f"VOC2012/ImageSets/Action/{split}.txt"] = "\n".join(names)
        for n, name in enumerate(names):
            files[f"VOC2012/JPEGImages/{name}.jpg"] = jpeg(n)
            files[f"VOC2012/Annotations/{name}.xml"] = xml(
                ("chair", "1 1 2 2", False), ("person", "11 11 20 30", False), ("person", "31 1 50 40", False)
            )
    return files


def test_people_are_cut_out_with_their_margin(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    source = opened("voc", write_tree(tmp_path, actions()), task="action")
    items = list(source.items())
    assert tuple(source.classes) == ACTIONS and source.n_images == 24
    assert items[0].key == "VOC2012/JPEGImages/2010_000000.jpg#2" and items[1].key.endswith("#3")
    assert [i.label for i in items[:4]] == [("jumping",), (), ("phoning",), ()]
    # The box 11…20 x 11…30 is 10 wide and 20 high from 10, 10: a square of 24 around its middle at 15, 20.
    assert items[0].crop == Crop(3.0, 8.0, 24.0, (50, 40))
    # The box of the whole height would need 48: it gets the image's 40, moved inside.
    assert items[1].crop == Crop(10.0, 0.0, 40.0, (50, 40))
    assert [i.split for i in items] == ["train"] * 20 + ["test"] * 4


def test_the_pixels_of_a_person_are_those_of_the_box(tmp_path: Path, write_tree: Write) -> None:
    files = actions()
    canvas = np.zeros((400, 500, 3), np.uint8)
    canvas[80:320, 30:270] = (200, 60, 20)  # ten times the square that is expected above
    for name in [n for n in files if n.endswith(".jpg")]:
        file = io.BytesIO()
        Image.fromarray(canvas).save(file, "JPEG", quality=95, subsampling=0)
        files[name] = file.getvalue()
    for name in [n for n in files if n.endswith(".xml")]:
        files[name] = xml(("chair", "1 1 2 2", False), ("person", "101 101 200 300", False), ("person", "1 1 9 9", False),
                          size=(500, 400))  # fmt: skip
    root = write_tree(tmp_path / "set", files)
    for size in (8, 64, 150):  # decoded at a reduced scale, and at full size
        pack = write_pack(open_source(parse_spec(f"voc:{root}?task=action")), tmp_path / f"{size}", size, skip_bad=False,
                          progress=lambda *_: None)  # fmt: skip
        inside, elsewhere = pack.images[0].astype(int), pack.images[1].astype(int)
        assert np.abs(inside - (200, 60, 20)).max(axis=2)[1:-1, 1:-1].max() <= 6
        assert elsewhere.max() < 12
    assert len(set(pack.image_ids.tolist())) == 24


ANNOTATION = "VOC2012/Annotations/2010_000003.xml"


@pytest.mark.parametrize(
    ("people", "size", "reason"),
    [
        ("31 11 11 30", (50, 40), r"box with swapped corners, object 2 of VOC2012/Annotations/2010_000003.xml"),
        ("11 11 11 30", (50, 40), r"box without area, object 2 of .*2010_000003.xml"),
        ("11 11 60 30", (50, 40), r"box outside the image of 50x40"),
        ("11 11 20 30", (40, 50), r"not of the size in its annotation \(50x40, not 40x50\)"),
    ],
)  # fmt: skip
def test_boxes_that_cannot_be_used_are_listed_as_bad_images(
    people: str, size: tuple[int, int], reason: str, tmp_path: Path, write_tree: Write
) -> None:
    odd = xml(("chair", "1 1 2 2", False), ("person", people, False), ("person", "1 1 40 40", False), size=size)
    root = write_tree(tmp_path / "set", {**actions(), ANNOTATION: odd})
    source = open_source(parse_spec(f"voc:{root}?task=action"))
    with pytest.raises(UserError, match=reason) as caught:
        write_pack(source, tmp_path / "pack", 8, skip_bad=False, progress=lambda *_: None)
    assert "2010_000003.jpg#2" in str(caught.value)


def test_actions_without_lists_or_people_are_told(tmp_path: Path, write_tree: Write) -> None:
    root = write_tree(tmp_path, {**actions(), ANNOTATION: xml(("chair", "1 1 2 2", False))})
    with pytest.raises(UserError, match=r"object 2 of VOC2012/Annotations/2010_000003.xml is not a person"):
        FORMAT.open(str(root), {"task": "action"})
    (root / ANNOTATION).unlink()
    with pytest.raises(UserError, match=r"2010_000003.xml is not there"):
        FORMAT.open(str(root), {"task": "action"})
    other = write_tree(tmp_path / "other", classification())
    with pytest.raises(UserError, match=r"VOC2007/ImageSets/Action/jumping_train.txt is not there.*VOC 2010 to 2012"):
        FORMAT.open(str(other), {"task": "action"})


def test_genuine_annotations_are_read(real_data: Path, opened: Open) -> None:
    source = opened("voc", real_data / "voc_sample" / "VOCdevkit", year="2007")
    assert source.n_images == 5 and "dog" in source.classes and "person" in source.classes
    assert opened("voc", real_data / "voc_sample", year="2012").n_images == 4
    cells = opened("voc", real_data / "bccd_voc")
    assert tuple(cells.classes) == ("Platelets", "RBC", "WBC") and cells.n_images == 205 + 87 + 72
