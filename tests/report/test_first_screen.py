"""The first screen of a study: its answer, one figure, what it compared at what cost, a few images; and ways to the rest."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlab import compare, designs, probe
from transferlab.answers.estimate import MEAN
from transferlab.answers.study import Check, StudyAnswers
from transferlab.outcomes.store import Store
from transferlab.planned import Transfer
from transferlab.report.document import Beside, Details, Document, Pictures, Text
from transferlab.report.gather import ALARM, all_answers, answer
from transferlab.report.opening import opening, others
from transferlab.report.page import document, render
from transferlab.report.pictures import N_THUMBS, THUMB_PX, thumbs_picture
from transferlab.report.sections import SECTIONS
from transferlab.report.sections.answer import N_SENTENCES
from transferlab.specs import Protocol

MakeStore = Callable[..., Store]
OWN_CLASSES = "the source's own classes"


def right(t: Transfer, target: str) -> int:
    return 50 + t.seed % 2 + {"10": 0, "20": 10}.get(t.condition, -10) + (20 if target == "two" else 0)


@pytest.fixture
def two(make_store: MakeStore) -> StudyAnswers:
    """A study of two targets."""
    (study,) = all_answers(make_store(targets=("one", "two"), right=right))
    return study


def report(*studies: StudyAnswers) -> Document:
    return document(studies, tuple(SECTIONS.values()))


def many_sentences(study: StudyAnswers) -> StudyAnswers:
    return replace(study, estimates=study.estimates * 6)


def test_the_first_sentences_are_open_and_the_others_open_on_demand(study: StudyAnswers, tmp_path: Path) -> None:
    long = many_sentences(study)
    said = answer(long)
    opened, more = report(long).chapters[0].sections[0].blocks[:2]
    assert isinstance(opened, Text) and opened.paragraphs == tuple(said[:N_SENTENCES])
    assert isinstance(more, Details) and more.lines == tuple(said[N_SENTENCES:])
    render([long], tmp_path / "r.html", "html")
    assert f"<details><summary>More comparisons ({len(more.lines)})</summary>" in (tmp_path / "r.html").read_text()
    render([study], tmp_path / "short.html", "html")
    assert "<details>" not in (tmp_path / "short.html").read_text()


def test_in_markdown_further_sentences_follow_the_first_figures(study: StudyAnswers, tmp_path: Path) -> None:
    render([many_sentences(study)], tmp_path / "r.md", "md")
    text = (tmp_path / "r.md").read_text()
    assert text.index("![leaves, top1") < text.index("## More comparisons") < text.index("## Scores")


def test_the_only_target_s_figure_stands_first_and_is_drawn_once(study: StudyAnswers, tmp_path: Path) -> None:
    assert (opening(study).target.name, others(study)) == ("leaves", [])
    render([study], tmp_path / "r.html", "html")
    page = (tmp_path / "r.html").read_text()
    assert page.count('alt="leaves, top1 in percent') == 1
    assert page.index('alt="leaves, top1') < page.index("<dt>Compared</dt>") < page.index(">Scores</h3>")


def test_of_several_targets_the_mean_stands_first(two: StudyAnswers) -> None:
    first = opening(two)
    assert first.target.name == MEAN and [each.target.name for each in others(two)] == ["one", "two"]
    held = {(s.condition, s.seed): s.value for s in first.study.scores}
    assert held["10", 0] == pytest.approx(0.6) and held["20", 1] == pytest.approx(0.71)
    assert held["scratch", 0] == pytest.approx(0.5)  # it has a protocol of its own
    assert "20 70.3" in first.picture().alt


def test_networks_without_a_score_on_each_target_are_in_no_mean(make_store: MakeStore) -> None:
    def rule(t: Transfer, target: str) -> int | None:
        return None if (t.condition, t.seed, target) == ("20", 1, "two") else right(t, target)

    (study,) = all_answers(make_store(targets=("one", "two"), right=rule, study={"controls": []}))
    assert {(s.condition, s.seed) for s in opening(study).study.scores if s.condition == "20"} == {("20", 0), ("20", 2)}


def test_a_target_that_leads_the_answer_has_the_first_figure(make_store: MakeStore) -> None:
    knobs = {"protocols": [probe(), Protocol("induction", knobs={"cut": 0})], "controls": []}
    (study,) = all_answers(make_store(targets=(OWN_CLASSES, "one"), right=right, study=knobs))
    assert opening(study).target.name == OWN_CLASSES
    assert [each.target.name for each in others(study)] == ["one"]


def test_the_first_screen_says_what_was_compared_and_what_it_cost(study: StudyAnswers, tmp_path: Path) -> None:
    render([study], tmp_path / "r.json", "json")
    told = json.loads((tmp_path / "r.json").read_text())["studies"][0]["answer"]
    assert {each["label"]: each["text"] for each in told["facts"]} == {
        "Compared": "10 and 20 images per class",
        "Controls": "from scratch, random features, shuffled labels and A/A",
        "Seeds": "5, each a fresh draw of images and a fresh training",
        "Source": "photos: 40 training images",
        "Target": "leaves: 2 classes, 40 training and 100 test images",
        "Measured by": "probe",
        "Cost": "20 networks pre-trained; 1 min 10 s of work in all",  # as in the provenance
    }
    assert dict(study.provenance)["Cells"] == "70 done, 70 seconds of work in all"
    assert (told["networks"]["value"], told["work"]["value"], told["figure"]) == (20, 70, "leaves")


def test_many_conditions_are_counted_and_none_is_forgotten(make_store: MakeStore) -> None:
    conditions = {n: designs.images_per_class(n) for n in range(2, 13)}
    knobs = {"conditions": conditions, "contrasts": [compare("12", "2")], "controls": [], "seeds": 1}
    (study,) = all_answers(make_store(right=lambda *_: 50, study=knobs))
    (beside,) = [b for b in report(study).chapters[0].sections[0].blocks if isinstance(b, Beside)]
    facts = dict(beside.blocks[1].pairs)  # type: ignore[union-attr]
    assert facts["Compared"] == "2, 3, 4, 5, 6, 7, 8, 9 and 3 more images per class"
    assert facts["Controls"] == "none"


def test_source_and_targets_are_shown_in_small_rows_of_at_most_twelve(two: StudyAnswers) -> None:
    assert {name: images.shape for name, images in two.pictures.items()} == dict.fromkeys(
        ("one", "two"), (12, 16, 16, 3)
    )
    (small,) = [b for b in report(two).chapters[0].sections[0].blocks if isinstance(b, Pictures) and b.small]
    assert [p.caption for p in small.pictures] == ["Source: photos", "Target: one", "Target: two"]
    large = np.random.default_rng(0).integers(0, 256, (40, 224, 224, 3)).astype(np.uint8)
    picture = thumbs_picture("a", large, "a", "a")
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.size == (N_THUMBS * (THUMB_PX + 1) - 1, THUMB_PX)
    assert len(picture.data) < 20_000  # noise, which nothing compresses


def test_without_packs_the_first_screen_has_no_images_and_is_whole(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    for pack in store.packs.glob("*/images.u8"):
        shutil.rmtree(pack.parent)
    (study,) = all_answers(store)
    assert study.pictures == {}
    assert render([study], tmp_path / "r.html", "html")
    assert "<dt>Cost</dt>" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("form", ["html", "md"])
def test_every_study_and_section_has_a_link_that_leads_to_one_place(
    form: str, study: StudyAnswers, tmp_path: Path
) -> None:
    render([study, replace(study, question="Another question?")], tmp_path / f"r.{form}", form)  # type: ignore[arg-type]
    text = (tmp_path / f"r.{form}").read_text()
    links = re.findall(r'href="#([^"]+)"' if form == "html" else r"\]\(#([^)]+)\)", text)
    anchors = re.findall(r' id="([^"]+)"', text)
    assert len(anchors) == len(set(anchors)) and set(links) == set(anchors)
    assert {"overview", "q1", "q2", "q1-scores", "q2-scores", "q2-provenance"} <= set(links)
    assert links[:3] == ["overview", "q1", "q2"]


def test_several_studies_stand_side_by_side_before_the_first(study: StudyAnswers, tmp_path: Path) -> None:
    other = replace(study, question="Another question?", source="paintings")
    render([study, other], tmp_path / "r.html", "html")
    page = (tmp_path / "r.html").read_text()
    assert page.index("The studies side by side</h2>") < page.index('<h2 id="q1">')
    assert '<th scope="row"><a href="#q2">Another question?</a>' in page
    render([study, other], tmp_path / "r.json", "json")
    told = json.loads((tmp_path / "r.json").read_text())["overview"]
    assert [(each["question"], each["source"], each["conditions"]["value"]) for each in told] == [
        ("How many images?", "photos", 2), ("Another question?", "paintings", 2),
    ]  # fmt: skip
    assert told[0]["sentence"] == answer(study)[0] and told[0]["differs"] == ""


def test_an_alarm_stands_below_the_answer_in_the_table_of_studies(study: StudyAnswers, tmp_path: Path) -> None:
    alarming = replace(study, question="Another question?", checks=(Check("a/a", True, "Two draws of 20 differ."),))
    render([study, alarming], tmp_path / "r.html", "html")
    table = (tmp_path / "r.html").read_text().split('id="overview"')[1].split("</table>")[0]
    assert table.count(ALARM) == 1 and table.index("Another question?") < table.index(ALARM)
    render([study, alarming], tmp_path / "r.json", "json")
    told = json.loads((tmp_path / "r.json").read_text())["overview"]
    assert [each["alarms"] for each in told] == [[], ["Two draws of 20 differ."]]


def test_one_study_has_no_table_of_studies(study: StudyAnswers) -> None:
    assert report(study).overview == ()
