"""Label sets in a report: how many labels they are in effect, the largest one's name, and a drawing of their shares."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from transferlab import compare, designs
from transferlab.answers.study import StudyAnswers
from transferlab.outcomes.store import Store
from transferlab.report.figures import describe_shares, shares_figure, with_shares
from transferlab.report.gather import all_answers
from transferlab.report.page import render

MakeStore = Callable[..., Store]
CLASSES = ("hawk", "owl", "pike", "rose")
STUDY = {
    "conditions": {"2 labels": designs.labels_balanced(2), "4 classes": designs.all_images()},
    "contrasts": [compare("2 labels", "4 classes")], "controls": ["random-features", "a/a"],
    "notes": ["Left out: nothing at all."],
}  # fmt: skip


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store(classes=CLASSES, study=STUDY, right=lambda t, _: 50 + t.seed)


def words(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_labels_that_merge_classes_have_shares_and_single_classes_have_none(store: Store) -> None:
    (study,) = all_answers(store)
    merged, single = study.conditions[:2]
    assert [share for _, share in merged.shares] == [0.75, 0.25]
    assert merged.shares[0][0] == "all (the rest)" and merged.shares[1][0] in CLASSES
    assert merged.n_labels == 2 and merged.effective_labels == pytest.approx(1.75, abs=0.01)
    assert single.shares == () and all(c.shares == () for c in study.conditions if c.is_control)
    assert [c.name for c in with_shares(study)] == ["2 labels"]
    assert "Left out: nothing at all." in study.notes
    shutil.rmtree(store.path / "packs")
    (gone,) = all_answers(store)
    assert [share for _, share in gone.conditions[0].shares] == [0.75, 0.25]
    assert {"Left out: nothing at all.", "The source's pack no longer exists, so sample images are left out."} <= set(
        gone.notes
    )


def test_a_label_sets_shares_are_drawn_and_told_in_words(store: Store, hostile: str) -> None:
    (study,) = all_answers(store)
    told = words(shares_figure(study))
    assert "2 labels" in told and "1.8 effective" in told and "all (the rest)" in told
    assert shares_figure(study) == shares_figure(study)
    assert describe_shares(study).startswith("Shares of the labels. 2 labels: 2 labels, 1.8 effective, largest all")
    odd = replace(study.conditions[0], name=hostile, shares=((hostile, 0.6), *[("x", 0.4 / 400)] * 400))
    assert words(shares_figure(replace(study, conditions=(odd,))))


def test_the_page_and_markdown_tell_effective_labels_beside_the_condition(store: Store, tmp_path: Path) -> None:
    answers = all_answers(store)
    render(answers, tmp_path / "r.html", "html")
    page = (tmp_path / "r.html").read_text()
    assert "1.8 effective labels, the largest 75.0 %" in page and "Each label&#39;s share" in page.replace("'", "&#39;")
    render(answers, tmp_path / "r.md", "md")
    text = (tmp_path / "r.md").read_text()
    assert "2 labels (1.8 effective labels, the largest 75.0 %)" in text and "75.0 % · all (the rest)" in text
    assert len(list(tmp_path.glob("r_figures/*shares*.svg"))) == 1


def test_a_study_without_label_sets_has_no_drawing_of_shares(study: StudyAnswers, tmp_path: Path) -> None:
    render([study], tmp_path / "r.html", "html")
    assert "share of the images" not in (tmp_path / "r.html").read_text()
