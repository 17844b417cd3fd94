"""Scoring any detector's output: both kinds of annotations, both kinds of results, and what is wrong with files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.runners.score import as_json, as_text, score

Box = tuple[int, int, int, int]
CAT, DOG = (11, 11, 40, 40), (31, 21, 60, 50)  # xmin, ymin, xmax, ymax as in VOC


def xml(*objects: tuple[str, Box, bool]) -> str:
    tags = ("xmin", "ymin", "xmax", "ymax")
    inner = "".join(
        f"<object><name>{name}</name><difficult>{int(difficult)}</difficult><bndbox>"
        + "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, box, strict=True))
        + "</bndbox></object>"
        for name, box, difficult in objects
    )
    return f"<annotation><size><width>100</width><height>80</height></size>{inner}</annotation>"


VOC = {
    "voc/Annotations/000001.xml": xml(("cat", CAT, False), ("dog", DOG, False)),
    "voc/Annotations/000002.xml": xml(("cat", CAT, False), ("dog", DOG, True)),
    "voc/Annotations/000003.xml": xml(("bird", CAT, True)),
}
KIT = {
    "kit/comp4_det_test_cat.txt": "000001 0.9 11 11 40 40\n000002 0.8 60 60 70 70\n000002 0.7 12 11 40 41\n",
    "kit/comp4_det_test_dog.txt": "000001 0.5 31 21 60 50\n000002 0.6 31 21 60 50\n",
}


def coco(voc: Mapping[str, str] = VOC) -> dict[str, Any]:
    """The same annotations in COCO's format, its ids with gaps."""
    return {
        "images": [{"id": 10 * n, "file_name": f"val/00000{n}.jpg", "width": 100, "height": 80} for n in (1, 2, 3)],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 90, "name": "bird"}],
        "annotations": [
            annotation(1, 10, 3, CAT), annotation(2, 10, 7, DOG), annotation(3, 20, 3, CAT),
            annotation(4, 20, 7, DOG, crowd=1), annotation(5, 30, 90, CAT, crowd=1),
        ],
    }  # fmt: skip


def annotation(id_: int, image: int, category: int, box: Box, crowd: int = 0) -> dict[str, Any]:
    return {"id": id_, "image_id": image, "category_id": category, "bbox": xywh(box), "area": 900, "iscrowd": crowd}


def xywh(box: Sequence[float]) -> list[float]:
    return [box[0] - 1, box[1] - 1, box[2] - box[0] + 1, box[3] - box[1] + 1]


def results() -> list[dict[str, Any]]:
    """What the kit's files say, in COCO's format."""
    found: list[dict[str, Any]] = []
    for (name, text), category in zip(KIT.items(), (3, 7), strict=True):
        for line in text.splitlines():
            image, confidence, *box = line.split()
            found.append({"image_id": 10 * int(image), "category_id": category, "score": float(confidence),
                          "bbox": xywh([float(b) for b in box])})  # fmt: skip
        assert name
    return found


@pytest.fixture
def lay(tmp_path: Path) -> Callable[..., Path]:
    """Writes files below a folder, JSON from what is no text; None leaves one out."""

    def write(*parts: Mapping[str, Any]) -> Path:
        for name, content in {k: v for part in parts for k, v in part.items()}.items():
            if content is None:
                continue
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, (str, bytes)) else json.dumps(content)
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        return tmp_path

    return write


FULL = {"mAP": pytest.approx((1 / 2 + 2 / 3 / 2 + 1) / 2), "AP": {"bird": None, "cat": pytest.approx(1 / 2 + 2 / 3 / 2),
                                                                  "dog": 1.0}}  # fmt: skip


