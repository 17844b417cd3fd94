"""The report as Markdown: tables that hold whatever names they show, figures that are there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from PIL import Image

from transferlab.answers.study import Check, StudyAnswers
from transferlab.outcomes.store import Store
from transferlab.report.gather import all_answers
from transferlab.report.page import render

MakeStore = Callable[..., Store]


def written(studies: list[StudyAnswers], out: Path) -> str:
    render(studies, out, "md")
    return out.read_text(encoding="utf-8")


def tables(text: str) -> list[list[list[str]]]:
    """Every table as rows of cells, as a Markdown reader would divide them."""
    found: list[list[list[str]]] = [[]]
    for line in text.split("\n"):
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_answer_scores_and_contrasts_are_there(study: StudyAnswers, tmp_path: Path) -> None:
    text = written([study], tmp_path / "report.md")
    assert text.startswith('<a id="q1"></a>\n\n# How many images?\n')
    assert "**20 images per class is better than 10 on leaves, by 10.0 points" in text
    assert ["20", "60.8 · (+30.0) · 60.0 61.0 62.0 60.0 61.0", "75.0 · 75.0 75.0 75.0 75.0 75.0"] in tables(text)[0]
    assert tables(text)[1][2][:3] == ["20 against 10 (primary)", "leaves", "+10.0"]
    assert "Exploratory, not declared before the run:" in text
    assert "50.0 %" in text


def test_a_study_without_controls_says_so(study: StudyAnswers, tmp_path: Path) -> None:
    assert "no control that checks it" not in written([study], tmp_path / "report.md")
    bare = written([replace(study, checks=())], tmp_path / "bare.md")
    assert "## Controls\n\nThis study has no control that checks it, such as the A/A pair or shuffled labels.\n" in bare


def test_figures_are_written_and_named(study: StudyAnswers, tmp_path: Path) -> None:
    out = tmp_path / "a report (1).md"
    text = written([study, study, replace(study, name="n" * 300)], out)
    links = re.findall(r"!\[(.*?)\]\(([^()\s]+)\)", text)
    assert (
        len(links) == len({link for _, link in links}) == 18
    )  # each: a target, two rows of thumbnails, the contrasts, two samples
    for alt, link in links:
        assert alt
        file = out.parent / unquote(link)
        if file.suffix == ".svg":
            assert ElementTree.parse(file).getroot().tag.endswith("svg")
        else:
            with Image.open(file) as image:
                assert image.format == "PNG"
    assert len(list((tmp_path / "a report (1)_figures").iterdir())) == 18


def test_no_name_breaks_a_table_or_formats_anything(hostile_study: StudyAnswers, tmp_path: Path) -> None:
    text = written([hostile_study], tmp_path / "report.md")
    found = tables(text)
    assert len(found) == 5 + 2 * len(hostile_study.targets)  # accuracies and confusions
    for table in found:
        assert {len(row) for row in table} == {len(table[0])}
        assert all(re.fullmatch("-+", cell) for cell in table[1])
    assert "<" not in re.sub(r'^<a id="q1[a-z_-]*"></a>$', "", text, flags=re.M)
    assert not re.search(r"(?<!\\)[$`~]", text)
    headings = [line for line in text.split("\n") if re.match(r"#+ ", line)][1:]
    assert [line for line in headings if not line.startswith("### ")] == [
        "## More comparisons (10)", "## Scores", "## Contrasts", "## Classes", "## Controls", "## Subsets", "## Targets", "## How it was measured",
        "## What is missing", "## Provenance",
    ]  # fmt: skip
    assert len(headings) == 10 + len(hostile_study.targets)  # which name a part of the classes each
    assert all(c.isprintable() or c == "\n" for c in text)
    outward = re.findall(r"(?<!\\)\]\((?!#q1-[a-z_]+\))", text)  # pictures, and no link but those to sections
    assert len(outward) == 4 + 4 + 1 + len(hostile_study.samples)  # scores, thumbnails, contrasts


def test_alarms_come_first_and_missing_cells_are_named(make_store: MakeStore, tmp_path: Path) -> None:
    study = all_answers(make_store(right=lambda t, _: None if t.seed == 2 else 50))[0]
    alarming = replace(study, checks=(Check("a/a", True, "Two draws of 20 differ."),))
    text = written([alarming], tmp_path / "report.md")
    assert text.index("> **Do not trust") < text.index("20 images per class against")
    assert f"**{len(study.missing)} cells are missing and listed below.**" in text
    assert len(tables(text)[-1]) == 2 + len(study.missing) == 8
    assert tables(text)[-1][2] == ["10", "2", "leaves", "not run yet"]
