"""What a report says past the declared contrasts, from stores with known results."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transferlab import Metric, compare, designs, probe
from transferlab.answers.estimate import MEAN
from transferlab.answers.study import StudyAnswers
from transferlab.images.likeness import name_of_findings
from transferlab.outcomes.store import Store
from transferlab.planned import Transfer, restored
from transferlab.report.gather import all_answers
from transferlab.report.page import render
from transferlab.specs import Protocol
from transferlab.transfer.metrics import METRICS

MakeStore = Callable[..., Store]
Bring = Callable[..., None]
LEVELS = (2, 4, 8, 16)
CURVE = {"2": 40, "4": 52, "8": 60, "16": 65, "random-features": 20}


def only(store: Store) -> StudyAnswers:
    (study,) = all_answers(store)
    return study


def rising(t: Transfer, target: str) -> int:
    return CURVE[t.condition] + (t.seed + int(t.condition == "8")) % 2 + (5 if target == "two" else 0)


@pytest.fixture
def grown(make_store: MakeStore) -> Store:
    conditions = {n: designs.images_per_class(n) for n in LEVELS}
    knobs = {"conditions": conditions, "controls": ["random-features"], "seeds": 4}
    return make_store(targets=("one", "two"), right=rising, study=knobs)


def findings(n: int, rows: list[int]) -> dict[str, object]:
    k = len(rows)
    return {"n": n, "n_plain": 0, "rows": rows, "of": list(range(k)), "likeness": [0.9] * k, "exact": [False] * k}


def leak(store: Store, rows: list[int], target: int = 0) -> None:
    """Keep findings under which these test examples (by place) are copies."""
    plan = restored(next(iter(store.studies().values())))
    held = next(path for path in store.packs.glob("*/split.npy") if path.parent.name == plan.targets[target].digest)
    test = np.flatnonzero(np.load(held, allow_pickle=False) == 2)
    lists = {"test": findings(100, test[rows].tolist()), "train": findings(60, []), "within": findings(100, [])}
    name = name_of_findings(plan.source.digest, plan.targets[target].digest)
    store.write_pack_index(name, {"n_source": 40, "alike": 0.84, **lists})


def test_images_per_class_are_foretold_over_the_targets_and_on_each(grown: Store) -> None:
    study = only(grown)
    assert [f.target for f in study.forecasts] == [MEAN, "one", "two"]
    assert study.forecasts[0].sizes.tolist() == [2, 4, 8, 16]
    assert study.forecasts[1].means == pytest.approx([0.405, 0.525, 0.605, 0.655])
    assert study.forecasts[0].means - study.forecasts[1].means == pytest.approx([0.025] * 4)
    assert study.forecasts[0].next is not None and study.forecasts[0].next.size == 32
    assert not study.divisions and not study.leakage and not study.without


def test_two_sizes_foretell_nothing_and_other_designs_are_not_asked(make_store: MakeStore) -> None:
    study = only(make_store())
    assert [f.cannot for f in study.forecasts] == ["a forecast needs at least 4 sizes, not 2"]
    mixed = {"a": designs.images_per_class(4), "b": designs.all_images()}
    knobs = {"conditions": mixed, "contrasts": [compare("b", "a")], "controls": []}
    assert only(make_store("other", right=lambda *_: 50, study=knobs)).forecasts == ()


def test_a_study_of_which_nothing_is_done_foretells_nothing(make_store: MakeStore) -> None:
    conditions = {n: designs.images_per_class(n) for n in LEVELS}
    study = only(make_store(right=lambda *_: None, study={"conditions": conditions, "controls": []}))
    assert study.forecasts[0].cannot == "a forecast needs at least 3 seeds"


def test_ways_to_divide_a_budget_are_fitted_at_the_small_one_and_verified_at_the_large(make_store: MakeStore) -> None:
    ways = {"2 × 8": (2, 8), "4 × 4": (4, 4), "8 × 2": (8, 2), "4 × 8": (4, 8), "8 × 4": (8, 4)}
    right = {"2 × 8": 50, "4 × 4": 56, "8 × 2": 50, "4 × 8": 60, "8 × 4": 58}
    knobs = {
        "conditions": {name: designs.classes_by_images(*way) for name, way in ways.items()}, "controls": [], "seeds": 4,
        "contrasts": [compare("4 × 8", "8 × 4")],
    }  # fmt: skip

    def rule(t: Transfer, _: str) -> int:
        return right[t.condition] + t.seed % 2 + (t.seed // 2) * int(t.condition == "2 × 8")

    (found,) = only(make_store(classes=list("abcdefgh"), right=rule, study=knobs)).divisions
    assert (found.kind, found.budget) == ("best", 16)
    assert found.ratio == pytest.approx(1, rel=0.3)
    assert found.verified is not None and found.verified.budget == 32
    assert abs(found.verified.difference.value) == pytest.approx(0.02)


def test_contrasts_are_told_with_and_without_copies(grown: Store) -> None:
    leak(grown, [0, 1, 2, 3, 99])
    study = only(grown)
    assert [each.target for each in study.leakage] == ["one"]
    assert study.leakage[0].pairs is not None and study.leakage[0].pairs.shape == (10, 48, 48, 3)
    # Examples 0 to 3 are right everywhere and 99 nowhere: differences are then of 95 examples.
    pairs = [(a, b) for a, b in zip(study.estimates, study.without, strict=True) if a.target == "one"]
    assert all(b.value == pytest.approx(a.value * 100 / 95) for a, b in pairs)
    assert all(
        a.value == pytest.approx(b.value)
        for a, b in zip(study.estimates, study.without, strict=True)
        if a.target == "two"
    )


def test_copies_are_left_out_beside_a_target_that_is_the_source(make_store: MakeStore) -> None:
    knobs = {"protocols": [probe(), Protocol("refit")], "controls": []}
    store = make_store(targets=("the source's own classes", "one"), right=lambda t, _: 50 + t.seed, study=knobs)
    leak(store, [0, 1, 2, 3, 99], target=1)
    study = only(store)
    assert [e.target for e in study.without] == [e.target for e in study.estimates]
    assert {"one", "the source's own classes"} == {e.target for e in study.without}


def test_results_that_cannot_be_computed_without_copies_are_named(
    make_store: MakeStore, bring: Bring, tmp_path: Path
) -> None:
    bring(METRICS, Metric(name="whole", labels="one", of=lambda scores, labels: 0.5))
    store = make_store(targets=("one", "two"), study={"metric": "whole"})
    leak(store, [0, 1])
    study = only(store)
    assert study.without == () and study.with_copies == ("one",)
    render(all_answers(store), tmp_path / "report.md", "md")
    assert "cannot be computed again without the copies in one" in (tmp_path / "report.md").read_text()


def test_an_audit_that_found_nothing_leaves_the_results_alone(grown: Store) -> None:
    leak(grown, [])
    study = only(grown)
    assert len(study.leakage) == 1 and study.without == () and study.leakage[0].pairs is None


def test_copies_everywhere_leave_no_test(grown: Store) -> None:
    leak(grown, list(range(100)))
    assert only(grown).without == ()


@pytest.mark.parametrize("form", ["html", "md"])
def test_everything_is_in_the_report(form: str, grown: Store, tmp_path: Path) -> None:
    leak(grown, [0, 1])
    out = tmp_path / f"report.{form}"
    render(all_answers(grown), out, form)  # type: ignore[arg-type]
    text = re.sub(r"\\", "", out.read_text(encoding="utf-8"))
    for words in (
        "How many more images?", "Doubling to 32 images per class would bring", "saturating power law", "Is the gain leakage?",
        "one: 2 of 100 test images (2.0 %; 0 exact) and 0 of 60 training and validation images are copies", "Not checked for copies: two",
        "verdict without",
    ):  # fmt: skip
        assert words in text
    if form == "md":
        assert len(list((tmp_path / "report_figures").glob("*pairs*.png"))) == 1
        assert len(list((tmp_path / "report_figures").glob("*doubling*.svg"))) == len(
            [f for f in only(grown).forecasts if not f.cannot]
        )


def test_hostile_names_do_no_harm_in_the_new_parts(grown: Store, hostile_names: list[str], tmp_path: Path) -> None:
    leak(grown, [0, 1])
    study, every = only(grown), "".join(hostile_names)
    told = replace(
        study, unit=every, forecasts=tuple(replace(f, target=every) for f in study.forecasts),
        leakage=tuple(replace(each, target=every) for each in study.leakage),
    )  # fmt: skip
    render([told], tmp_path / "report.html", "html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and "onload=alert(1) x=" not in re.sub(r"&#34;onload=alert\(1\) x=&#34;", "", page)
    render([told], tmp_path / "report.md", "md")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<" not in re.sub(r'^<a id="q1[a-z_-]*"></a>$', "", text, flags=re.M)
