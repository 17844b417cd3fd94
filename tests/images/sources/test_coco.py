"""Detection by COCO's JSON: its folders, one file with a folder of images, and what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.images.pack import remarks, write_pack
from transferlab.images.source import Box, Source
from transferlab.images.sources.coco import FORMAT
from transferlab.images.spec import open_source, parse_spec
from transferlab.specs import Pack

Open = Callable[..., Source]
Png = Callable[..., bytes]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]


def told(n: int = 12, first: int = 0) -> dict[str, Any]:
    """Every image has a cat, every second one a dog, every third one a crowd of dogs; the last has nothing."""
    images = [{"id": 100 + first + k, "file_name": f"{first + k}.png", "width": 16, "height": 12} for k in range(n)]
    annotations: list[dict[str, Any]] = []
    for k in range(n - 1):
        of_image = (
            [(3, [1, 2, 5.5, 6], 0)] + [(90, [8, 2, 4, 4], 0)] * (k % 2) + [(90, [0, 0, 16, 3], 1)] * (k % 3 == 0)
        )
        for category, box, crowd in of_image:
            annotations.append({"id": len(annotations) + 1, "image_id": 100 + first + k, "category_id": category, "bbox": box,
                                "iscrowd": crowd, "area": 20.5, "segmentation": [[1, 2, 3, 4, 5, 6]]})  # fmt: skip
    categories = [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 7, "name": "emu"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def folders(tmp_path: Path, png: Png) -> Path:
    """COCO's layout, of two splits."""
    for split, first, n in (("train", 0, 12), ("val", 50, 6)):
        folder = tmp_path / "coco" / f"{split}2017"
        folder.mkdir(parents=True)
        for k in range(n):
            (folder / f"{first + k}.png").write_bytes(png(first + k, (16, 12)))
        (tmp_path / "coco" / "annotations").mkdir(exist_ok=True)
        file = tmp_path / "coco" / "annotations" / f"instances_{split}2017.json"
        file.write_text(json.dumps(told(n, first)))
    return tmp_path / "coco"


def packed(text: str, out: Path, *, skip_bad: bool = False) -> Pack:
    return write_pack(open_source(parse_spec(text)), out, 16, skip_bad=skip_bad, progress=lambda *_: None, workers=1)


def test_cocos_folders_give_the_splits_and_categories_the_classes(folders: Path, opened: Open, tmp_path: Path) -> None:
    source = opened("coco", folders)
    assert tuple(source.classes) == ("cat", "dog") and source.metric == "AP"  # by id; no emu is annotated
    assert any("1 category without objects is left out, for example 'emu'" in note for note in source.notes)
    items = list(source.items())
    assert [item.split for item in items] == ["train"] * 12 + ["test"] * 6
    assert items[0].key == "train/0.png" and items[0].objects is not None and items[0].objects.size == (16, 12)
    assert items[0].objects.boxes == (Box("cat", 1, 2, 6.5, 8, area=20.5), Box("dog", 0, 0, 16, 3, True, True, 20.5))
    assert items[0].label == ("cat",) and items[0].unscored == ("dog",) and items[11].label == ()
    pack = packed(f"coco:{folders}", tmp_path / "pack")
    assert pack.notes["metric"] == "AP" and pack.boxes is not None
    assert pack.labels[:2].tolist() == [[1, -1], [1, 1]] and pack.labels[11].tolist() == [0, 0]
    assert pack.boxes.areas[0] == 20.5 and pack.boxes.crowd.tolist() == pack.boxes.ignored.tolist()
    assert any("images have no objects" in remark for remark in remarks(pack))


def test_one_file_finds_its_images(folders: Path, opened: Open) -> None:
    file = folders / "annotations" / "instances_train2017.json"
    sources = [opened("coco", file), opened("coco", file, images=str(folders / "train2017"))]
    assert [item.split for item in sources[0].items()] == [None] * 12
    assert sources[0].fingerprint == sources[1].fingerprint and sources[0].name == "instances_train2017"


