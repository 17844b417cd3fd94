"""The table of committed results, which is what `make bench` ends with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def table(benchmarks: Path) -> str:
    return subprocess.run([sys.executable, benchmarks / "table.py"], capture_output=True, text=True, check=True).stdout


def test_every_committed_result_has_its_rows() -> None:
    told = table(BENCHMARKS)
    for kind in ("small, engine", "accuracy of engine", "probe, 512", "packs, 224 px", "plan, a million", "plain script",
                 "detector, small", "mean probe of small:64", "recipes, mean probe of small", "a planted difference", "plain network, trained"):  # fmt: skip
        assert kind in told, kind


def test_the_newest_result_of_a_gpu_stands_last_whatever_else_lies_beside_it(tmp_path: Path) -> None:
    shutil.copytree(BENCHMARKS, tmp_path / "benchmarks", ignore=shutil.ignore_patterns("peers", "__pycache__"))
    results = tmp_path / "benchmarks/results"
    for result in results.glob("*.json"):
        if "ratios" in json.loads(result.read_text()):
            result.unlink()
    assert table(tmp_path / "benchmarks").endswith("GPU: no result is committed; benchmarks/gpu.py makes one\n")
    figure = {"median": 3.2, "least": 3.0, "most": 3.5, "n": 5}
    (results / "2020-01-01-nvidia-h100.json").write_text(json.dumps({"ratios": {"8 graphs / one": figure}}))
    assert table(tmp_path / "benchmarks").endswith("  8 graphs / one  3.20 (3.00 to 3.50), n = 5\n")
