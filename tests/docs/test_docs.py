"""The code in README and docs runs: commands on small photographs, studies, and every file of docs/extending.md."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transferlab import designs
from transferlab.cli import app
from transferlab.engine.backbones import BACKBONES, build
from transferlab.engine.batches import Place
from transferlab.images.pack import write_pack
from transferlab.images.toy import draw
from transferlab.runners.prepare import Request, prepare
from transferlab.specs import Pack, Protocol, Recipe
from transferlab.transfer.measure import PROTOCOLS, measure
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.targets import view

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALLER = ["--size", "16", "--backbone", "small:8", "--seeds", "1"]


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """What stands behind the language's name, and the code."""
    return [(mark.strip(), code) for found, mark, code in BLOCK.findall(page.read_text()) if found == language]


def commands(page: Path) -> list[list[str]]:
    lines = [line for _, code in blocks(page, "sh") for line in code.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("transferlab ")]


def extension(name: str) -> types.ModuleType:
    code = dict(blocks(ROOT / "docs" / "extending.md", "python"))[f"file={name}"]
    module = types.ModuleType(f"documented_{Path(name).stem}")
    exec(compile(code, name, "exec"), vars(module))
    return module


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


def test_the_tutorial_runs_on_small_photographs(tmp_path: Path) -> None:
    photographs(tmp_path / "photos", "classes", ["fish/long/plain-blue", "fish/round/spotted-gold", "bird/long/plain-blue",
                                                 "bird/slim/striped-red"], 20)  # fmt: skip
    photographs(tmp_path / "my-task", "unseen", ["fish/tall/spotted-violet", "bird/thin/striped-teal"], 20)
    for words in commands(ROOT / "docs" / "tutorial.md"):
        smaller = SMALLER if words[1] in ("plan", "run") else []
        line = [sys.executable, "-m", *words, *smaller]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "images-per-class" in (tmp_path / "results.csv").read_text()
    (tmp_path / "lab").symlink_to(tmp_path / "my-lab")
    ((_, code),) = blocks(ROOT / "docs" / "reading-a-report.md", "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SubsetFacts(" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_study_in_the_docs_plans(page: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for mark, code in blocks(page, "python"):
        if not mark.startswith("study="):
            continue
        file = tmp_path / mark.removeprefix("study=")
        file.write_text(code)
        prepared = prepare(Request(str(file), None, [], tmp_path / "lab", size=16, device="cpu"), lambda *_: None)
        assert prepared.plan.contrasts and prepared.plan.trainings
        for contrast in prepared.plan.contrasts:
            assert sum(contrast.weights.values()) == 0


def test_the_documented_design_keeps_the_laws_of_designs(
    make_pack: Callable[..., Pack], bring: Callable[..., None]
) -> None:
    module = extension("designs/long_tail.py")
    bring(designs.DESIGNS, module.long_tail)
    pack = make_pack((16,) * 5)
    tails = {ratio: designs.draw(module.long_tail(16, ratio), pack, 3) for ratio in (1, 4, 16)}
    assert sorted(np.bincount(tails[16].labels)) == [1, 2, 4, 8, 16]
    assert set(tails[16].rows) < set(tails[4].rows) < set(tails[1].rows)
    assert tails[4].digest == designs.draw(module.long_tail(16, 4), pack, 3).digest
    assert tails[4].digest != designs.draw(module.long_tail(16, 4), pack, 4).digest


def test_the_documented_protocol_keeps_the_laws_of_protocols(make_pack: Callable[..., Pack], monkeypatch) -> None:
    monkeypatch.setitem(PROTOCOLS, "means", extension("transfer/means.py").fit_predict)
    torch.set_num_threads(1)
    pack = make_pack((30,) * 6, n_test=40)
    network = Network(build("small:8", 16, 1), Recipe(image_px=16), pack.mean, pack.std)
    problem = Problem(network, view(pack), Protocol("means"), 0, Place("cpu", "fp32"))  # type: ignore[arg-type]
    assert measure(problem).metrics["top1"] > 0.35


def test_the_documented_source_is_read(tmp_path: Path) -> None:
    form = extension("images/sources/jsonl.py").FORMAT
    photographs(tmp_path, "classes", ["fish/long/plain-blue", "bird/slim/striped-red"], 6)
    lines = [f'{{"path": "{f.relative_to(tmp_path)}", "label": "{f.relative_to(tmp_path).parts[0]}"}}'
             for f in sorted(tmp_path.rglob("*.jpg"))]  # fmt: skip
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    pack = write_pack(
        form.open(f"{tmp_path}/list.jsonl", {}), tmp_path / "pack", 16, skip_bad=False, progress=lambda *_: None
    )
    assert len(pack.labels) == 12 and pack.taxonomy.leaves == ("bird", "fish")


def test_the_documented_backbone_is_built(bring: Callable[..., None]) -> None:
    bring(BACKBONES, extension("engine/mixer.py").mixer)
    first, again, other = (build("mixer:16", 32, seed) for seed in (1, 1, 2))
    images = torch.randn(2, 3, 32, 32)
    assert first.eval()(images).shape == (2, first.n_features) == (2, 16)
    assert torch.equal(first(images), again.eval()(images)) and not torch.equal(first(images), other.eval()(images))
