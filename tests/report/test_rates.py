"""The control ``recipe`` in a report: from a store with known results to sentences, tables and data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from transferlab import designs, knn, probe
from transferlab.answers.study import OWN, StudyAnswers
from transferlab.outcomes.store import Store
from transferlab.planned import Training, Transfer
from transferlab.report.figures import describe, scores_figure
from transferlab.report.gather import all_answers, answers, first_sentences, headline
from transferlab.report.page import render

MakeStore = Callable[..., Store]
SLOW = "at a tenth of the rate"
RIGHT = {"10": 50, "20": 70, f"10 {SLOW}": 58, f"20 {SLOW}": 54, "random-features": 30}
KNOBS = {"controls": ["random-features", "recipe"], "seeds": 4, "protocols": [probe(), knn()]}


def right(t: Transfer, _: str) -> int:
    return RIGHT[t.condition] + t.seed % 2


def held_out(better: str) -> Callable[[Training], float]:
    """Validation accuracies: the networks of one condition are better at a tenth of the rate, whatever the target says."""
    return lambda t: 0.6 if (SLOW in t.condition) == t.condition.startswith(better) else 0.4


def only(store: Store) -> StudyAnswers:
    (study,) = all_answers(store)
    return study


@pytest.fixture
def study(make_store: MakeStore) -> StudyAnswers:
    return only(make_store(right=right, held_out=held_out("10"), study=KNOBS))


def test_the_better_rate_follows_validation_and_no_target(study: StudyAnswers) -> None:
    (rates,) = study.rates
    # On the target 10 is better at a tenth of the rate, and 20 at the study's; validation says so of 10 and of 20.
    assert [(p.condition, p.chosen) for p in rates.preferences] == [("10", f"10 {SLOW}"), ("20", "20")]
    assert (rates.lr, rates.other_lr, rates.title) == (0.15, 0.015, SLOW)
    assert [round(pair.then.value, 6) for pair in (*rates.other, *rates.better)] == [-0.04, 0.12]
    assert study.estimates[0].value == pytest.approx(0.2)


def test_validation_that_disagrees_with_the_target_decides(make_store: MakeStore) -> None:
    (rates,) = only(make_store(right=right, held_out=held_out("20"), study=KNOBS)).rates
    assert [(p.condition, p.chosen) for p in rates.preferences] == [("10", "10"), ("20", f"20 {SLOW}")]
    assert rates.better[0].then.value == pytest.approx(0.04)


def test_the_opposite_verdict_at_the_better_rates_opens_the_report(make_store: MakeStore) -> None:
    study = only(make_store(right=right, held_out=lambda t: 0.6 if SLOW in t.condition else 0.4, study=KNOBS))
    assert [check.sentence for check in study.checks if check.alarm] == [
        "With each condition at its better learning rate, the verdict is the opposite: 20 against 10, leaves."
    ]
    assert "the verdict is the opposite" in headline(study)[0]


def test_the_answer_ends_with_what_the_rates_change(study: StudyAnswers) -> None:
    assert not any(check.alarm for check in study.checks)
    assert first_sentences(study)[-1].startswith(
        f"The only verdict changes if every condition is trained {SLOW}; no verdict changes if"
    )


def test_where_nothing_changes_the_controls_say_so_without_alarm(make_store: MakeStore) -> None:
    study = only(make_store(right=lambda t, _: 60 if t.condition.startswith("20") else 50, study=KNOBS))
    (check,) = study.checks
    assert (check.name, check.alarm) == ("recipe", False)
    assert check.sentence.startswith(
        f"No verdict changes if every condition is trained {SLOW}; every condition does better at the"
    )


@pytest.mark.parametrize("form", ["html", "md", "json"])
def test_every_format_holds_the_section(form: str, study: StudyAnswers, tmp_path: Path) -> None:
    assert render([study], tmp_path / "report", form)
    text = (tmp_path / "report").read_text()
    if form != "json":
        assert "Does the learning rate decide?" in text and "each at its better rate" in text
        assert "changes from better to worse if every condition is trained at a tenth of the rate" in text
        return
    told = json.loads(text)["studies"][0]["rates"]
    assert told["choices"][0]["chosen"] == f"10 {SLOW}" and told["choices"][1]["at_study_rate"]["value"] == 0.6
    assert [told[name][0]["verdict_changes"] for name in ("other", "better")] == [True, False]
    assert told["other"][0]["change"]["value"] == pytest.approx(-0.24)
    assert (told["study_rate"]["value"], told["other_rate"]["value"]) == (0.15, 0.015)


def test_repeated_conditions_are_no_levels_and_no_lines_of_figures(study: StudyAnswers) -> None:
    assert [c.name for c in study.conditions if not c.is_control] == ["10", "20"]
    target = study.targets[0]
    assert SLOW not in scores_figure(study, target, "probe") + describe(study, target, "probe")
    assert {s.condition for s in study.scores if s.protocol == "knn"} == {"10", "20", "random-features"}
    assert {s.condition for s in study.scores if s.target == OWN} == {"10", "20", f"10 {SLOW}", f"20 {SLOW}"}
    assert set(study.samples) == {"10", "20"}


def test_classes_without_validation_images_leave_the_rate_open(make_store: MakeStore) -> None:
    study = only(make_store(right=right, held_out=lambda t: None if t.condition == "10" else 0.5, study=KNOBS))
    (rates,) = study.rates
    assert [p.chosen for p in rates.preferences] == ["", "20"]
    assert not rates.better[0].then.n_seeds and rates.other[0].then.n_seeds == 4


def test_seeds_without_a_network_at_the_other_rate_are_counted(make_store: MakeStore, tmp_path: Path) -> None:
    study = only(
        make_store(right=lambda t, n: None if t.seed == 3 and SLOW in t.condition else right(t, n), study=KNOBS)
    )
    assert (study.rates[0].other[0].planned.n_seeds, study.rates[0].other[0].then.n_seeds) == (4, 3)
    render([study], tmp_path / "report.md", "md")
    assert "(3 of 4 seeds)" in (tmp_path / "report.md").read_text()


def test_nothing_is_said_before_anything_is_done_and_without_the_control(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(right=lambda *_: None, held_out=lambda _: None, study={**KNOBS, "controls": ["recipe"]})
    study = answers(store, *store.identities())
    assert study.rates[0].other[0].then.n_seeds == 0
    assert render([study], tmp_path / "report.md", "md")
    conditions = {"a": designs.images_per_class(4), "b": designs.all_images()}
    assert only(make_store("other", right=lambda *_: 50, study={"conditions": conditions, "controls": []})).rates == ()