def test_two_formats_of_annotations_and_results_give_the_same_numbers(lay: Callable[..., Path]) -> None:
    root = lay(VOC, KIT, {"coco.json": coco(), "results.json": results()})
    named = [{**r, "image_id": f"{r['image_id'] // 10:06d}", "category_id": {3: "cat", 7: "dog"}[r["category_id"]]}
             for r in results()]  # fmt: skip
    lay({"named.json": named})
    for truth, found in [("voc", "kit"), ("coco.json", "results.json"), ("coco.json", "kit"), ("voc", "named.json")]:
        scored = score(root / truth, root / found, "voc10")
        assert json.loads(as_json(scored)) == FULL, (truth, found)
        assert list(json.loads(as_json(score(root / truth, root / found, "voc07")))) == ["mAP", "AP"]
    both = [json.loads(as_json(score(root / t, root / f, "coco")))
            for t, f in [("voc", "kit"), ("coco.json", "results.json")]]  # fmt: skip
    assert both[0] == both[1]
    names = "AP AP50 AP75 APsmall APmedium APlarge AR1 AR10 AR100 ARsmall ARmedium ARlarge"
    assert list(both[0]) == names.split() and both[0]["APlarge"] is None and both[0]["AP50"] > 0.8


def test_results_may_be_a_dictionary_that_says_what_its_ids_mean(lay: Callable[..., Path]) -> None:
    told = {"annotations": [{**r, "image_id": r["image_id"] // 10} for r in results()],
            "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]}  # fmt: skip
    root = lay(VOC, {"numbers.json": told, "coco.json": coco(), "dict.json": {**coco(), "annotations": results()}})
    assert json.loads(as_json(score(root / "voc", root / "numbers.json", "voc10"))) == FULL  # 000001 is image 1
    assert json.loads(as_json(score(root / "coco.json", root / "dict.json", "voc10"))) == FULL


def test_a_list_says_which_images_count(lay: Callable[..., Path]) -> None:
    lists = {"voc/ImageSets/Main/test.txt": "000001\n", "voc/ImageSets/Main/val.txt": "000001\n000002\n000003\n"}
    root = lay(VOC, {"voc/ImageSets/Main/test.txt": "000001\n000002\n"}, KIT)
    assert json.loads(as_json(score(root / "voc", root / "kit", "voc10")))["AP"] == {
        "cat": FULL["AP"]["cat"], "dog": 1.0
    }  # fmt: skip
    lay(lists)
    with pytest.raises(
        UserError, match=r"line 2 of .*det_test_cat.txt is of image '000002', which the ground truth does"
    ):
        score(root / "voc", root / "kit", "voc10")
    for name, text in KIT.items():
        lay({name.replace("kit/comp4_det_test", "other/comp3_det_val"): text})
    assert json.loads(as_json(score(root / "voc", root / "other", "voc10"))) == FULL


def test_one_file_of_the_kit_is_scored_alone(lay: Callable[..., Path]) -> None:
    root = lay(VOC, KIT)
    scored = score(root / "voc", root / "kit" / "comp4_det_test_dog.txt", "voc07")
    assert json.loads(as_json(scored)) == {"mAP": 1.0, "AP": {"dog": 1.0}}


def test_a_class_without_a_file_is_not_found_and_one_without_objects_does_not_count(lay: Callable[..., Path]) -> None:
    root = lay(VOC, {"kit/comp4_det_test_cat.txt": KIT["kit/comp4_det_test_cat.txt"], "kit/comp4_det_test_emu.txt": ""})
    scored = score(root / "voc", root / "kit", "voc10")
    assert json.loads(as_json(scored))["AP"] == {"bird": None, "cat": FULL["AP"]["cat"], "dog": 0.0, "emu": None}
    assert json.loads(as_json(scored))["mAP"] == pytest.approx((1 / 2 + 2 / 3 / 2) / 2)
    assert scored.remarks == (
        "no detections for bird, dog: there is no file of that class",
        "left out of the mean, having no objects that count: bird, emu",
    )
    assert as_text(scored).splitlines() == [
        "mAP     0.4167",
        "  bird  -",
        "  cat   0.8333",
        "  dog   0.0000",
        "  emu   -",
    ]


def test_no_object_that_counts_and_no_detection_are_null_and_zero_not_nan(lay: Callable[..., Path]) -> None:
    root = lay({"voc/Annotations/1.xml": xml(("cat", CAT, True)), "none.json": [], "coco.json": coco()})
    assert json.loads(as_json(score(root / "voc", root / "none.json", "voc10"))) == {"mAP": None, "AP": {"cat": None}}
    assert set(json.loads(as_json(score(root / "voc", root / "none.json", "coco"))).values()) == {None}
    assert json.loads(as_json(score(root / "coco.json", root / "none.json", "voc07")))["mAP"] == 0


def test_an_object_without_width_counts_as_one_pixel_as_in_the_kit(lay: Callable[..., Path]) -> None:
    root = lay({"voc/Annotations/1.xml": xml(("cat", (5, 5, 5, 9), False)), "comp4_det_test_cat.txt": "1 0.5 5 5 5 9"})
    assert score(root / "voc", root / "comp4_det_test_cat.txt", "voc10").numbers["mAP"] == 1


def test_the_least_overlap_can_be_chosen(lay: Callable[..., Path]) -> None:
    root = lay(VOC, KIT)
    assert score(root / "voc", root / "kit", "voc10", 0.95).classes["cat"] == 0.5
    for wrong in (0, -1, 1.5, float("nan")):
        with pytest.raises(UserError, match=r"an overlap of .* is impossible [(]--iou[)]: choose above 0 and up to 1"):
            score(root / "voc", root / "kit", "voc10", wrong)
    with pytest.raises(UserError, match="COCO's metric has its own thresholds"):
        score(root / "voc", root / "kit", "coco", 0.75)


def changed(**change: Any) -> dict[str, Any]:
    held = coco()
    held["annotations"][1].update(change)
    return held


def one(**change: Any) -> list[dict[str, Any]]:
    return [results()[0], {**results()[1], **change}]


LINE = "kit/comp4_det_test_cat.txt"
BAD: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "no ground truth": ("nowhere", "kit", {}, r"no such file or folder \(--ground-truth .*nowhere"),
    "no detections": ("voc", "nowhere", {}, r"no such file or folder \(--detections .*nowhere"),
    "a folder without annotations": ("kit", "kit", {}, "the folder has no Annotations"),
    "annotations without files": ("bare", "kit", {"bare/Annotations/x.txt": ""}, "Annotations names no images"),
    "a listed image without XML": ("voc", "kit", {"voc/ImageSets/Main/test.txt": "000009\n"},
                                   r"000009.xml, which .*test.txt names cannot be read: No such file"),
    "a list that names an image twice": ("voc", "kit", {"voc/ImageSets/Main/test.txt": "000001\n000001\n"},
                                         "test.txt names 000001 twice"),
    "a list that is no text": ("voc", "kit", {"voc/ImageSets/Main/test.txt": b"\xff"}, "test.txt cannot be read"),
    "XML that is none": ("voc", "kit", {"voc/Annotations/000002.xml": "<annotation>"}, "000002.xml is not an annotation"),
    "XML in another encoding": ("voc", "kit", {"voc/Annotations/000002.xml": xml(("c\xe4t", CAT, False)).encode("latin-1")},
                                "000002.xml is not an annotation"),
    "entities": ("voc", "kit", {"voc/Annotations/000002.xml": '<!DOCTYPE a [<!ENTITY b "b">]><annotation/>'},
                 "000002.xml declares a document type"),
    "swapped corners": ("voc", "kit", {"voc/Annotations/000002.xml": xml(("cat", (40, 11, 11, 40), False))},
                        "object 1 of .*000002.xml has a box with swapped corners"),
    "an object without a box": ("voc", "kit", {"voc/Annotations/000002.xml":
                                "<annotation><object><name>cat</name></object></annotation>"}, "000002.xml has no box"),
    "a folder without the kit's files": ("voc", "voc", {}, r"no files comp\?_det_<set>_<class>.txt here"),
    "a text file of another name": ("voc", "cat.txt", {"cat.txt": ""}, "cat.txt does not say its set and class"),
    "two files of one class": ("voc", "kit", {"kit/comp3_det_test_cat.txt": ""}, "are of one class"),
    "a short line": ("voc", "kit", {LINE: "000001 0.9 1 2 3\n"}, r"line 1 of .*cat.txt is '000001 0.9 1 2 3'"),
    "a line without numbers": ("voc", "kit", {LINE: "\n000001 high 1 2 3 4\n"}, r"line 2 of .*cat.txt is '000001 high"),
    "a score that is none": ("voc", "kit", {LINE: "000001 nan 1 2 3 4\n"}, r"line 1 of .*cat.txt is '000001 nan"),
    "detections that are no text": ("voc", "kit", {LINE: b"\xff\xfe0"}, "cat.txt cannot be read"),
    "an unknown image": ("voc", "kit", {LINE: "000007 0.9 1 2 3 4\n"},
                         r"line 1 of .*cat.txt is of image '000007', which .* has 3 images, the first is '000001'"),
    "an unknown class": ("coco.json", "kit", {"kit/comp4_det_test_emu.txt": ""}, r"emu.txt is of the class 'emu'.*has cat, dog, bird"),
    "no JSON": ("coco.json", "kit", {"coco.json": "{"}, "coco.json is not JSON"),
    "JSON that is no text": ("coco.json", "kit", {"coco.json": b"\xff\xfe"}, "coco.json is not text in UTF-8"),
    "a list in place of annotations": ("coco.json", "kit", {"coco.json": results()}, "coco.json has no list 'images'"),
    "an annotation of an unknown image": ("coco.json", "kit", {"coco.json": changed(image_id=11)},
                                          "annotation 2 of .*coco.json is of image 11, which is not in it"),
    "an annotation of an unknown class": ("coco.json", "kit", {"coco.json": changed(category_id=8)},
                                          "object of an unknown class .category_id 8, annotation 2 of .*coco.json"),
    "an annotation without a box": ("coco.json", "kit", {"coco.json": changed(bbox=[1, 2, 3])},
                                    r"the bbox of annotation 2 of .*coco.json is \[1, 2, 3\]"),
    "a negative width": ("coco.json", "kit", {"coco.json": changed(bbox=[9, 9, -3, 3])}, "dog.*000001.jpg has a box with swapped"),
    "a box that is not finite": ("coco.json", "kit", {"coco.json": changed(bbox=[1, 2, 3, float("nan")])}, "the bbox of"),
    "results that are none": ("coco.json", "r.json", {"r.json": {"boxes": []}}, "r.json is neither a list of results nor"),
    "a result without a score": ("coco.json", "r.json", {"r.json": coco()}, "result 0 of .*r.json has no score"),
    "a result of an unknown image": ("coco.json", "r.json", {"r.json": one(image_id=11)}, "result 1 of .*r.json is of image 11"),
    "a result of an unknown class": ("coco.json", "r.json", {"r.json": one(category_id=8)},
                                     "result 1 of .*r.json is of category 8, which has no name .*3 cat, 7 dog, 90 bird"),
    "a class by number for VOC": ("voc", "r.json", {"r.json": [{**results()[0], "image_id": 1}]}, "write class names as category_id"),
    "a result without a box": ("coco.json", "r.json", {"r.json": one(bbox=None)}, "the bbox of result 1 of .*r.json is None"),
    "a score as text": ("coco.json", "r.json", {"r.json": one(score="0.5")}, "the score of result 1 of .*r.json is '0.5'"),
    "other categories": ("coco.json", "r.json", {"r.json": {"annotations": results(), "categories": [{"id": 3, "name": "dog"}]}},
                         "r.json calls category 3 'dog'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_files_is_told_with_their_names(name: str, lay: Callable[..., Path]) -> None:
    truth, found, change, message = BAD[name]
    root = lay(VOC, KIT, {"coco.json": coco(), "results.json": results()}, change)
    with pytest.raises(UserError, match=message):
        score(root / truth, root / found, "voc10")
