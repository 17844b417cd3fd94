"""A study with a detection target beside a classification one: planned, run, resumed, answered and reported as one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlab import Examples, Recipe, Study, compare, designs, detect, probe
from transferlab.answers.study import StudyAnswers
from transferlab.errors import UserError
from transferlab.events import Progressed, Report
from transferlab.outcomes.store import Store
from transferlab.planned import restored
from transferlab.report.gather import all_answers, table_rows
from transferlab.report.page import render
from transferlab.runners import drive
from transferlab.runners.estimate import describe, status_text
from transferlab.runners.machine import Machine
from transferlab.runners.packs import find
from transferlab.runners.prepare import Prepared, Request, prepare
from transferlab.specs import Augmentation

MACHINE = Machine("cpu", "fp32", 1, "test")
BOXES = "toy?task=detection&images_per_class=36"
RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, length=Examples(160), precision="fp32",
                augmentation=Augmentation(2, False))  # fmt: skip


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("classes") / "made.npz"
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = (random.integers(0, 120, (60, 16, 16, 3)) + labels[:, None, None, None] * 60).astype(np.uint8)
    np.savez(path, images=images, labels=labels, split=np.array(["train", "val", "test"])[np.arange(60) // 3 % 3])
    return f"npz:{path}"


def study_of(classes: str, *targets: str) -> Study:
    return Study(
        source=classes, targets=list(targets), conditions={n: designs.images_per_class(n) for n in (2, 6)}, seeds=3,
        controls=["scratch", "random-features"], contrasts=[compare("6", "2")], recipe=RECIPE, name="mixed",
        protocols=[probe(), detect(examples=24)],
    )  # fmt: skip


def prepared_of(study: Study, store: Path) -> Prepared:
    return prepare(Request(study, None, (), store, device="cpu"), lambda *_: None)


@pytest.fixture(scope="module")
def done(classes: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    prepared = prepared_of(study_of(classes, classes, BOXES), tmp_path_factory.mktemp("mixed") / "lab")
    assert drive.run(prepared.plan, prepared.store, MACHINE, lambda _: None) == 0
    return prepared.store


@pytest.fixture(scope="module")
def answered(done: Store) -> StudyAnswers:
    (study,) = all_answers(done)
    return study


def test_each_target_gets_its_own_protocol_and_scratch_trains_all_layers(done: Store) -> None:
    plan = restored(next(iter(done.studies().values())))
    names = {t.digest: t.name for t in plan.targets}
    made = {(t.condition, names[t.cell.target], t.cell.protocol.kind) for t in plan.transfers}
    conditions = ("2", "6", "random-features", "scratch")
    assert made == {(c, "toy detection", "detect") for c in conditions} | {
        (c, "made", "finetune" if c == "scratch" else "probe") for c in conditions
    }
    knobs = {t.condition: dict(t.cell.protocol.knobs) for t in plan.transfers if t.cell.protocol.kind == "detect"}
    assert (knobs["scratch"]["frozen"], knobs["scratch"]["norms"]) == (0, "trained")
    assert knobs["random-features"]["frozen"] == "all"
    assert {k["examples"] for k in knobs.values()} == {24}
    assert [p.protocol.kind for p in plan.protocols] == ["probe", "detect"]


def test_records_tell_what_was_trained(done: Store) -> None:
    plan = restored(next(iter(done.studies().values())))
    told = {t.condition: done.record(t.key) for t in plan.transfers if t.cell.protocol.kind == "detect"}
    weights = {condition: record["chosen"]["weights trained"] for condition, record in told.items() if record}
    assert weights["random-features"] < weights["6"] == weights["scratch"]
    assert all(0 <= record["metrics"]["mAP"] <= 1 for record in told.values() if record)


def test_differences_on_boxes_speak_of_images_like_these(answered: StudyAnswers) -> None:
    found = {e.target: e for e in answered.estimates}
    assert answered.saturated == ("made",)  # every condition tells its classes apart, so that it is in no mean
    assert set(found) == {"made", "toy detection"}
    assert {e.scope for e in found.values()} == {"images like these"}
    assert found["toy detection"].metric == "mAP"
    assert {e.target for e in answered.exploratory} == set(found)
    (boxes,) = [t for t in answered.targets if t.name == "toy detection"]
    assert (boxes.metric, boxes.n_test, boxes.n_classes) == ("mAP", 6, 4)


def test_the_report_draws_what_was_found_and_what_was_missed(answered: StudyAnswers, tmp_path: Path) -> None:
    assert {each.what for each in answered.scenes} >= {"missed"}
    assert all(len(each.images) == len(each.captions) <= 8 for each in answered.scenes)
    render([answered], tmp_path / "report.html", "html")
    render([answered], tmp_path / "report.md", "md")
    page, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    for told in (page, text):
        assert "What is found, and what is not" in told
        assert "toy detection" in told and "mAP" in told
        assert "images seen: 24; " in told and "images a step: 4; " in told
        assert "parts of the backbone that stay fixed, counted from the stem: 0; " in told
    assert any("missed" in path.name for path in (tmp_path / "report_figures").iterdir())


def test_table_status_and_plan_know_of_it(done: Store, classes: str) -> None:
    rows = [row for row in table_rows(done) if row["protocol"] == "detect"]
    assert {row["metric"] for row in rows} == {"mAP", "mAP at 11 recalls", "AP"}
    assert len(rows) == 3 * 3 * 4
    assert "0 missing" in status_text(done)
    prepared = prepared_of(study_of(classes, classes, BOXES), done.path)
    assert not drive.missing(prepared.plan, prepared.store)
    lines = list(describe(prepared))
    assert any("toy?task=detection" in line for line in lines)


def test_killed_between_steps_the_next_run_ends_in_the_same_table(
    done: Store, classes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {t["key"]: t["value"] for t in table_rows(done) if t["metric"] == "mAP"}
    small = replace(study_of(classes, BOXES), seeds=1, controls=["scratch"])
    prepared = prepared_of(small, tmp_path / "lab")
    stopped = False

    def stop(report: Report) -> None:
        nonlocal stopped
        if isinstance(report.event, Progressed) and "detect" in report.event.what and not stopped:
            stopped = True
            raise KeyboardInterrupt

    with pytest.raises(drive.Stopped):
        drive.run(prepared.plan, prepared.store, MACHINE, stop)
    assert drive.run(prepared.plan, prepared.store, MACHINE, lambda _: None) == 0
    again = {t["key"]: t["value"] for t in table_rows(prepared.store) if t["metric"] == "mAP"}
    assert again == {key: whole[key] for key in again}


def test_a_study_that_says_nothing_of_detection_gets_it_where_a_target_has_boxes(classes: str, tmp_path: Path) -> None:
    plan = prepared_of(replace(study_of(classes, BOXES), protocols=[probe()]), tmp_path / "lab").plan
    assert [p.protocol.kind for p in plan.protocols] == ["detect"]  # no target is left for the probe
    assert dict(plan.protocols[0].protocol.knobs) == dict(detect().knobs)


def test_images_with_boxes_are_packed_larger_than_the_studys_or_as_their_spec_says(
    classes: str, tmp_path: Path
) -> None:
    for spec, side in ((BOXES, 64), (f"{BOXES}&size=40", 40)):
        prepared = prepared_of(study_of(classes, spec), tmp_path / "lab")
        assert find(prepared.store, prepared.plan.targets[0]).image_px == side


def test_a_backbone_without_maps_is_refused_before_it_is_trained(classes: str, tmp_path: Path) -> None:
    study = study_of(classes, BOXES)
    without = replace(study, recipe=replace(study.recipe, backbone="timm:vit_tiny_patch16_224"))
    with pytest.raises(UserError, match=r"no feature maps .*vit_tiny_patch16_224"):
        prepared_of(without, tmp_path / "lab")


@pytest.mark.parametrize(
    ("source", "targets", "told"),
    [
        (BOXES, ["classes"], "pre-trained on class labels"),
        ("classes", ["classes"], "detect needs a target with boxes"),
        ("classes", [f"{BOXES}&size=7"], "size=7 is not valid"),
        ("classes", [f"{BOXES}&size=big"], "size=big is not valid"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(
    source: str, targets: list[str], told: str, classes: str, tmp_path: Path
) -> None:
    of = {"classes": classes}
    study = study_of(of.get(source, source), *(of.get(t, t) for t in targets))
    with pytest.raises(UserError, match=told):
        prepared_of(study, tmp_path / "lab")
    assert json.dumps(list((tmp_path / "lab" / "studies").glob("*"))) == "[]"


def cells(folder: Path) -> str:
    """Grey images with one bright square each, annotated in COCO's format as the only class."""
    (folder / "images").mkdir(parents=True)
    held: dict[str, list[dict[str, object]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "cell"}],
    }
    for k in range(30):
        pixels = np.full((24, 32, 3), 60 + k, np.uint8)
        x, y = k % 5 * 4, k % 3 * 4
        pixels[y : y + 10, x : x + 10] = 220
        Image.fromarray(pixels).save(folder / "images" / f"{k}.png")
        held["images"].append({"id": k, "file_name": f"{k}.png", "width": 32, "height": 24})
        held["annotations"].append({"id": k, "image_id": k, "category_id": 1, "bbox": [x, y, 10, 10], "iscrowd": 0})
    (folder / "cells.json").write_text(json.dumps(held))
    return f"coco:{folder / 'cells.json'}?size=32"


def test_a_target_with_one_class_is_planned_trained_scored_and_reported(classes: str, tmp_path: Path) -> None:
    study = replace(study_of(classes, cells(tmp_path / "cells")), seeds=2, controls=["random-features"])
    prepared = prepared_of(study, tmp_path / "lab")
    assert any("1 class, images: 18 train, 6 val, 6 test" in line for line in describe(prepared))
    assert drive.run(prepared.plan, prepared.store, MACHINE, lambda _: None) == 0
    rows = [row for row in table_rows(prepared.store) if row["metric"] == "AP"]
    assert len(rows) == 2 * 3 and all(0 <= row["value"] <= 1 for row in rows)
    (answered,) = all_answers(prepared.store)
    assert {e.target: e.metric for e in answered.estimates} == {"cells": "AP"}
    render([answered], tmp_path / "report.md", "md")
    assert "cells" in (tmp_path / "report.md").read_text()
