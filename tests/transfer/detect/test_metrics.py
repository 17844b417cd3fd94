"""Average precision against the development kit written down naively, against pycocotools, and against published numbers."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from transferlab.transfer.detect.metrics import (
    COCO_NAMES,
    Found,
    Rule,
    Truth,
    ap_of,
    average_precision,
    coco_matches,
    coco_metrics,
    matches,
    mean_of,
)

Row = tuple[int, int, tuple[float, float, float, float], bool]  # image, class, edges, ignored
Hit = tuple[int, int, float, tuple[float, float, float, float]]  # image, class, score, edges
Voc = Literal["voc07", "voc10"]
RULES: tuple[Voc, Voc] = ("voc07", "voc10")


def truth_of(rows: Sequence[Row], n_images: int = 3, n_classes: int = 2) -> Truth:
    rows = sorted(rows, key=lambda row: row[0])
    edges = np.array([row[2] for row in rows], float).reshape(-1, 4)
    return Truth(
        n_images, n_classes, np.array([row[0] for row in rows], np.int32), np.array([row[1] for row in rows], np.int32),
        edges, np.array([row[3] for row in rows], bool), (edges[:, 2:] - edges[:, :2]).prod(1),
    )  # fmt: skip


def found_of(hits: Sequence[Hit]) -> Found:
    return Found(
        np.array([hit[0] for hit in hits], np.int32), np.array([hit[1] for hit in hits], np.int32),
        np.array([hit[2] for hit in hits], np.float64), np.array([hit[3] for hit in hits], float).reshape(-1, 4),
    )  # fmt: skip


def kit(truth: Truth, found: Found, label: int, rule: Voc, least: float) -> float:
    """VOCevaldet.m and VOCap.m step by step, with boxes 1-based and inclusive as there."""
    gt: dict[int, dict[str, Any]] = {
        i: {"bb": [], "diff": [], "det": []} for i in range(truth.n_images)
    }  # fmt: skip
    npos = 0
    for i, c, edges, difficult in zip(truth.image, truth.label, truth.box, truth.ignored, strict=True):
        if c == label:
            gt[int(i)]["bb"].append((edges[0] + 1, edges[1] + 1, edges[2], edges[3]))
            gt[int(i)]["diff"].append(bool(difficult))
            gt[int(i)]["det"].append(False)
            npos += not difficult
    if npos == 0:
        return math.nan
    rows = [r for r in range(len(found.score)) if found.label[r] == label]
    rows.sort(key=lambda r: -found.score[r])
    tp, fp = [0] * len(rows), [0] * len(rows)
    for d, r in enumerate(rows):
        own = gt[int(found.image[r])]
        e = found.box[r]
        bb = (e[0] + 1, e[1] + 1, e[2], e[3])
        ovmax, jmax = -math.inf, -1
        for j, g in enumerate(own["bb"]):
            iw = min(bb[2], g[2]) - max(bb[0], g[0]) + 1
            ih = min(bb[3], g[3]) - max(bb[1], g[1]) + 1
            if iw > 0 and ih > 0:
                ua = (bb[2] - bb[0] + 1) * (bb[3] - bb[1] + 1) + (g[2] - g[0] + 1) * (g[3] - g[1] + 1) - iw * ih
                if iw * ih / ua > ovmax:
                    ovmax, jmax = iw * ih / ua, j
        if ovmax >= least:
            if not own["diff"][jmax]:
                tp[d], fp[d] = (0, 1) if own["det"][jmax] else (1, 0)
                own["det"][jmax] = True
        else:
            fp[d] = 1
    rec = [sum(tp[: d + 1]) / npos for d in range(len(rows))]
    with np.errstate(all="ignore"):
        prec = [float(np.float64(sum(tp[: d + 1])) / (sum(tp[: d + 1]) + sum(fp[: d + 1]))) for d in range(len(rows))]
    prec = [0.0 if math.isnan(p) else p for p in prec]  # only before the first detection that counts
    if rule == "voc07":
        return sum(max((p for p, r in zip(prec, rec, strict=True) if r >= t * 0.1), default=0) for t in range(11)) / 11
    mrec, mpre = [0.0, *rec, 1.0], [0.0, *prec, 0.0]
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    return sum((mrec[i] - mrec[i - 1]) * mpre[i] for i in range(1, len(mrec)) if mrec[i] != mrec[i - 1])


def corners(draw: st.DrawFn, lowest: int) -> tuple[float, float, float, float]:
    x, y = draw(st.integers(-2, 12)), draw(st.integers(-2, 12))
    return x, y, x + draw(st.integers(lowest, 9)), y + draw(st.integers(lowest, 9))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    return draw(st.integers(0, 2)), draw(st.integers(0, 1)), corners(draw, 1), draw(st.booleans())


@st.composite
def hits(draw: st.DrawFn) -> Hit:
    """Equal scores, boxes outside of the image, without area and with swapped corners occur."""
    score = draw(st.sampled_from([0.1, 0.25, 0.5, 0.5, 0.9, 1.0]))
    return draw(st.integers(0, 2)), draw(st.integers(0, 1)), score, corners(draw, -1)


@settings(max_examples=300, deadline=None)
@given(st.lists(rows(), max_size=14), st.lists(hits(), max_size=14), st.sampled_from([0.3, 0.5, 0.75, 1.0]))
def test_voc_agrees_with_the_development_kit(objects: list[Row], found: list[Hit], least: float) -> None:
    truth, detections = truth_of(objects), found_of(found)
    for rule in RULES:
        each = average_precision(truth, detections, rule, least)
        expected = [kit(truth, detections, label, rule, least) for label in range(2)]
        np.testing.assert_allclose([each[0], each[1]], expected, rtol=1e-12, atol=1e-12)


# Padilla's example (github.com/rafaelpadilla/Object-Detection-Metrics, samples/sample_2): x, y, width, height.
PADILLA_TRUTH = {
    0: "25 16 38 56;129 123 41 62", 1: "123 11 43 55;38 132 59 45", 2: "16 14 35 48;123 30 49 44;99 139 47 47",
    3: "53 42 40 52;154 43 31 34", 4: "59 31 44 51;48 128 34 52", 5: "36 89 52 76;62 58 44 67",
    6: "28 31 55 63;58 67 50 58",
}  # fmt: skip
PADILLA_FOUND = {
    0: ".88 5 67 31 48;.70 119 111 40 67;.80 124 9 49 67", 1: ".71 64 111 64 58;.54 26 140 60 47;.74 19 18 43 35",
    2: ".18 109 15 77 39;.67 86 63 46 45;.38 160 62 36 53;.91 105 131 47 47;.44 18 148 40 44",
    3: ".35 83 28 28 26;.78 28 68 42 67;.45 87 89 25 39;.14 10 155 60 26",
    4: ".62 50 38 28 46;.44 95 11 53 28;.95 29 131 72 29;.23 29 163 72 29",
    5: ".45 43 48 74 38;.84 17 155 29 35;.43 95 110 25 42", 6: ".48 16 20 101 88;.95 33 116 37 49",
}  # fmt: skip


def test_a_published_example_gives_its_published_numbers() -> None:
    def edges(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
        return x, y, x + w + 1, y + h + 1  # there the last pixel is x + w

    def numbers(text: str) -> list[list[float]]:
        return [[float(word) for word in part.split()] for part in text.split(";")]

    objects: list[Row] = [(i, 0, edges(*n), False) for i, text in PADILLA_TRUTH.items() for n in numbers(text)]
    found: list[Hit] = [(i, 0, s, edges(*n)) for i, text in PADILLA_FOUND.items() for s, *n in numbers(text)]
    truth, detections = truth_of(objects, 7, 1), found_of(found)
    assert len(objects) == 15 and len(found) == 24
    # 24.56 % there is the sum of four areas that were cut to four digits each.
    assert average_precision(truth, detections, "voc10", 0.3)[0] == pytest.approx(0.2456, abs=1e-4)
    assert average_precision(truth, detections, "voc07", 0.3)[0] == pytest.approx(0.2684, abs=5e-5)


@pytest.mark.parametrize("rule", RULES)
def test_edges_of_the_rules_of_voc(rule: Voc) -> None:
    a, b, far = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0), (50.0, 50.0, 60.0, 60.0)

    def ap(objects: list[Row], found: list[Hit], iou: float = 0.5) -> float:
        return average_precision(truth_of(objects), found_of(found), rule, iou)[0]

    assert math.isnan(ap([], [(0, 0, 0.9, a)]))  # a class without objects
    assert math.isnan(ap([(0, 0, a, True)], [(0, 0, 0.9, a)]))  # all of them difficult
    assert ap([(0, 0, a, False)], []) == 0
    assert ap([(0, 0, a, False)], [(0, 0, 0.9, a)]) == pytest.approx(1)
    assert ap([(0, 0, a, False)], [(1, 0, 0.9, a), (0, 1, 0.9, a)]) == 0  # another image, another class
    assert ap([(0, 0, a, False)], [(0, 0, 0.9, far), (0, 0, 0.8, a)]) == pytest.approx(0.5)
    # Finding a difficult object counts nowhere, however often; finding one that counts twice is a mistake.
    difficult: list[Row] = [(0, 0, a, False), (0, 0, b, True)]
    assert ap(difficult, [(0, 0, 0.9, b), (0, 0, 0.8, b), (0, 0, 0.7, a)]) == pytest.approx(1)
    both: list[Row] = [(0, 0, a, False), (0, 0, b, False)]
    twice: list[Hit] = [(0, 0, 0.9, a), (0, 0, 0.8, a), (0, 0, 0.7, b)]
    assert ap(both, twice) == pytest.approx((6 + 5 * 2 / 3) / 11 if rule == "voc07" else (1 + 2 / 3) / 2)
    # A detection goes to the object that it overlaps most, although another one is free.
    near: list[Row] = [(0, 0, a, False), (0, 0, (0.0, 0.0, 10.0, 9.0), False)]
    assert ap(near, [(0, 0, 0.9, a), (0, 0, 0.8, a)]) == pytest.approx((6 if rule == "voc07" else 5.5) / 11)
    # Boxes include their last pixel: columns 1 to 10 and 1 to 5 overlap by half, which is enough.
    assert ap([(0, 0, a, False)], [(0, 0, 0.9, (0.0, 0.0, 5.0, 10.0))]) == pytest.approx(1)
    # One pixel is an object; a detection without area, with swapped corners, or outside of the image is only wrong.
    assert ap([(0, 0, (4.0, 4.0, 5.0, 5.0), False)], [(0, 0, 0.9, (4.0, 4.0, 5.0, 5.0))]) == pytest.approx(1)
    odd: list[Hit] = [
        (0, 0, 0.5, (3.0, 3.0, 3.0, 8.0)),
        (0, 0, 0.4, (9.0, 9.0, 2.0, 2.0)),
        (0, 0, 0.3, (-9.0, -9.0, -4.0, -4.0)),
    ]
    assert ap([(0, 0, a, False)], [(0, 0, 0.9, a), *odd]) == pytest.approx(1)


def test_equal_scores_rank_in_the_order_in_which_they_are_given() -> None:
    objects, a, far = [(0, 0, (0.0, 0.0, 9.0, 9.0), False)], (0.0, 0.0, 9.0, 9.0), (20.0, 20.0, 30.0, 30.0)
    right_first: list[Hit] = [(0, 0, 0.5, a), (0, 0, 0.5, far)]
    assert average_precision(truth_of(objects), found_of(right_first), "voc10", 0.5)[0] == 1
    assert average_precision(truth_of(objects), found_of(right_first[::-1]), "voc10", 0.5)[0] == 0.5
    later_image: list[Hit] = [(1, 0, 0.5, a), (0, 0, 0.5, a)]  # of VOC as they are given, of COCO by images
    assert average_precision(truth_of(objects), found_of(later_image), "voc10", 0.5)[0] == 0.5
    assert ap_of(coco_matches(truth_of(objects), found_of(later_image)), np.arange(3), "coco")[0] == pytest.approx(1)


def by_pycocotools(truth: Truth, found: Found) -> NDArray[np.float64]:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def box(edges: NDArray[np.float64]) -> list[float]:
        return [float(v) for v in (edges[0], edges[1], edges[2] - edges[0], edges[3] - edges[1])]

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": i} for i in range(truth.n_images)],
            "categories": [{"id": c, "name": str(c)} for c in range(truth.n_classes)],
            "annotations": [
                {"id": n + 1, "image_id": int(truth.image[n]), "category_id": int(truth.label[n]), "bbox": box(truth.box[n]),
                 "area": float(truth.area[n]), "iscrowd": int(truth.ignored[n])} for n in range(len(truth.label))
            ],
        }  # fmt: skip
        known.createIndex()
        results = [{"image_id": int(found.image[n]), "category_id": int(found.label[n]), "bbox": box(found.box[n]),
                    "score": float(found.score[n])} for n in range(len(found.score))]  # fmt: skip
        told = known.loadRes(results) if results else COCO()
        scored = COCOeval(known, told, "bbox")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return np.array(scored.stats)


@settings(max_examples=60, deadline=None)
@given(st.lists(rows(), max_size=12), st.lists(hits(), min_size=1, max_size=12), st.sampled_from([1.0, 9.0, 30.0]))
def test_coco_agrees_with_pycocotools(objects: list[Row], found: list[Hit], scale: float) -> None:
    """At three scales, so that small, medium and large objects occur."""
    truth, detections = truth_of(objects), found_of(found)
    truth = replace(truth, box=truth.box * scale, area=truth.area * scale * scale)
    detections = replace(detections, box=detections.box * scale)
    theirs, ours = by_pycocotools(truth, detections), coco_metrics(truth, detections)
    np.testing.assert_allclose([ours[name] for name in COCO_NAMES], np.where(theirs < 0, np.nan, theirs), atol=1e-12)
    each = ap_of(coco_matches(truth, detections), np.arange(3), "coco")
    np.testing.assert_allclose(mean_of(each), ours["AP"], atol=1e-12)


def crowded() -> tuple[Truth, Found]:
    """More than 100 detections an image and class, decimals, crowds."""
    random = np.random.default_rng(0)
    n, m = 60, 1200
    at, size = random.uniform(0, 300, (n, 2)), random.uniform(4, 150, (n, 2))
    objects = [(int(random.integers(3)), int(random.integers(2)), (*map(float, a), *map(float, a + s)), bool(random.random() < 0.2))
               for a, s in zip(at, size, strict=True)]  # fmt: skip
    found: list[Hit] = []
    for _ in range(m):
        i, c, edges, _ = objects[int(random.integers(n))]
        moved = np.array(edges) + random.normal(0, 8, 4)
        found.append((i, c, float(random.random()), (*map(float, moved),)))  # type: ignore[arg-type]
    return truth_of(objects), found_of(found)  # type: ignore[arg-type]


def test_only_a_hundred_detections_of_an_image_and_class_count_for_coco() -> None:
    truth, found = crowded()
    ours = coco_metrics(truth, found)
    np.testing.assert_allclose([ours[name] for name in COCO_NAMES], by_pycocotools(truth, found), atol=1e-9)
    assert mean_of(ap_of(coco_matches(truth, found), np.arange(3), "coco")) == pytest.approx(ours["AP"], abs=1e-9)


def drawn(truth: Truth, found: Found, images: Sequence[int]) -> tuple[Truth, Found]:
    """The list of images written out, each copy as an image of its own."""
    objects = [np.flatnonzero(truth.image == i) for i in images]
    own = [np.flatnonzero(found.image == i) for i in images]
    of_truth = np.repeat(np.arange(len(images), dtype=np.int32), list(map(len, objects)))
    of_found = np.repeat(np.arange(len(images), dtype=np.int32), list(map(len, own)))
    m, d = np.concatenate(objects), np.concatenate(own)
    return (
        Truth(len(images), truth.n_classes, of_truth, truth.label[m], truth.box[m], truth.ignored[m], truth.area[m]),
        Found(of_found, found.label[d], found.score[d], found.box[d]),
    )


@pytest.mark.parametrize("rule", ["voc07", "voc10", "coco"])
def test_images_drawn_anew_score_as_if_each_copy_were_an_image_of_its_own(rule: Rule) -> None:
    truth, found = crowded()
    for images in ([0, 1, 2], [2, 2, 0], [1, 1, 1]):
        whole = drawn(truth, found, images)
        if rule == "coco":
            expected = ap_of(coco_matches(*whole), np.arange(3), rule)
            got = ap_of(coco_matches(truth, found), np.array(images), rule)
        else:
            expected = average_precision(*whole, rule, 0.5)
            got = ap_of(matches(truth, found, 0.5), np.array(images), rule)
        assert got == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_a_mean_leaves_out_classes_without_objects() -> None:
    assert mean_of({0: 0.25, 1: math.nan, 2: 0.75}) == 0.5
    assert math.isnan(mean_of({0: math.nan})) and math.isnan(mean_of({}))


def test_without_any_object_coco_has_no_numbers() -> None:
    truth = truth_of([])
    assert all(math.isnan(v) for v in coco_metrics(truth, found_of([(0, 0, 0.5, (0.0, 0.0, 3.0, 3.0))])).values())
    assert coco_metrics(truth_of([(0, 0, (0.0, 0.0, 9.0, 9.0), False)]), found_of([]))["AP"] == 0
