"""Scoring any detector's output: both kinds of annotations, both kinds of results, and what is wrong with files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.runners.score import as_json, as_text, score

Box = tuple[float, float, float, float]
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


@pytest.mark.parametrize("order", [1, -1])
def test_equal_scores_of_several_images_count_by_the_ids_of_images_as_in_pycocotools(
    order: int, lay: Callable[..., Path]
) -> None:
    truth = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in (9, 10)][::order],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [annotation(1, 9, 1, CAT), annotation(2, 10, 1, CAT)],
    }
    found = [
        {"image_id": i, "category_id": 1, "score": 0.5, "bbox": xywh(box)}
        for i, box in ((10, CAT), (9, (70, 60, 90, 70)))
    ]
    root = lay({"truth.json": truth, "found.json": found})
    scored = score(root / "truth.json", root / "found.json", "coco")
    assert scored.numbers["AP"] == pytest.approx(0.5 * 51 / 101)  # the miss, in image 9, comes first


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


def as_ids(held: Any, images: Callable[[int], object], categories: Callable[[int], object]) -> Any:
    """Annotations or results with other ids."""
    of = held if isinstance(held, list) else held["annotations"]
    for one_ in of:
        one_.update(image_id=images(one_["image_id"]), category_id=categories(one_["category_id"]))
    if isinstance(held, dict):
        for name, change in (("images", images), ("categories", categories)):
            for one_ in held[name]:
                one_["id"] = change(one_["id"])
    return held


@pytest.mark.parametrize("of_truth", [int, str, "id-{}".format])
@pytest.mark.parametrize("of_results", [int, str, float])
def test_ids_are_numbers_or_texts_on_either_side(
    of_truth: Callable[[int], object], of_results: Callable[[int], object], lay: Callable[..., Path]
) -> None:
    worded = not isinstance(of_truth, type)
    change = of_truth if worded else of_results
    root = lay({"coco.json": as_ids(coco(), of_truth, of_truth), "r.json": as_ids(results(), change, change)})
    assert json.loads(as_json(score(root / "coco.json", root / "r.json", "voc10"))) == FULL


def test_numbers_as_texts_are_images_of_voc_too(lay: Callable[..., Path]) -> None:
    names = {3: "cat", 7: "dog"}
    root = lay(VOC, {"r.json": as_ids(results(), lambda n: str(n // 10), lambda n: names[n])})
    assert json.loads(as_json(score(root / "voc", root / "r.json", "voc10"))) == FULL


def test_a_text_that_is_one_images_id_and_anothers_name_is_refused(lay: Callable[..., Path]) -> None:
    held = coco()
    held["images"][0]["file_name"] = "20.jpg"
    root = lay({"coco.json": held, "r.json": as_ids(results(), str, int)})
    with pytest.raises(UserError, match="image '20', which is the id of val/000002.jpg and the name of 20.jpg"):
        score(root / "coco.json", root / "r.json", "voc10")
    lay({"r.json": results()})
    assert json.loads(as_json(score(root / "coco.json", root / "r.json", "voc10"))) == FULL


def own_lists(order: Sequence[int] = (3, 2, 1)) -> dict[str, Any]:
    """Results whose ids are numbered in another order than those of the annotations."""
    number = {10 * n: 10 * order[n - 1] for n in (1, 2, 3)}
    held = {"annotations": as_ids(results(), lambda n: number[n], lambda n: {3: 7, 7: 3}[n])}
    held["images"] = [{"id": number[10 * n], "file_name": f"elsewhere/00000{n}.png"} for n in (1, 2, 3)]
    return held | {"categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 1, "name": "wolf"}]}


def test_own_lists_of_the_output_say_what_its_ids_mean(lay: Callable[..., Path]) -> None:
    held = own_lists()
    held["images"].append({"id": 7, "file_name": "000009.png"})
    root = lay(VOC, {"coco.json": coco(), "own.json": {**held, "tracks": [], "info": {}},
                     "late.json": {key: held[key] for key in ("annotations", "categories", "images")}})  # fmt: skip
    for name in ("own.json", "late.json"):
        scored = score(root / "coco.json", root / name, "voc10")
        assert json.loads(as_json(scored)) == FULL
        told = scored.remarks
        assert "1 image of the output's own list is not in the ground truth, or not once" in told
        assert "the output's own list of images counts: 2 of its ids are other images in the ground truth" in told
        assert any(
            "own list of categories counts: 7 is 'cat' there, and 'dog' in the ground truth" in one_ for one_ in told
        )
        assert (name == "own.json") == ("what own.json has besides is not used: tracks" in told)
    assert json.loads(as_json(score(root / "voc", root / "own.json", "voc10"))) == FULL


def test_images_of_one_name_in_two_folders_are_told_apart_by_whole_names(lay: Callable[..., Path]) -> None:
    held = coco()
    for image, name in zip(held["images"], ("a/1.jpg", "b/1.jpg", "a/2.jpg"), strict=True):
        image["file_name"] = name
    found = {"annotations": results(), "images": [{"id": i["id"], "file_name": i["file_name"]} for i in held["images"]]}
    root = lay({"coco.json": held, "r.json": found, "kit/comp4_det_test_cat.txt": "1 0.9 11 11 40 40\n"})
    assert json.loads(as_json(score(root / "coco.json", root / "r.json", "voc10"))) == FULL
    with pytest.raises(UserError, match="is of image '1', of which the ground truth has 2"):
        score(root / "coco.json", root / "kit", "voc10")


def test_a_category_without_objects_may_be_found_and_one_of_the_same_name_is_dropped(lay: Callable[..., Path]) -> None:
    held = coco()
    held["categories"] += [{"id": 0, "name": "cat"}, {"id": 4, "name": "emu"}]
    root = lay({"coco.json": held, "r.json": [*results(), {**results()[0], "category_id": 4}]})
    assert json.loads(as_json(score(root / "coco.json", root / "r.json", "voc10")))["AP"] == {**FULL["AP"], "emu": None}
    lay({"r.json": [{**results()[0], "category_id": 0}]})
    with pytest.raises(UserError, match="of category 0, which has no name .*3 cat, 4 emu, 7 dog, 90 bird"):
        score(root / "coco.json", root / "r.json", "voc10")


def test_one_class_is_scored(lay: Callable[..., Path]) -> None:
    held = coco()
    held["annotations"] = [a for a in held["annotations"] if a["category_id"] == 3]
    held["categories"] = [{"id": 0, "name": "cat"}, {"id": 3, "name": "cat"}]
    root = lay({"coco.json": held, "r.json": [r for r in results() if r["category_id"] == 3],
                "voc/Annotations/1.xml": xml(("cat", CAT, False)), "comp4_det_test_cat.txt": "1 0.5 11 11 40 40"})  # fmt: skip
    assert json.loads(as_json(score(root / "coco.json", root / "r.json", "voc10")))["AP"] == {"cat": FULL["AP"]["cat"]}
    assert score(root / "coco.json", root / "r.json", "coco").numbers["AP50"] > 0.8
    assert score(root / "voc", root / "comp4_det_test_cat.txt", "voc07").numbers["mAP"] == 1


def test_what_does_not_count_is_told(lay: Callable[..., Path]) -> None:
    root = lay(VOC, KIT, {"voc/ImageSets/Main/test.txt": "000001\n000002\n", "kit/readme.md": ""})
    assert score(root / "voc", root / "kit", "voc10").remarks[:2] == (
        "1 annotated images are not in test.txt and do not count", "1 other files in kit are not used",
    )  # fmt: skip
    lay({"voc/Annotations/000003.xml": xml(("bird", CAT, False)).replace("<difficult>0", "<difficult>?")})
    lay({"voc/ImageSets/Main/test.txt": "000001\n000002\n000003\n"})
    told = "1 annotations have optional values that do not count: difficult of an object (bird) is '?' (000003)"
    assert told in score(root / "voc", root / "kit", "voc10").remarks
    for name, text in KIT.items():
        lay({name: None, name.replace("kit/comp4_det_test", "other/comp3_det_val"): text})
    told = score(root / "voc", root / "other", "voc10").remarks
    assert "ImageSets/Main has no list val: test counts" in told


def changed(**change: Any) -> dict[str, Any]:
    held = coco()
    held["annotations"][1].update(change)
    return held


def one(**change: Any) -> list[dict[str, Any]]:
    return [results()[0], {**results()[1], **change}]


def relative(held: dict[str, Any]) -> dict[str, Any]:
    for one_ in held["annotations"]:
        one_["bbox"] = [value / 100 for value in one_["bbox"]]
    return held


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
                         "result 3 of .*r.json is of category 7, which its own list 'categories' does not have"),
    "an own class that is unknown": ("coco.json", "r.json", {"r.json": {"annotations": results(), "categories":
                                     [{"id": 3, "name": "wolf"}]}}, "category 3, which is 'wolf' in r.json .*3 cat, 7 dog"),
    "an own image that is unknown": ("coco.json", "r.json", {"r.json": {"annotations": results(), "images":
                                     [{"id": 10, "file_name": "a/000007.png"}]}},
                                     "result 0 of .*r.json is of image 'a/000007.png', which the ground truth does not have"),
    "an image missing in the own list": ("coco.json", "r.json", {"r.json": {"annotations": results(), "images":
                                         [{"id": 10, "file_name": "000001.jpg"}]}},
                                         "result 1 of .*r.json is of image 20, which its own list 'images' does not have"),
    "an own image twice": ("coco.json", "r.json", {"r.json": {"annotations": [], "images":
                           [{"id": 1, "file_name": "000001.jpg"}, {"id": "1", "file_name": "000002.jpg"}]}},
                           "the id 1 twice in images, for '000001.jpg' and '000002.jpg'"),
    "relative boxes": ("coco.json", "r.json", {"r.json": [{**r, "bbox": [v / 100 for v in r["bbox"]]} for r in results()]},
                       "all boxes of .*r.json are between 0 and 1"),
    "relative boxes of the kit": ("voc", "kit", dict.fromkeys(KIT, "000001 0.9 0.1 0.1 0.4 0.4\n"),
                                  "all boxes of .*kit are between 0 and 1"),
    "relative annotations": ("coco.json", "kit", {"coco.json": relative(coco())}, "all boxes of .*coco.json are between 0 and 1"),
    "relative annotations of VOC": ("voc", "kit", {f"voc/Annotations/00000{n}.xml": xml(("cat", (0.1, 0.1, 0.5, 0.6), False))
                                    for n in (1, 2, 3)}, "all boxes of .*Annotations are between 0 and 1"),
    "files of two sets": ("voc", "kit", {"kit/comp4_det_val_emu.txt": ""}, "are of different sets"),
    "boxes beyond reason": ("voc", "kit", {LINE: "000001 0.9 1 2 3 4e9\n"}, r"line 1 of .*cat.txt is '000001 0.9"),
    "a folder in place of XML": ("voc", "kit", {"voc/Annotations/000004.xml/x": ""}, "000004.xml is not an ordinary file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_files_is_told_with_their_names(name: str, lay: Callable[..., Path]) -> None:
    truth, found, change, message = BAD[name]
    root = lay(VOC, KIT, {"coco.json": coco(), "results.json": results()}, change)
    with pytest.raises(UserError, match=message):
        score(root / truth, root / found, "voc10")
