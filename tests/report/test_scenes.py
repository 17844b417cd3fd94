"""Drawn detections: the best hits, the surest mistakes and the largest misses, at most one an image, boxes in place."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transferlab.answers.study import Scenes
from transferlab.report.pictures import sheet_picture
from transferlab.report.scenes import COLOURS, N_SCENES, TILE_PX, overlaps, scenes_of
from transferlab.specs import Pack
from transferlab.taxonomy.tree import flat
from transferlab.transfer.detect.metrics import Found
from transferlab.transfer.detect.scores import scored
from transferlab.transfer.targets import Target, view

MakePack = Callable[..., Pack]


@pytest.fixture
def target(make_scenes: MakePack) -> Target:
    return view(make_scenes((8, 2, 20)))


def objects(target: Target) -> list[tuple[int, int, np.ndarray]]:
    """Place in the test, class and box of every test object."""
    boxes = target.pack.boxes
    assert boxes is not None
    return [(place, int(boxes.labels[i]), boxes.original[i]) for place, row in enumerate(target.test)
            for i in range(int(boxes.first[row]), int(boxes.first[row + 1]))]  # fmt: skip


def drawn(target: Target, found: Sequence[tuple[int, int, float, np.ndarray]]) -> dict[str, Scenes]:
    columns: list[Any] = [np.array(column) for column in zip(*found, strict=True)]
    dtypes = (np.int32, np.int32, np.float32, np.float32)
    held = Found(*(column.astype(dtype) for column, dtype in zip(columns, dtypes, strict=True)))
    _, rows = scored(target, held)
    return {each.what: each for each in scenes_of(target, rows, "squares", "a network")}


def test_what_is_found_is_shown_by_its_score_and_what_is_missed_by_its_size(target: Target) -> None:
    every = objects(target)
    found = [(place, label, 0.9 - 0.01 * i, box) for i, (place, label, box) in enumerate(every) if place < 6]
    found += [(7, 0, 0.8, np.array([0.0, 0, 3, 3]))]
    told = drawn(target, found)
    assert list(told) == ["found", "found wrongly", "missed"]
    assert len(told["found"].images) == 6  # one an image
    assert told["found"].captions[0] == f"colour{every[0][1]} 0.90"
    assert told["found wrongly"].captions == ("colour0 0.80",)
    assert len(told["missed"].images) == N_SCENES
    sizes = {place: (box[2:] - box[:2]).prod() for place, _, box in every}
    assert len(sizes) == 20


def test_a_box_stands_where_its_object_is(target: Target) -> None:
    place, label, box = objects(target)[0]
    tile = drawn(target, [(place, label, 0.9, box)])["found"].images[0]
    colour = np.array([int(COLOURS["found"][i : i + 2], 16) for i in (1, 3, 5)])
    at = np.argwhere((tile == colour).all(2))
    pack = target.pack
    assert pack.boxes is not None
    factor = TILE_PX / pack.boxes.original_sizes[target.test[place]].max()
    low, high = at.min(0)[::-1], at.max(0)[::-1] + 1
    assert np.abs(np.concatenate([low, high]) - box * factor).max() <= 2


def test_an_object_with_a_box_of_another_class_or_a_low_score_is_missed(target: Target) -> None:
    place, label, box = objects(target)[0]
    for found in ((place, (label + 1) % 3, 0.9, box), (place, label, 0.2, box)):
        whole = [(p, c, 0.9, b) for p, c, b in objects(target)[1:]]
        assert drawn(target, [found, *whole])["missed"].captions == (f"colour{label}",)


def test_nothing_missed_or_wrong_gives_no_sheet_of_it(target: Target) -> None:
    assert list(drawn(target, [(p, c, 0.9, b) for p, c, b in objects(target)])) == ["found"]


def test_ignored_objects_are_not_missed(target: Target) -> None:
    boxes = target.pack.boxes
    assert boxes is not None
    ignored = np.ones(len(boxes.labels), bool)
    ignored[: boxes.first[target.test[1]]] = False
    few = replace(target, pack=replace(target.pack, boxes=replace(boxes, ignored=ignored)))
    told = drawn(few, [(5, 0, 0.9, np.array([0.0, 0, 2, 2]))])
    assert len(told["missed"].images) == 1


def test_names_are_told_as_they_are(target: Target) -> None:
    names = ["<script>alert(1)", "$x$", "=cmd"]
    odd = replace(target, pack=replace(target.pack, taxonomy=flat(names)))
    told = drawn(odd, [(p, c, 0.9, b) for p, c, b in objects(target)])
    assert {caption.removesuffix(" 0.90") for caption in told["found"].captions} <= set(names)


def test_found_objects_stand_four_to_a_row_and_small_samples_eight() -> None:
    def width(side: int) -> int:
        return Image.open(io.BytesIO(sheet_picture("a", np.zeros((8, side, side, 3), np.uint8)).data)).width

    assert width(TILE_PX) == 4 * TILE_PX + 3
    assert width(32) == 8 * 32 + 7


def test_overlap_is_intersection_over_union() -> None:
    box = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]])
    assert overlaps(box, others) == pytest.approx([1, 1 / 3, 0, 0])
