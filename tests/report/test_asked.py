"""Which studies are in a report: those with a score, by name, identity or the beginning of one; the others are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.identity import plain
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.planned import Plan
from transferlab.report.asked import asked
from transferlab.report.gather import all_answers, gathered, table_rows
from transferlab.report.page import render
from transferlab.runners.plans import plans
from transferlab.specs import Examples, Recipe

MakeStore = Callable[..., Store]
LONGER = Recipe(backbone="small:8", image_px=16, length=Examples(640))
FEW: dict[str, Any] = {"seeds": 1, "controls": []}


def empty(store: Store, plan: Plan) -> None:
    """Take away the cells of a plan, as if it had never been run."""
    for key in {*(t.key for t in plan.transfers), *(k for t in plan.trainings for k in (t.key, source_key(t.key)))}:
        shutil.rmtree(store.cell(key), ignore_errors=True)


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    """One study that was run, and another that was only planned."""
    make_store(study=FEW)
    held = make_store(study={**FEW, "name": "more-data", "recipe": LONGER})
    empty(held, plans(held, "more-data")[0])
    return held


def test_a_plan_without_a_score_is_left_out_and_named(store: Store) -> None:
    found, (waiting,) = gathered(store)
    assert [study.name for study in found] == ["images-per-class"]
    assert (waiting.name, waiting.identity, waiting.reason) == ("more-data", plans(store)[1].identity, "not run")


@pytest.mark.parametrize("form", ["html", "md", "json"])
def test_every_format_names_what_was_planned_and_not_run(form: Any, store: Store, tmp_path: Path) -> None:
    found, waiting = gathered(store)
    assert render(found, tmp_path / "report", form, not_run=waiting)
    text = (tmp_path / "report").read_text()
    if form == "json":
        assert json.loads(text)["not_run"] == [
            {"name": "more-data", "identity": waiting[0].identity, "reason": "not run"}
        ]
    else:
        told = f"Planned, and without a score, so not in this report: more-data (study {waiting[0].identity[:8]}, not run)."
        assert told in text and text.index(told) < text.index("# How many images?" if form == "md" else "<h2")
    assert render(found, tmp_path / "report", form)
    assert "more-data" not in (tmp_path / "report").read_text()


def test_a_study_that_was_only_planned_is_told_with_what_to_run(store: Store) -> None:
    with pytest.raises(
        UserError, match=r"this study has no score yet.*planned are more-data \(study .*, not run\); run one"
    ):
        all_answers(store, "more-data")
    assert table_rows(store, "more-data") == []
    assert len(table_rows(store)) == len(table_rows(store, "images-per-class")) > 0


def test_a_store_of_plans_alone_names_them(store: Store) -> None:
    empty(store, plans(store)[0])
    with pytest.raises(
        UserError, match="none of these studies has a score.*images-per-class.*more-data.*transferlab run"
    ):
        all_answers(store)
    assert table_rows(store) == []


def test_a_study_whose_cells_all_failed_is_told_as_such(store: Store) -> None:
    store.write_failure(plans(store)[1].transfers[0].key, {"reason": "the loss is not finite"})
    assert [each.reason for each in gathered(store)[1]] == ["1 cell failed"]


def test_six_letters_of_an_identity_stand_for_it(store: Store) -> None:
    first = plans(store)[0]
    for study in (first.identity, first.identity[:6], first.identity[:20]):
        assert [plan.identity for plan in asked(store, study)] == [first.identity]
        assert {row["study_id"] for row in table_rows(store, study)} == {first.identity}
    assert [study.identity for study in all_answers(store, first.identity[:6])] == [first.identity]


@pytest.mark.parametrize("study", [slice(0, 5), slice(1, 9), slice(0, 0)])
def test_fewer_letters_or_others_name_no_study(study: slice, store: Store) -> None:
    with pytest.raises(UserError, match="it has images-per-class, more-data"):
        asked(store, plans(store)[0].identity[study])


def test_a_beginning_that_several_identities_share_names_them(store: Store) -> None:
    for digit, plan in enumerate(plans(store)):
        identity = f"abcdef{str(digit) * 26}"
        store.write_study(identity, plain(replace(plan, identity=identity)))
    with pytest.raises(UserError, match="abcdef0+ .images-per-class., abcdef1+ .more-data."):
        asked(store, "abcdef")
    assert [plan.name for plan in asked(store, "abcdef1")] == ["more-data"]
