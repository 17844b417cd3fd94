"""The code in README and docs runs: commands on small photographs, studies, and what docs/extending.md defines."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from transferlab import designs
from transferlab.cli import app
from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.extensions import run_file
from transferlab.images.toy import draw
from transferlab.runners.prepare import Request, prepare
from transferlab.specs import Pack, Recipe
from transferlab.transfer.measure import Workspace, measure
from transferlab.transfer.problem import Network
from transferlab.transfer.targets import view

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALLER = ["--size", "16", "--backbone", "small:8", "--seeds", "1"]
SHORTER = ["--examples", "1000"]  # where no budget sets the length


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """What stands behind the language's name, and the code."""
    return [(mark.strip(), code) for found, mark, code in BLOCK.findall(page.read_text()) if found == language]


def commands(page: Path) -> list[list[str]]:
    lines = [line for _, code in blocks(page, "sh") for line in code.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("transferlab ")]


def photographs(folder: Path, task: str, groups: list[str], n: int) -> None:
    """JPEGs of mixed sizes in folders, as people have them."""
    for group in groups:
        target = folder / group
        target.mkdir(parents=True)
        for i, pixels in enumerate(draw(task, group, np.arange(n), 32, 0)[0]):
            size = (40 + 7 * (i % 5), 48 + 5 * (i % 3))
            Image.fromarray(pixels).resize(size).save(target / f"{i}.jpg")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_is_one_that_the_program_takes(page: Path) -> None:
    for words in commands(page):
        name, *rest = words[1:]
        command = app.commands[name]
        with command.make_context(name, rest):
            pass


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_tutorial_runs_on_small_photographs(tmp_path: Path, on_one_core: list[str]) -> None:
    photographs(tmp_path / "photos", "classes", ["fish/long/plain-blue", "fish/round/spotted-gold", "bird/long/plain-blue",
                                                 "bird/slim/striped-red"], 20)  # fmt: skip
    photographs(tmp_path / "my-task", "unseen", ["fish/tall/spotted-violet", "bird/thin/striped-teal"], 20)
    for words in commands(ROOT / "docs" / "tutorial.md"):
        smaller = [*SMALLER, *SHORTER * ("--budget" not in words)] if words[1] in ("plan", "run") else []
        line = [*on_one_core, *words[1:], *smaller]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "images-per-class" in (tmp_path / "results.csv").read_text()
    (tmp_path / "lab").symlink_to(tmp_path / "my-lab")
    ((_, code),) = blocks(ROOT / "docs" / "reading-a-report.md", "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SubsetFacts(" in done.stdout


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that all pages share, so that the images which several use are made once."""
    return tmp_path_factory.mktemp("docs") / "lab"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_study_in_the_docs_plans(
    page: Path, tmp_path: Path, lab: Path, monkeypatch: pytest.MonkeyPatch, clean_tables: None,
    pictures: Callable[[Path], None],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "pictures")
    for mark, code in blocks(page, "python"):
        if not mark.startswith("study="):
            continue
        file = tmp_path / mark.removeprefix("study=")
        file.write_text(code)
        prepared = prepare(Request(str(file), None, [], lab, size=16, device="cpu"), lambda *_: None)
        assert prepared.plan.contrasts and prepared.plan.trainings
        for contrast in prepared.plan.contrasts:
            assert sum(contrast.weights.values()) == 0


@pytest.fixture
def defined(tmp_path: Path, clean_tables: None) -> Callable[[str], Any]:
    """Run a study file of docs/extending.md; what it defines, by name."""

    def run(file: str) -> dict[str, Any]:
        (tmp_path / file).write_text(dict(blocks(ROOT / "docs" / "extending.md", "python"))[f"study={file}"])
        return run_file(tmp_path / file)

    return run


def test_the_documented_design_keeps_the_laws_of_designs(
    make_pack: Callable[..., Pack], defined: Callable[[str], Any]
) -> None:
    long_tail = defined("long_tail.py")["long_tail"]
    pack = make_pack((16,) * 5)
    tails = {ratio: designs.draw(long_tail(16, ratio), pack, 3) for ratio in (1, 4, 16)}
    assert sorted(np.bincount(tails[16].labels)) == [1, 2, 4, 8, 16]
    assert set(tails[16].rows) < set(tails[4].rows) < set(tails[1].rows)
    assert tails[4].digest == designs.draw(long_tail(16, 4), pack, 3).digest
    assert tails[4].digest != designs.draw(long_tail(16, 4), pack, 4).digest


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_the_documented_protocol_tells_classes_apart(
    distance: str, make_pack: Callable[..., Pack], defined: Callable[[str], Any]
) -> None:
    torch.set_num_threads(1)
    protocol = defined("class_means.py")["class_means"](distance=distance)
    pack = make_pack((30,) * 6, n_test=40)
    network = Network(build("small:8", 16, 1), Recipe(image_px=16), pack.mean, pack.std)
    measured = measure(network, view(pack), protocol, 0, Workspace(Place("cpu", "fp32")))
    assert measured.metrics["top1"] > 0.35


def test_the_documented_metric_has_the_chance_of_a_constant_guess(defined: Callable[[str], Any]) -> None:
    metric = defined("reciprocal_rank.py")["mean_reciprocal_rank"]
    labels = np.array([0, 1, 1, 1, 2, 2], np.int32)
    constant = np.tile(np.array([1, 3, 2], np.float32), (6, 1))  # by number of images
    assert metric.of(constant, labels) == pytest.approx(metric.chance(labels)) == pytest.approx((3 + 2 / 2 + 1 / 3) / 6)
    assert metric.of(np.eye(3, dtype=np.float32)[labels], labels) == 1


def test_the_documented_backbone_is_built(defined: Callable[[str], Any]) -> None:
    defined("mixer.py")
    first, again, other = (build("mixer:16", 32, seed) for seed in (1, 1, 2))
    images = torch.randn(2, 3, 32, 32)
    assert first.eval()(images).shape == (2, first.n_features) == (2, 16)
    assert torch.equal(first(images), again.eval()(images)) and not torch.equal(first(images), other.eval()(images))
