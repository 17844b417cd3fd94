"""The page: self-contained and inert whatever names it shows, well nested, and complete about what it cannot tell."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from transferlab import knn, probe
from transferlab.answers.study import Check, Missing, StudyAnswers
from transferlab.errors import UserError
from transferlab.outcomes.store import Store
from transferlab.planned import Transfer
from transferlab.report.gather import all_answers
from transferlab.report.page import check_out, render
from transferlab.report.sections.missing import MOST_MISSING

MakeStore = Callable[..., Store]
VOID = {"meta", "br", "img", "link", "input", "hr", "source"}


class Reader(HTMLParser):
    """Elements with their attributes and the text of the page; fails where tags do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open
    return reader


def said(page: Path) -> str:
    """The page's text on one line."""
    return " ".join(" ".join(read(page).text).split())


def page_of(studies: list[StudyAnswers], tmp_path: Path) -> Path:
    render(studies, tmp_path / "report.html", "html")
    return tmp_path / "report.html"


def inert(page: Path) -> Iterator[str]:
    """What a page must not have: scripts, handlers, forms, or anything that is fetched."""
    for tag, attributes in read(page).elements:
        if tag in {"script", "iframe", "object", "embed", "form", "link", "base", "svg", "audio", "video"}:
            yield tag
        yield from (name for name in attributes if name.startswith("on"))
        yield from (str(v) for k, v in attributes.items() if k in ("src", "href", "srcset", "action", "background")
                    and not str(v).startswith(("data:image/", "#")))  # fmt: skip
    yield from re.findall(r"url\(|@import", page.read_text())