def test_file_names_may_begin_further_up_or_further_down(folders: Path, opened: Open) -> None:
    held = told()
    for image in held["images"]:
        image["file_name"] = f"data/train2017/{image['file_name']}"
    file = folders / "annotations" / "other.json"
    file.write_text(json.dumps(held))
    assert opened("coco", file, images=str(folders / "train2017")).n_images == 12
    source = opened("coco", folders / "annotations" / "instances_train2017.json", images=str(folders))
    assert source.n_images == 12
    held["images"][0]["file_name"] = "elsewhere/1.png"  # another image's name in another folder is not its file
    file.write_text(json.dumps(held))
    FORMAT.open(str(file), {"images": str(folders)})
    with pytest.raises(UserError, match="1 image or box.*elsewhere/1.png: missing"):
        packed(f"coco:{file}?images={folders}", folders.parent / "pack")


def test_a_name_at_which_several_files_end_is_no_image(folders: Path) -> None:
    for name in ("a", "b"):
        (folders / "train2017" / name).mkdir()
        (folders / "train2017" / name / "0.png").write_bytes((folders / "train2017" / "0.png").read_bytes())
    (folders / "train2017" / "0.png").unlink()
    with pytest.raises(
        UserError, match="0.png: missing .the annotations name it, and the paths of several files end so"
    ):
        packed(f"coco:{folders}", folders.parent / "pack")


def test_an_image_in_two_splits_is_refused(folders: Path, opened: Open) -> None:
    (folders / "val2017").rename(folders / "images")
    for file in (folders / "train2017").iterdir():
        file.rename(folders / "images" / file.name)
    (folders / "train2017").rmdir()
    held = told(6, 50)
    held["images"].append(told()["images"][3])
    (folders / "annotations" / "instances_val2017.json").write_text(json.dumps(held))
    with pytest.raises(
        UserError, match="1 image is in the splits train and test, for example train/3.png and val/3.png"
    ):
        opened("coco", folders)


def test_one_of_several_years_is_chosen(folders: Path, opened: Open) -> None:
    (folders / "train2014").mkdir()
    (folders / "train2014" / "0.png").write_bytes((folders / "train2017" / "0.png").read_bytes())
    (folders / "annotations" / "instances_train2014.json").write_text(json.dumps(told(2)))
    with pytest.raises(UserError, match=r"annotations of the years 2014, 2017.*choose one with [?]year=2017"):
        FORMAT.open(str(folders), {})
    assert opened("coco", folders, year="2017").n_images == 18
    with pytest.raises(UserError, match=r"no annotations/instances_train2012.json"):
        FORMAT.open(str(folders), {"year": "2012"})


def changed(what: str, place: int, **change: Any) -> Callable[[dict[str, Any]], None]:
    return lambda held: held[what][place].update(change)


FLAWS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an unknown class": (changed("annotations", 2, category_id=8), r"1.png: object of an unknown class \(category_id 8, annotation 3"),
    "no area": (changed("annotations", 2, bbox=[1, 2, 0, 4]), r"1.png: box without area \(cat, edges 1 2 1 6\)"),
    "swapped corners": (changed("annotations", 2, bbox=[5, 2, -4, 4]), r"1.png: box with swapped corners \(cat, edges 5 2 1 6\)"),
    "outside": (changed("annotations", 2, bbox=[16, 2, 4, 4]), r"1.png: box outside of its image \(cat, edges 16 2 20 6 in 16x12\)"),
    "another size": (changed("images", 1, width=12, height=16), r"1.png: not of the size in its annotation"),
    "a box of three": (changed("annotations", 2, bbox=[1, 2, 3]),
                       r"1.png: object without a usable box \(the bbox of annotation 3 of .*json is \[1, 2, 3\]"),
    "a box of texts": (changed("annotations", 2, bbox=["1", 2, 3, 4]), "1.png: object without a usable box .the bbox of annotation 3"),
    "an infinite box": (changed("annotations", 2, bbox=[1, 2, float("inf"), 4]), "1.png: object without a usable box"),
    "a huge number": (changed("annotations", 2, bbox=[1, 2, 10**400, 4]), "1.png: object without a usable box"),
    "no box": (lambda held: held["annotations"][2].pop("bbox"), "1.png: object without a usable box .annotation 3 of .*json has no bbox"),
    "an empty box": (changed("annotations", 2, bbox=[]), "1.png: object without a usable box"),
    "a class that is null": (changed("annotations", 2, category_id=None),
                             "1.png: object without a usable class .the category_id of annotation 3 of .*json is None"),
    "no class": (lambda held: held["annotations"][2].pop("category_id"), "1.png: object without a usable class"),
    "a missing image": (changed("images", 1, file_name="99.png"), r"99.png: missing \(the annotations name it\)"),
}  # fmt: skip


