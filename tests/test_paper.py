"""The whole paper by one command, on the toy world at tiny sizes."""

from __future__ import annotations

import html
import subprocess
from pathlib import Path

from transferlab.outcomes.store import Store
from transferlab.questions import QUESTIONS


def test_the_paper_runs_on_the_toy_world_and_tells_its_findings(tmp_path: Path, on_one_core: list[str]) -> None:
    lab = tmp_path / "lab"
    words = ["paper", "--source", "toy?images_per_class=8", "--target", "digits", "--size", "16", "--backbone", "small:4",
             "--seeds", "1", "--examples", "1000", "--device", "cpu", "--store", str(lab)]  # fmt: skip
    first, again = (
        subprocess.run([*on_one_core, *words], capture_output=True, text=True, check=False) for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    told = [line.split(". ")[0] for line in first.stdout.splitlines() if line.startswith("F")]
    assert told == [f"{name}: cannot tell" for name in (  # one seed has no interval
        "F1", "F1, at equal passes", "F2", "F3", "F4", "F5, more data", "F5, more data, at equal passes"
    )]  # fmt: skip
    assert "exclude-target cannot be asked of these images: 0 of the source's 64 classes" in first.stdout
    assert "The paper's findings" in html.unescape((lab / "paper.html").read_text())
    plans = [str(held["name"]) for held in Store.open(lab, create=False).studies().values()]
    assert sorted(plans) == sorted([f"paper-{name}" for name in QUESTIONS if name != "exclude-target"]
                                   + [f"paper-{name}-epochs" for name, q in QUESTIONS.items() if q.at_epochs])  # fmt: skip
    assert again.returncode == 0
    assert again.stderr.count("nothing left to do") == len(plans)
