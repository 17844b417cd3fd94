"""Verbs on images without a study: packing, contact sheets, label sets and scores of detections."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transferlab.images.pack import open_pack

Call = Callable[..., Any]
Folder = Callable[..., None]

ODD_NAMES = (
    "two words", "ünï-cödé 猫", "e\u0301", "\xe9", "-dash", "--help", "new\nline", "<script>alert(1)", "[red]", "n" * 200,
    "=cmd|' !A0", "\x1b[31m", "\u202egnp", "$$", "_x", "a?b=c&d", "%41", "'", '"', "con.", "a.. ", "~", "*",
)  # fmt: skip


def test_images_that_cannot_be_read_are_named_with_reasons_or_counted(
    tmp_path: Path, call: Call, folder: Folder
) -> None:
    folder(tmp_path / "photos", ("a", "b"), 6)
    whole = (tmp_path / "photos/a/0.png").read_bytes()
    (tmp_path / "photos/a/0.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "photos/a/1.png").write_bytes(b"")
    (tmp_path / "photos/b/words\x1b[31m.png").write_text("these are words")
    spec, out = f"imagefolder:{tmp_path}/photos", str(tmp_path / "packed")
    said = call("pack", spec, out, "--size", "16")
    assert said.code == 2
    for told in ("3 of 13 images cannot be used", "a/0.png: ", "a/1.png: ", "b/words", "--skip-bad"):
        assert told in said.paragraph
    assert not Path(out).exists()
    said = call("pack", spec, out, "--size", "16", "--skip-bad")
    assert said.code == 0
    assert "10 images" in said.out
    assert "images left out: " in said.out
    assert open_pack(Path(out)).notes["skipped"]


def test_odd_names_of_classes_are_kept_apart_and_never_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, folder: Folder
) -> None:
    monkeypatch.chdir(tmp_path)
    source = "my [red] photos?\n\x1b[31m"
    folder(tmp_path / source, ODD_NAMES, 5)
    (tmp_path / source / os.fsdecode(b"\xff\xfe")).mkdir()
    shutil.copytree(tmp_path / source / "two words", tmp_path / source / os.fsdecode(b"\xff\xfe"), dirs_exist_ok=True)
    said = call("pack", f"imagefolder:{source}", "-packed", "--size", "16")
    assert said.code == 2  # -packed is taken for options, and nothing is written
    said = call("pack", f"imagefolder:{source}", "./-packed", "--size", "16")
    assert said.code == 0, said.err
    assert {*ODD_NAMES, "\\xff\\xfe"} == set(open_pack(Path("-packed")).taxonomy.leaves)
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    for words in (["taxonomy", "pack:-packed"], ["taxonomy", "pack:-packed", "--cut", "0"],
                  ["sheet", "pack:-packed", "--out", "sheet \x1b.png"]):  # fmt: skip
        said = call(*words)
        assert said.code == 0, said.err
        assert all(line.isprintable() for line in said.out.splitlines())
    assert Path("sheet \x1b.png").is_file()
    said = call("plan", "images-per-class", "--source", f"imagefolder:{source}", "--target", "pack:-packed", "--size", "16",
                "--seeds", "1", "--store", "a lab", "--device", "cpu", "--backbone", "small:4")  # fmt: skip
    assert said.code == 0, said.err
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    assert "72 images, 24 labels" in said.out


def test_the_label_sets_of_imagenet_are_told_by_wnid(call: Call) -> None:
    labels = json.loads(call("taxonomy", "imagenet-1k", "--merge-up", "1", "--format", "json").out)
    assert list(labels) == ["n_labels", "effective_labels", "labels"] and labels["n_labels"] == 127
    assert sum(map(len, labels["labels"].values())) == 1000
    under = call("taxonomy", "imagenet-1k", "--under", "pascal-voc", "--format", "json")
    assert len(json.loads(under.out)["leaves"]) == 229
    nothing = call("taxonomy", "imagenet-1k", "--under", "cow.n.02")
    assert nothing.code == 0 and not nothing.out and "no class lies under cow.n.02" in nothing.err


def test_an_interrupted_pack_says_so_and_goes_on(tmp_path: Path, call: Call) -> None:
    for n in (30, 240, 1920):  # where a stalled machine lets a world be drawn before it is interrupted, a larger one
        spec, out = f"toy?images_per_class={n}", str(tmp_path / f"broken-{n}")
        words = [sys.executable, "-m", "transferlab", "pack", spec, out, "--size", "16"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert f"0 of {64 * n:,} images" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        if process.returncode:
            break
    assert process.returncode == 130, errors
    assert "goes on from there" in errors
    assert "Traceback" not in errors
    assert not Path(out).exists()
    assert call("pack", spec, out, "--size", "16").code == 0
    assert call("pack", spec, str(tmp_path / "whole"), "--size", "16").code == 0
    assert open_pack(Path(out)).digest == open_pack(tmp_path / "whole").digest
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_boxes_are_packed_drawn_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("pack", "toy?task=detection&images_per_class=30", "boxes", "--size", "64")
    assert said.code == 0 and "30 images with" in said.out and "4 classes, 64 px" in said.out, said.err
    assert "objects" in said.out and call("sheet", "pack:boxes", "--out", "sheet.png").code == 0
    assert call("taxonomy", "pack:boxes", "--cut", "0").code == 0
    said = call("plan", "images-per-class", "--source", "pack:boxes", "--target", "digits", "--store", "lab")
    assert said.code == 2 and "the source has boxes, and networks are pre-trained on class labels" in said.err
    said = call(
        "plan",
        "images-per-class",
        "--source",
        "digits",
        "--target",
        "pack:boxes",
        "--protocol",
        "probe",
        "--store",
        "lab",
    )
    assert said.code == 2 and "probe needs a target with class labels, and every target has boxes" in said.err
    Path("voc/Annotations").mkdir(parents=True)
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    Path("voc/Annotations/1.xml").write_text(f"<annotation><object><name>cat</name>{box}</object></annotation>")
    Path("comp4_det_test_cat.txt").write_text("1 0.5 1 1 9 9\n")
    words = ("score-detections", "--ground-truth", "voc", "--detections", "comp4_det_test_cat.txt", "--metric")
    assert json.loads(call(*words, "voc07", "--format", "json").out) == {
        "mAP": pytest.approx(1),
        "AP": {"cat": pytest.approx(1)},
    }
    assert call(*words, "voc10", "--iou", "0.9").out == "mAP    1.0000\n  cat  1.0000\n"
    numbers = json.loads(call(*words, "coco", "--format", "json").out)
    assert len(numbers) == 12 and numbers["AP"] == pytest.approx(1) and numbers["APlarge"] is None


def test_a_sheet_says_which_images_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, folder: Folder
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "photos", ["cat", "dog"], 8)
    for i in range(7):
        (tmp_path / "photos" / "cat" / f"{i}.png").write_bytes(b"")
    said = call("sheet", "imagefolder:photos", "--out", "sheet.png")
    assert said.code == 0 and "not on the sheet: cat/0.png: empty file" in said.err
    assert "cat/4.png" in said.err and "cat/5.png" not in said.err and "not on the sheet: 2 more" in said.err
