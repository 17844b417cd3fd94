"""Every section in every format, one that fails among them, and the keys of the JSON report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transferlab.answers.contrast import Results
from transferlab.answers.division import Way, divide
from transferlab.answers.leakage import Found, Leakage
from transferlab.answers.rates import Declared, at_rates, prefer
from transferlab.answers.scaling import forecast
from transferlab.answers.study import Missing, NotRun, Scenes, StudyAnswers
from transferlab.report.document import FRACTION, Number, Text
from transferlab.report.page import render
from transferlab.report.sections import OVERVIEW, SECTIONS
from transferlab.report.sections.definition import Content, SectionDefinition

FORMATS = ("html", "md", "json")
SOMETIMES = {"rates", "forecast", "division", "leakage", "scenes", "missing"}


def _by_condition(study: StudyAnswers) -> dict[str, dict[int, float]]:
    return {c.name: {s.seed: s.value for s in study.scores if (s.condition, s.target) == (c.name, "leaves")}
            for c in study.conditions}  # fmt: skip


def every_section(study: StudyAnswers) -> StudyAnswers:
    """The study with something to say in each section."""
    scores = np.array([[0.4, 0.5, 0.6, 0.65], [0.41, 0.52, 0.6, 0.66], [0.4, 0.51, 0.61, 0.65], [0.42, 0.5, 0.6, 0.66]])
    ways = [Way(2, 8), Way(4, 4), Way(8, 2)]
    none, one = Found(60, 0, (), (), (), ()), Found(100, 0, (3,), (4,), (0.9,), (True,))
    images = np.zeros((2, 48, 48, 3), np.uint8)
    preferences = [prefer("10", "scratch", {0: 0.5}, {0: 0.6}), prefer("20", "a/a", {0: 0.7}, {0: 0.6})]
    results = [Results("leaves", "top1", _by_condition(study), {})]
    declared = Declared([e.contrast for e in study.estimates], results, [], study.estimates)
    return replace(
        study, name="paper-class-count", rates=(at_rates(declared, preferences, (0.15, 0.015), "at a tenth of the rate"),),
        forecasts=(forecast("leaves", [2, 4, 8, 16], scores, 0.2), forecast("leaves", [2, 4], scores[:, :2], 0.2)),
        divisions=(divide("leaves", ways, scores[:, [0, 3, 1]]), divide("leaves", ways[:2], scores[:, :2])),
        leakage=(Leakage("leaves", 40, 0.84, one, none, none, images),), without=study.estimates,
        scenes=(Scenes("leaves", "found", "a network", images, ("a 0.90", "b 0.80")),),
        missing=(Missing("20", 1, "leaves", "not run yet"),),
        targets=(replace(study.targets[0], chance=None),),
    )  # fmt: skip


def written(
    study: StudyAnswers,
    out: Path,
    form: Any,
    *more: SectionDefinition[StudyAnswers],
    others: Sequence[StudyAnswers] = (),
) -> tuple[bool, str]:
    not_run = [NotRun("more-data", "0" * 32, "not run")] if others else []
    whole = render([study, *others], out / f"report.{form}", form, (*SECTIONS.values(), *more), not_run)
    return whole, (out / f"report.{form}").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMATS)
def test_every_section_is_in_every_format(form: str, study: StudyAnswers, tmp_path: Path) -> None:
    whole, text = written(every_section(study), tmp_path, form, others=[study])
    assert whole
    for definition in (*OVERVIEW, *SECTIONS.values()):
        assert definition.applies([every_section(study), study] if definition in OVERVIEW else every_section(study))
        wanted = (
            f'"{definition.name}": '
            if form == "json"
            else definition.title.replace("'", "&#39;" if form == "html" else "'")
        )
        assert wanted in text


def test_sections_without_anything_to_say_do_not_apply(study: StudyAnswers, tmp_path: Path) -> None:
    bare = replace(study, forecasts=())
    assert {name for name, definition in SECTIONS.items() if not definition.applies(bare)} == SOMETIMES
    _, text = written(bare, tmp_path, "html")
    assert not any(SECTIONS[name].title in text for name in SOMETIMES)


def failing(_: StudyAnswers) -> Content:
    raise RuntimeError("no <numbers> \x1b[31mhere")


@pytest.mark.parametrize("form", FORMATS)
def test_a_section_that_fails_is_replaced_by_its_reason(
    form: str, study: StudyAnswers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = SectionDefinition[StudyAnswers](name="broken", title="Broken", content=failing)
    last = SectionDefinition[StudyAnswers](
        name="last", title="Last", content=lambda _: Content([Text(("still here",))], ["still here"])
    )
    whole, text = written(study, tmp_path, form, broken, last)
    assert not whole
    assert "RuntimeError: no " in text and "still here" in text
    assert "\x1b" not in text and (form == "json" or "<numbers>" not in text)
    told = capsys.readouterr().err
    assert "Traceback" in told and "in failing" in told and "\x1b" not in told


def test_a_section_that_cannot_say_whether_it_applies_fails_alone(study: StudyAnswers, tmp_path: Path) -> None:
    broken = SectionDefinition[StudyAnswers](name="broken", content=failing, applies=lambda _: bool(1 / 0))
    whole, text = written(study, tmp_path, "json", broken)
    assert not whole
    assert json.loads(text)["studies"][0]["broken"] == {"failed": "ZeroDivisionError: division by zero"}


def numbers(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every bare number with the keys that lead to it; those inside a number with unit are left out."""
    if isinstance(value, dict):
        if {"value", "low", "high", "unit"} == set(value):
            assert isinstance(value["unit"], str) and value["unit"]
            return
        for key, each in value.items():
            yield from numbers(each, f"{path}.{key}")
    elif isinstance(value, list):
        for each in value:
            yield from numbers(each, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            if key not in ("weights",):  # its keys are names of conditions
                yield from keys(each)
    elif isinstance(value, list):
        for each in value:
            yield from keys(each)


def test_every_number_in_json_has_its_unit_and_every_key_its_description(study: StudyAnswers, tmp_path: Path) -> None:
    _, text = written(every_section(study), tmp_path, "json", others=[study])
    assert "NaN" not in text and "Infinity" not in text
    facts = json.loads(text)
    assert facts["schema"] == 1
    assert {path for path, _ in numbers(facts)} == {".schema", ".studies.scores.seed", ".studies.missing.seed"}
    described = (Path(__file__).parents[2] / "docs" / "report-json.md").read_text(encoding="utf-8")
    assert set(keys(facts)) <= set(re.findall(r"`(\w+)`", described))


def test_json_holds_estimates_with_intervals_and_unknown_numbers_as_null(study: StudyAnswers, tmp_path: Path) -> None:
    _, text = written(every_section(study), tmp_path, "json")
    (told,) = json.loads(text)["studies"]
    first, e = told["contrasts"]["declared"][0], study.estimates[0]
    assert first["difference"] == {"value": e.value, "low": e.low, "high": e.high, "unit": FRACTION}
    assert (first["verdict"], first["seeds"]["value"], first["p"]["value"]) == (str(e.verdict), 5, e.p_value)
    assert told["targets"]["sets"][0]["chance"]["value"] is None
    assert told["answer"]["sentences"] and told["question"] == study.question
    assert Number(float("inf"), "images").facts()["value"] is None


def test_json_is_plain_ascii_whatever_names_it_holds(
    hostile_study: StudyAnswers, hostile_names: list[str], tmp_path: Path
) -> None:
    whole, text = written(hostile_study, tmp_path, "json")
    assert whole and text.isascii() and all(c.isprintable() or c == "\n" for c in text)
    assert {s["condition"] for s in json.loads(text)["studies"][0]["scores"]} >= set(hostile_names)