def test_the_page_fetches_and_runs_nothing(study: StudyAnswers, tmp_path: Path) -> None:
    page = page_of([study], tmp_path)
    assert list(inert(page)) == []
    policies = [a["content"] for t, a in read(page).elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert "http://" not in re.sub(r"data:[^\"]*", "", page.read_text())
    assert "https://" not in page.read_text()


def test_equal_answers_give_equal_bytes(study: StudyAnswers, tmp_path: Path) -> None:
    first = page_of([study], tmp_path).read_bytes()
    assert page_of([study], tmp_path).read_bytes() == first


def test_names_are_text_wherever_they_stand(
    study: StudyAnswers, hostile_study: StudyAnswers, hostile_names: list[str], tmp_path: Path
) -> None:
    tags = {tag for tag, _ in read(page_of([study], tmp_path)).elements} | {"details", "summary"}
    page = page_of([hostile_study], tmp_path)
    reader = read(page)
    assert list(inert(page)) == []
    assert {tag for tag, _ in reader.elements} <= tags
    assert sum(tag == "section" for tag, _ in reader.elements) == 1
    text = "".join(reader.text)
    alts = " ".join(str(a.get("alt")) for t, a in reader.elements if t == "img")
    for name in hostile_names:
        visible = "".join(c if c.isprintable() else "�" for c in name)
        assert text.count(visible) >= 10  # title, question, source, scores, contrasts, subsets, notes, reasons, command
        assert visible in alts
    assert all(c.isprintable() or c == "\n" for c in page.read_text())


def test_every_picture_says_its_numbers(study: StudyAnswers, tmp_path: Path) -> None:
    alts = [str(a["alt"]) for t, a in read(page_of([study], tmp_path)).elements if t == "img"]
    assert "10 50.8; 20 60.8" in alts[0]
    assert alts[1:3] == ["Images of the source photos", "Test images of leaves"]
    assert "20 images per class is better than 10 on leaves, by 10.0 points" in alts[3]
    assert alts[4:] == ["Sample images of the condition 10", "Sample images of the condition 20"]


def test_the_page_holds_the_answer_the_level_of_guessing_and_what_is_exploratory(
    study: StudyAnswers, tmp_path: Path
) -> None:
    told = said(page_of([study], tmp_path))
    assert told.index("20 images per class is better than 10 on leaves, by 10.0 points") < told.index(
        "probe: mean over seeds"
    )
    assert "60.8 (+30.0)" in told
    assert "60.0 61.0 62.0 60.0 61.0" in told
    assert "leaves 2 40 20 100 top1 50.0 %" in told
    assert "Exploratory, not declared before the run: 20 images per class is better than random features" in told
    assert "Do not trust" not in told
    assert "missing" not in told


def test_alarms_open_the_page_and_are_not_said_twice_above_it(study: StudyAnswers, tmp_path: Path) -> None:
    alarming = replace(study, checks=(Check("a/a", True, "Two draws of 20 differ: leaves +9.0 points."),))
    told = said(page_of([alarming], tmp_path))
    answer = told.index("20 images per class is better than 10")
    assert told.index("Do not trust the other results until this is explained. Two draws of 20 differ") < answer
    assert told.count("Two draws of 20 differ") == 2  # the alarm, and the list of controls


def test_missing_cells_are_counted_and_named(make_store: MakeStore, tmp_path: Path) -> None:
    def rule(t: Transfer, _: str) -> int | None:
        return None if (t.condition, t.seed) == ("20", 1) else 50

    told = said(page_of(all_answers(make_store(right=rule, study={"seeds": 5})), tmp_path))
    assert "1 cell is missing and listed below." in told
    assert "20 1 leaves not run yet" in told
    assert "4 (1 missing)" in told


def test_very_many_missing_cells_are_named_in_part_and_all_counted(study: StudyAnswers, tmp_path: Path) -> None:
    gone = [Missing("20", i, "leaves", "not run yet") for i in range(MOST_MISSING + 30)]
    told = said(page_of([replace(study, missing=(*gone, Missing("20", 999, "leaves", "killed")))], tmp_path))
    assert f"{MOST_MISSING + 31} cells are missing and listed below" in told
    assert "… and 31 more: 30 not run yet, 1 killed." in told


def test_under_three_seeds_no_interval_is_shown(make_store: MakeStore, tmp_path: Path) -> None:
    told = said(page_of(all_answers(make_store(study={"seeds": 2})), tmp_path))
    assert "an interval needs at least three seeds" in told
    assert "20 against 10 (primary) leaves +10.0 – cannot tell – images like these 2" in told


def test_every_protocol_has_its_scores(make_store: MakeStore, tmp_path: Path) -> None:
    def rule(t: Transfer, _: str) -> int:
        return {"knn": 70, "probe": 80}.get(t.cell.protocol.kind, 10)

    told = said(page_of(all_answers(make_store(right=rule, study={"protocols": [knn(), probe()]})), tmp_path))
    first, second = told.split("knn: mean over seeds")[1].split("probe: mean over seeds")
    assert "70.0" in first
    assert "from scratch 10.0" in first
    assert "80.0" in second.split("Contrasts")[0]
    assert "from scratch" not in second.split("Contrasts")[0]


def test_a_study_without_contrasts_controls_or_packs_has_a_page(study: StudyAnswers, tmp_path: Path) -> None:
    bare = replace(
        study, estimates=(), exploratory=(), checks=(), samples={}, scores=(), question="",
        conditions=tuple(c for c in study.conditions if not c.is_control),
        targets=(replace(study.targets[0], chance=None),),
    )  # fmt: skip
    told = said(page_of([bare], tmp_path))
    assert told.count("This study declares no contrasts.") == 2  # in the answer and in the table of contrasts
    assert "unknown" in told
    assert "nan %" not in told
    assert "Dashed lines" not in told


def test_several_studies_stand_on_one_page(study: StudyAnswers, tmp_path: Path) -> None:
    other = replace(study, question="Another question?")
    reader = read(page_of([study, other], tmp_path))
    ids = [a["id"] for _, a in reader.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {"q1", "q2", "q1-scores", "q2-scores"} < set(ids)
    assert "Another question?" in "".join(reader.text)


def test_samples_of_any_number_and_size_are_pictures(study: StudyAnswers, tmp_path: Path) -> None:
    for n, side in ((1, 8), (7, 8), (8, 33), (9, 64), (24, 16)):
        shown = replace(study, samples={"10": np.full((n, side, side, 3), 7, np.uint8)})
        assert "image/png" in page_of([shown], tmp_path).read_text()


def test_a_place_where_nothing_can_be_written_is_the_users_mistake(study: StudyAnswers, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        render([study], tmp_path / "nowhere" / "report.html", "html")
    with pytest.raises(UserError, match="this is a folder"):
        check_out(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="no such folder"):
        check_out(tmp_path / "file" / "report.html")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match="the file would be too large"):
            render([study], tmp_path / "report.html", "html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".html"] == []
