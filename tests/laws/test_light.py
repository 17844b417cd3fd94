"""What only reads, plans or answers loads no torch: it works, at once, on a machine without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from transferlab.identity import ENGINE, TRANSFER
from transferlab.outcomes.arrays import npz_bytes
from transferlab.plan import cohorts
from transferlab.runners.prepare import Request, prepare
from transferlab.runners.shares import Rates, calibration, possible

STUDY = """
from transferlab import Study, compare, designs
study = Study(source={0!r}, targets=[{0!r}], conditions={{n: designs.images_per_class(n) for n in (2, 4)}},
              contrasts=[compare("4", "2")], seeds=3)
"""

# Each command in a copy of one process, where importing torch or what needs it is an error; it tells what it loaded.
COMMANDS = """
import json, os, sys
for name in ("torch", "torchvision", "timm", "safetensors"):
    sys.modules[name] = None
from transferlab.cli import main
for words in json.loads(sys.argv[1]):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    sys.argv = ["transferlab", *words]
    try:
        main()
    except SystemExit as end:
        loaded = sorted(name for name in json.loads(os.environ["HEAVY"]) if sys.modules.get(name))
        print("ended with", end.code or 0, *loaded, file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(0)
"""
HEAVY = ["torch", "torchvision", "timm", "safetensors", "PIL", "datasets", "filelock", "jinja2", "matplotlib", "pandas",
         "pyarrow", "rich", "scipy", "sklearn"]  # fmt: skip
STORE = ["PIL", "filelock"]  # Pillow, since what opens packs lies beside what decodes images
REPORT = ["PIL", "filelock", "jinja2", "matplotlib"]  # and scipy for intervals, which two seeds do not have


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with a study and a store where it is half done: every transfer of two seeds, no pre-training."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    split = np.array(["train", "val", "test"])[np.arange(60) // 3 % 3]
    np.savez(tmp_path / "made.npz", images=random.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8), labels=labels,
             split=split)  # fmt: skip
    (tmp_path / "my_study.py").write_text(STUDY.format(f"npz:{tmp_path}/made.npz"))
    prepared = prepare(
        Request(str(tmp_path / "my_study.py"), None, (), tmp_path / "lab", device="cpu"), lambda *_: None
    )
    plan, store, machine = prepared.plan, prepared.store, prepared.machine
    for t in plan.transfers:
        if t.seed < 2:
            right = random.random(20) < 0.5
            record = {"metrics": {"top1": float(right.mean())}, "seconds": 1.0, "made_by": {"torch": "2"}}
            store.write_cell(
                t.key, ("transfer", TRANSFER, ENGINE, t.cell), record, {"rows.npz": npz_bytes({"right": right})}
            )
    for cores in possible(len(cohorts(plan)), machine):
        store.write_pack_index(calibration(plan, machine, cores), asdict(Rates(1000.0, 3000.0, 1e9, 64, 1.0)))
    (tmp_path / "voc" / "Annotations").mkdir(parents=True)
    (tmp_path / "voc" / "Annotations" / "1.xml").write_text("<annotation/>")
    (tmp_path / "comp4_det_test_cat.txt").write_text("1 0.5 1 1 9 9")
    return tmp_path


def test_commands_that_train_nothing_load_no_torch_and_no_more_than_they_need(lab: Path) -> None:
    store = str(lab / "lab")
    commands: list[tuple[list[str], list[str]]] = [
        (["--help"], []), (["run", "--help"], []), (["taxonomy", "toy"], []),
        (["taxonomy", "toy", "--cut", "1", "--format", "json"], []), (["taxonomy", "imagenet-1k", "--under", "poodle"], []),
        (["plan", str(lab / "my_study.py"), "--store", store, "--device", "cpu"], STORE),
        (["status", "--store", store], STORE), (["table", "--store", store, "--format", "csv"], STORE),
        (["verify", "--store", store], STORE), (["report", store, "--out", str(lab / "report.html")], REPORT),
        (["report", store, "--out", str(lab / "report.md"), "--format", "md"], REPORT),
        (["pack", f"npz:{lab}/made.npz", str(lab / "pack"), "--size", "8"], STORE),
        *((["score-detections", "--ground-truth", str(lab / "voc"), "--detections", str(lab / "comp4_det_test_cat.txt"),
            "--metric", metric], []) for metric in ("voc07", "coco")),
    ]  # fmt: skip
    words = [sys.executable, "-c", COMMANDS, json.dumps([command for command, _ in commands])]
    environment = {**os.environ, "HEAVY": json.dumps(HEAVY)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("ended with ")] == [
        " ".join(["ended with 0", *loaded]) for _, loaded in commands
    ], done.stderr
    kept = [json.loads(file.read_text()) for file in (lab / "lab").glob("packs/index/calibration-*")]
    assert {rate["trained"] for rate in kept} == {1000.0}, "speed was measured again"
    assert (lab / "report.html").stat().st_size > 1000