def written(folders: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The training annotations, changed."""
    held = told()
    change(held)
    file = folders / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps(held))
    return file


@pytest.mark.parametrize("name", FLAWS)
def test_what_cannot_be_used_is_named_or_counted(name: str, folders: Path, tmp_path: Path) -> None:
    change, message = FLAWS[name]
    file = written(folders, change)
    with pytest.raises(UserError, match=message):
        packed(f"coco:{file}", tmp_path / "pack")
    pack = packed(f"coco:{file}", tmp_path / "pack", skip_bad=True)
    assert sum(dict(pack.notes["skipped"]).values()) == 1  # type: ignore[call-overload]
    assert len(pack.images) == (12 if "box" in message or "object" in message else 11)


ODD: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a crowd that is null": (changed("annotations", 2, iscrowd=None), ""),
    "a crowd that is false": (changed("annotations", 2, iscrowd=False), ""),
    "a crowd as text": (changed("annotations", 2, iscrowd="0"), ""),
    "a crowd in words": (changed("annotations", 2, iscrowd="yes"), r"the iscrowd of 1 entries is not .*'yes' of annotation 3"),
    "no crowd": (lambda held: held["annotations"][2].pop("iscrowd"), ""),
    "an area that is null": (changed("annotations", 2, area=None), ""),
    "an area as text": (changed("annotations", 2, area="big"), "the area of 1 entries is not .*'big' of annotation 3"),
    "an area below 0": (changed("annotations", 2, area=-3), "the area of 1 entries"),
    "no area": (lambda held: held["annotations"][2].pop("area"), ""),
    "a width that is null": (changed("images", 1, width=None), ""),
    "a height as text": (changed("images", 1, height="12"), ""),
    "a width in words": (changed("images", 1, width="wide"), "the width of 1 entries is not .*'wide' of image 1"),
    "half a pixel": (changed("images", 1, width=15.5), "the width of 1 entries"),
    "a list as height": (changed("images", 1, height=[12]), "the height of 1 entries"),
    "more fields": (changed("annotations", 2, attributes={"occluded": None}, keypoints=[1] * 51, score="?"), ""),
    "more lists": (lambda held: held.update(info=None, licenses=[], tracks=[{}], version=3), "besides is not used: tracks, version"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_fields_that_are_optional_never_refuse_an_image(name: str, folders: Path, tmp_path: Path) -> None:
    change, note = ODD[name]
    pack = packed(f"coco:{written(folders, change)}", tmp_path / "pack")
    assert len(pack.images) == 12 and pack.boxes is not None and "skipped" not in pack.notes
    assert not pack.boxes.crowd[2] and pack.boxes.areas[2] in (20.5, 5.5 * 6)
    told = [remark for remark in remarks(pack) if "entries" in remark or "besides" in remark]
    assert len(told) == bool(note) and re.search(note, "".join(told))


@pytest.mark.parametrize("crowd", [1, True, "1", 1.0])
def test_a_crowd_is_one_however_it_is_written(crowd: object, folders: Path, opened: Open) -> None:
    items = list(opened("coco", written(folders, changed("annotations", 2, iscrowd=crowd))).items())
    assert items[1].objects is not None and items[1].objects.boxes[0].crowd and items[1].objects.boxes[0].ignored


def test_ids_may_be_numbers_or_texts_and_7_is_the_same_as_its_text(folders: Path, opened: Open) -> None:
    plain = opened("coco", written(folders, lambda _: None))

    def as_texts(held: dict[str, Any]) -> None:
        for one in held["annotations"]:
            one.update(image_id=str(one["image_id"]), category_id=float(one["category_id"]))

    def as_words(held: dict[str, Any]) -> None:
        for one in held["images"]:
            one["id"] = f"image-{one['id']}"
        for one in held["categories"]:
            one["id"] = f"k{one['id']}"
        for one in held["annotations"]:
            one.update(image_id=f"image-{one['image_id']}", category_id=f"k{one['category_id']}")

    for change in (as_texts, as_words):
        other = opened("coco", written(folders, change))
        assert [i.objects for i in other.items()] == [i.objects for i in plain.items()]
    assert tuple(opened("coco", written(folders, as_texts)).classes) == ("cat", "dog")


def relative(held: dict[str, Any]) -> None:
    for one in held["annotations"]:
        x, y, width, height = one["bbox"]
        one["bbox"] = [x / 16, y / 12, width / 16, height / 12]


def test_boxes_relative_to_the_size_of_their_images_are_refused(folders: Path) -> None:
    with pytest.raises(UserError, match=r"all boxes of .*json are between 0 and 1.*in pixels"):
        FORMAT.open(str(written(folders, relative)), {})


def test_one_number_beyond_0_and_1_makes_no_pixels_of_relative_boxes(folders: Path) -> None:
    def beyond(held: dict[str, Any]) -> None:
        relative(held)
        held["annotations"][0]["bbox"] = [-0.001, 0.1, 1.0001, 0.4]

    with pytest.raises(UserError, match=r"boxes of .*json are between 0 and 1"):
        FORMAT.open(str(written(folders, beyond)), {})


def test_categories_without_objects_may_have_any_name(folders: Path, opened: Open) -> None:
    def add(held: dict[str, Any]) -> None:
        held["categories"] += [{"id": 0, "name": "dog"}, {"id": 8, "name": "emu"}, {"id": 9, "name": "cat"}]

    source = opened("coco", written(folders, add))
    assert tuple(source.classes) == ("cat", "dog")
    assert any("the category 0 has no objects, and another has its name 'dog'" in note for note in source.notes)
    assert any("1 category without objects is left out, for example 'emu'" in note for note in source.notes)

    def repeat(held: dict[str, Any]) -> None:
        held["categories"].append({"id": 3, "name": "wolf"})

    with pytest.raises(UserError, match="category id 3 twice, for 'cat' and 'wolf'"):
        FORMAT.open(str(written(folders, repeat)), {})


def renumbered(change: Mapping[int, int], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The annotations of val with other numbers and names of categories."""
    held = told(6, 50)
    for one in held["annotations"]:
        one["category_id"] = change.get(one["category_id"], one["category_id"])
    for one in held["categories"]:
        one.update(id=change.get(one["id"], one["id"]), name=(names or {}).get(one["name"], one["name"]))
    return held


def test_categories_of_two_files_are_the_same_by_name(folders: Path, opened: Open) -> None:
    before = [item.objects for item in opened("coco", folders).items()]
    val = folders / "annotations" / "instances_val2017.json"
    for change in ({3: 90, 90: 3}, {3: 1, 90: 2}):
        val.write_text(json.dumps(renumbered(change)))
        source = opened("coco", folders)
        assert [item.objects for item in source.items()] == before and tuple(source.classes) == ("cat", "dog")
        assert any("number 2 categories differently, for example 'cat' as 3 and" in note for note in source.notes)
    only = told(6, 50)
    only["categories"] = [one for one in only["categories"] if one["id"] != 7]
    val.write_text(json.dumps(only))
    assert not any("differently" in note for note in opened("coco", folders).notes)


def test_an_id_with_two_names_in_two_files_is_refused_with_both(folders: Path, opened: Open) -> None:
    val = folders / "annotations" / "instances_val2017.json"
    val.write_text(json.dumps(renumbered({}, {"dog": "wolf"})))
    with pytest.raises(UserError, match="different categories: 90 is 'dog' in one and 'wolf' in the other"):
        FORMAT.open(str(folders), {})
    val.write_text(json.dumps(renumbered({90: 91}, {"dog": "wolf"})))
    source = opened("coco", folders)
    assert tuple(source.classes) == ("cat", "dog", "wolf")
    assert any(
        "instances_val2017.json has 1 categories that instances_train2017.json does not have" in n for n in source.notes
    )


def test_names_of_categories_matter_only_where_there_are_objects(folders: Path, opened: Open) -> None:
    def change(held: dict[str, Any]) -> None:
        held["categories"] += [{"id": 20, "name": ""}, {"id": 21, "name": None}, {"id": 22}]
        held["categories"][1]["name"] = 5
        held["annotations"].append(dict(held["annotations"][0]))

    source = opened("coco", written(folders, change))
    assert tuple(source.classes) == ("5", "dog")
    assert "1 object is annotated twice in instances_train2017.json, alike in all" in source.notes
    with pytest.raises(UserError, match="category 0 of .*json has no name"):
        FORMAT.open(str(written(folders, changed("categories", 0, name=" "))), {})


def test_one_class_is_a_task(folders: Path, tmp_path: Path) -> None:
    def without_dogs(held: dict[str, Any]) -> None:
        held["annotations"] = [one for one in held["annotations"] if one["category_id"] == 3]

    pack = packed(f"coco:{written(folders, without_dogs)}", tmp_path / "pack")
    assert pack.taxonomy.leaves == ("cat",) and pack.labels.shape == (12, 1)


def test_images_that_no_annotation_names_are_counted(folders: Path, opened: Open, png: Png) -> None:
    (folders / "train2017" / "more.png").write_bytes(png(99))
    (folders / "train2017" / "notes.txt").write_text("")
    (folders / "train2017" / ".hidden").mkdir()
    notes = opened("coco", folders).notes
    assert any(
        "1 image in train2017 that no annotation file names is left out, for example more.png" in n for n in notes
    )
    assert any("1 file that is not an image was skipped (1 .txt)" in note for note in notes)
    assert any("1 hidden or housekeeping folder was skipped" in note for note in notes)


def test_names_written_on_windows_are_found(folders: Path, opened: Open) -> None:
    def change(held: dict[str, Any]) -> None:
        for image in held["images"]:
            image["file_name"] = f"C:\\data\\train2017\\{image['file_name']}"

    assert opened("coco", written(folders, change)).n_images == 12


ERRORS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no images": (lambda held: held.pop("images"), "has no list 'images'"),
    "no categories": (lambda held: held.update(categories={}), "has no list 'categories'"),
    "an image twice": (changed("images", 1, id=100), "has the image id 100 twice"),
    "a category twice": (changed("categories", 1, name="dog"), "has the category name 'dog' twice"),
    "one file of two images": (changed("images", 1, file_name="0.png"), "has the file_name '0.png' twice"),
    "an image that is null": (changed("annotations", 0, image_id=None), "the image_id of annotation 1 of .*json is None"),
    "half a character": (changed("images", 0, file_name="\ud800.png"), "the file_name of image 0"),
    "a long name": (changed("images", 0, file_name="x" * 5000), r"the file_name of image 0 of .*json is 'xxx.*[.][.][.] "),
    "an unknown image": (changed("annotations", 0, image_id=7), "annotation 1 of .*json is of image 7, which is not in it"),
    "half an id": (changed("images", 0, id=1.5), "the id of image 0 of .*json is 1.5"),
    "no name": (changed("images", 0, file_name=None), "the file_name of image 0"),
    "too many classes": (lambda held: held.update(categories=[{"id": k, "name": str(k)} for k in range(100_001)]),
                         "has more than 100,000 categories"),
    "a list of numbers": (lambda held: held.update(annotations=[1]), "annotation 0 of .*json has no image_id"),
    "nothing annotated": (lambda held: held.update(annotations=[]), "has no usable object"),
    "images of elsewhere": (lambda held: [one.update(file_name=f"x{one['file_name']}") for one in held["images"]],
                            "has none of the images of .*json"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_a_file_that_contradicts_itself_is_named(name: str, folders: Path) -> None:
    change, message = ERRORS[name]
    file = written(folders, change)
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(file), {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "has no list 'images'"),
    ],
)
def test_a_file_that_is_no_json_is_named(content: bytes, message: str, folders: Path) -> None:
    file = folders / "annotations" / "instances_train2017.json"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(folders), {})


def test_folders_that_are_not_whole_are_named(folders: Path) -> None:
    with pytest.raises(UserError, match="images=FOLDER needs a single annotation file"):
        FORMAT.open(str(folders), {"images": "x"})
    (folders / "val2017").rename(folders / "elsewhere")
    with pytest.raises(UserError, match="the folder val2017 is not there"):
        FORMAT.open(str(folders), {})
    other = told(6, 50)
    other["categories"][0]["name"] = "wolf"
    (folders / "annotations" / "instances_val2017.json").write_text(json.dumps(other))
    (folders / "elsewhere").rename(folders / "val2017")
    with pytest.raises(UserError, match="have different categories"):
        FORMAT.open(str(folders), {})
    with pytest.raises(UserError, match=r"no annotations/instances_train<year>.json"):
        FORMAT.open(str(folders / "train2017"), {})
