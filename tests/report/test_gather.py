"""From a store to what a report says: known results come out as they went in, whatever is missing is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transferlab import compare, designs, finetune, knn, probe
from transferlab.answers.estimate import MEAN
from transferlab.answers.study import OWN, Check, StudyAnswers
from transferlab.errors import UserError
from transferlab.identity import plain
from transferlab.images.likeness import name_of_findings
from transferlab.origins import ORIGINS, Origin
from transferlab.origins.definition import Comparison
from transferlab.outcomes.arrays import npz_bytes
from transferlab.outcomes.store import Store
from transferlab.plan import networks_of_cells, source_key
from transferlab.planned import Transfer, restored
from transferlab.report.gather import all_answers, comparisons, headline, table_rows
from transferlab.report.page import render
from transferlab.runners.plans import plans
from transferlab.specs import Protocol, Recipe

MakeStore = Callable[..., Store]
OWN_CLASSES = "the source's own classes"


def only(store: Store) -> StudyAnswers:
    (study,) = all_answers(store)
    return study


def test_known_scores_and_differences_come_out(study: StudyAnswers) -> None:
    held = {(s.condition, s.seed): s.value for s in study.scores if s.target == "leaves"}
    assert held["10", 0] == pytest.approx(0.5)
    assert held["20", 4] == pytest.approx(0.61)
    assert held["random-features", 2] == pytest.approx(0.32)
    (step,) = study.estimates
    assert (step.contrast.name, step.target, step.n_seeds, step.n_missing) == ("20 against 10", "leaves", 5, 0)
    assert step.value == pytest.approx(0.1)
    assert (step.scope, step.verdict.name) == ("images like these", "better")
    assert headline(study)[:2] == [
        "Pre-training helps: 20 images per class against random features on leaves by probe, +30.0 points (+19.8 to +40.2) "
        "(the best of 2 conditions, which the interval allows for).",
        "Take 20 images per class: it is 10.0 points (4.4 to 15.6) better than 10 on leaves.",
    ]
    assert comparisons(study)[0].startswith("20 images per class is better than 10 on leaves, by 10.0 points")
    assert [s.value for s in study.scores if s.target == OWN] == pytest.approx([0.75] * 20)


def test_the_answer_is_over_the_mean_of_the_targets_and_each_alone(make_store: MakeStore) -> None:
    def rule(t: Transfer, target: str) -> int:
        return {"10": 50, "20": 60 if target == "one" else 56}[t.condition] + t.seed % 2

    study = only(make_store(targets=("one", "two"), right=rule, study={"controls": []}))
    assert {e.target: round(e.value, 6) for e in study.estimates} == {MEAN: 0.08, "one": 0.1, "two": 0.06}
    told = comparisons(study)
    assert [line.split(", by")[0] for line in told] == [
        "20 images per class is better than 10 on average over these targets",
        "20 images per class is better than 10 on one",
        "20 images per class is better than 10 on two",
    ]


def test_a_chain_over_several_targets_is_told_in_short_and_on_each_where_something_is_sure(
    make_store: MakeStore,
) -> None:
    def rule(t: Transfer, target: str) -> int:
        return 50 + t.seed % 2 + (int(t.condition) if target == "one" else 0)

    conditions = {n: designs.images_per_class(n) for n in (5, 10, 20)}
    study = only(make_store(targets=("one", "two"), right=rule, study={"controls": [], "conditions": conditions}))
    told = comparisons(study)
    assert told[0].startswith("In short, on average over these targets: more images per class help up to")
    assert told[1].startswith("On one: more images per class help up to 20")
    assert told[2].startswith("On two: no step from 5 on helps significantly; beyond 5, no step changes")
    assert len(told) == 5


def test_what_the_source_s_own_classes_say_comes_first_and_is_in_no_mean(make_store: MakeStore) -> None:
    def rule(t: Transfer, target: str) -> int:
        base = 70 if target == OWN_CLASSES else 50
        return base + t.seed % 2 + {"10": 0, "20": 6, "random-features": -20}[t.condition]

    protocols = [probe(), Protocol("induction", knobs={"cut": 0})]
    knobs = {"protocols": protocols, "controls": ["random-features"]}
    study = only(make_store(targets=(OWN_CLASSES, "one"), right=rule, study=knobs))
    assert [(e.target, round(e.value, 6)) for e in study.estimates] == [("one", 0.06), (OWN_CLASSES, 0.06)]
    assert {e.target: round(e.value, 6) for e in study.exploratory} == {"one": 0.26, OWN_CLASSES: 0.26}
    assert [line.split(", by")[0] for line in comparisons(study)] == [
        f"20 images per class is better than 10 on {OWN_CLASSES}",
        "20 images per class is better than 10 on one",
    ]


def test_what_nobody_declared_is_kept_apart(study: StudyAnswers, make_store: MakeStore) -> None:
    assert [e.contrast.name for e in study.exploratory] == ["20 against random-features"]
    assert study.exploratory[0].value == pytest.approx(0.3)
    assert not only(make_store("other", study={"controls": ["a/a"]})).exploratory


def test_missing_and_failed_cells_are_named_with_their_reason_and_leave_their_seed_out(make_store: MakeStore) -> None:
    gone: list[str] = []

    def rule(t: Transfer, _: str) -> int | None:
        if (t.condition, t.seed) == ("20", 1):
            gone.append(t.key)
            return None
        return 50

    store = make_store(right=rule, study={"seeds": 5})
    store.write_failure(gone[0], {"reason": "the loss is not finite"})
    plan = restored(next(iter(store.studies().values())))
    lost = next(t for t in plan.trainings if (t.condition, t.seed) == ("10", 3))
    for key in (lost.key, *(t.key for t in plan.transfers if t.cell.network == lost.key)):
        shutil.rmtree(store.cell(key))
    study = only(store)
    assert [(m.condition, m.seed, m.target, m.reason) for m in study.missing] == [
        ("20", 1, "leaves", "the loss is not finite"),
        ("10", 3, "pre-training", "not run yet"),
        ("10", 3, "leaves", "its pre-training is missing"),
    ]
    assert (study.estimates[0].n_seeds, study.estimates[0].n_missing) == (3, 2)


def test_a_damaged_cell_is_named_with_what_to_do(make_store: MakeStore) -> None:
    store = make_store(right=lambda t, _: 50, study={"controls": []})
    plan = restored(next(iter(store.studies().values())))
    for record in store.cell(plan.transfers[0].key).glob("record-*.json"):
        record.write_bytes(record.read_bytes()[:-9])
    (missing,) = only(store).missing
    assert "damaged: run transferlab verify" in missing.reason


def test_contrasts_with_a_control_are_no_chain_of_levels(make_store: MakeStore) -> None:
    knobs = {"controls": ["random-features"], "contrasts": [compare("10", "random-features"), compare("20", "10")]}
    study = only(make_store(right=lambda t, _: 50 + t.seed % 2, study=knobs))
    assert not any(line.startswith("In short") for line in headline(study))


def test_a_control_s_check_that_fails_costs_nothing_else(make_store: MakeStore, bring: Callable[..., None]) -> None:
    def check(_: Comparison) -> Check:
        raise KeyError("no such thing")

    bring(ORIGINS, Origin(name="fickle", check=check))
    study = only(make_store(right=lambda t, _: 50 + t.seed % 2, study={"controls": ["fickle"]}))
    assert [c.sentence for c in study.checks] == ["Its check could not be made (KeyError: 'no such thing')."]
    assert study.estimates[0].n_seeds == 3


def test_an_analysis_that_fails_is_a_framed_line_in_a_whole_report(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(right=lambda t, _: 50 + t.seed % 2, study={"controls": []})
    plan = restored(next(iter(store.studies().values())))
    store.write_pack_index(name_of_findings(plan.source.digest, plan.targets[0].digest), {"threshold": "nonsense"})
    study = only(store)
    assert list(study.failed) == ["leakage"] and study.estimates[0].n_seeds == 3
    assert not render([study], tmp_path / "report.md", "md")
    told = (tmp_path / "report.md").read_text()
    assert "The section “Is the gain leakage?” could not be made" in told and "20 images per class" in told


def test_the_accuracy_on_the_source_is_a_cell_that_can_be_missing(make_store: MakeStore) -> None:
    store = make_store()
    plan = restored(next(iter(store.studies().values())))
    shutil.rmtree(store.cell(source_key(plan.trainings[0].key)))
    (missing,) = only(store).missing
    assert (missing.condition, missing.target, missing.reason) == ("10", OWN, "not run yet")


def test_a_study_of_which_nothing_is_done_is_answered_with_that(make_store: MakeStore) -> None:
    store = make_store(right=lambda *_: None)
    study = only(store)
    assert study.estimates[0].n_seeds == 0
    assert headline(study) == ["20 images per class against 10 on leaves: no seed has results for all of these yet."]
    assert [c.sentence for c in study.checks] == [
        "The A/A pair has no results yet.",
        "Shuffled labels have no results yet.",
    ]
    assert len(study.missing) == 3 * 6


@pytest.mark.parametrize(
    ("condition", "n_right", "told"),
    [("a/a", 45, "Two draws of 20 differ"), ("shuffled-labels", 75, "Shuffled labels do better than 20")],
)
def test_a_control_that_should_be_silent_and_is_not_opens_the_answer(
    condition: str, n_right: int, told: str, make_store: MakeStore
) -> None:
    def rule(t: Transfer, _: str) -> int:
        return (n_right if t.condition == condition else 60) + t.seed % 2

    study = only(make_store(right=rule, study={"controls": [condition]}))
    assert [c.alarm for c in study.checks] == [True]
    assert headline(study)[0].startswith(f"Do not trust the other results until this is explained. {told}")


def test_silent_controls_alarm_nobody(study: StudyAnswers) -> None:
    assert not any(check.alarm for check in study.checks)
    assert study.checks[0].sentence == "Two draws of 20 show no significant difference: leaves 0.0 points (0.0 to 0.0)."
    assert study.checks[1].sentence.startswith("Shuffled labels against random features: leaves −10.0 points")


def test_under_three_seeds_there_is_no_interval_and_no_verdict(make_store: MakeStore) -> None:
    study = only(make_store(study={"seeds": 2}))
    (step,) = study.estimates
    assert (step.low, step.high, step.verdict.name) == (None, None, "cannot tell")
    assert "an interval needs at least three seeds" in comparisons(study)[0]
    assert (
        study.checks[0].sentence
        == "Two draws of 20 compared: leaves 0.0 points (an interval needs at least three seeds)."
    )


def test_scratch_is_compared_at_the_shots_of_the_first_protocol(make_store: MakeStore) -> None:
    def rule(t: Transfer, _: str) -> int:
        return 90 if t.cell.protocol.shots is None else 40

    few_first = only(make_store(right=rule, study={"protocols": [probe(shots=4), probe()]}))
    assert {s.value for s in few_first.scores if s.condition == "scratch"} == {0.4}
    assert few_first.scores[12].protocol == "probe at 4 shots"  # after the 12 accuracies on the source
    all_first = only(make_store("other", right=rule, study={"protocols": [probe(), probe(shots=4)]}))
    assert {s.value for s in all_first.scores if s.condition == "scratch"} == {0.9}


def test_fine_tuning_alone_needs_no_random_features(make_store: MakeStore) -> None:
    study = only(make_store(study={"protocols": [finetune()]}))
    assert study.estimates[0].value == pytest.approx(0.1)
    assert study.checks[1].sentence.startswith("Shuffled labels against 20: leaves −40.0 points")


def test_targets_of_one_name_are_kept_apart(make_store: MakeStore) -> None:
    def rule(t: Transfer, _: str) -> int:
        return 50 if t.condition == "10" else 60

    store = make_store(targets=("leaves", "leaves", "source"), right=rule)
    study = only(store)
    names = [t.name for t in study.targets]
    assert len(set(names)) == 3
    assert names[0].startswith("leaves (npz:")
    assert names[2].startswith("source (npz:")
    assert {s.target for s in study.scores} == {OWN, *names}
    assert {row["target"] for row in table_rows(store)} == {OWN, *names}


def test_answers_need_no_packs(make_store: MakeStore) -> None:
    store = make_store()
    whole = only(store)
    for pack in store.packs.glob("*/images.u8"):
        shutil.rmtree(pack.parent)
    study = only(store)
    assert [e.value for e in study.estimates] == [e.value for e in whole.estimates]
    assert (study.estimates, study.targets, study.scores) == (whole.estimates, whole.targets, whole.scores)
    assert "The source's pack no longer exists, so sample images are left out." in study.notes
    assert whole.samples and not study.samples


def test_answers_need_no_subsets_where_packs_are_kept(make_store: MakeStore) -> None:
    store = make_store()
    whole = only(store)
    shutil.rmtree(store.path / "subsets")
    study = only(store)
    assert (study.estimates, study.targets, study.scores) == (whole.estimates, whole.targets, whole.scores)
    assert whole.samples and not study.samples
    assert any(note.startswith("Sample images are left out, because a subset is missing") for note in study.notes)


def test_several_labels_an_image_are_answered_over_these_test_images(make_store: MakeStore) -> None:
    store = make_store()
    plan = restored(next(iter(store.studies().values())))
    rows = npz_bytes({"scores": np.zeros((9, 2), np.float16), "labels": np.ones((9, 2), np.int8)})
    for t in plan.transfers:
        shutil.rmtree(store.cell(t.key))
        record = {"seconds": 1.0, "made_by": {}, "metrics": {"mean average precision": 0.5}}
        store.write_cell(t.key, [], record, {"rows.npz": rows})
    target = replace(plan.targets[0], metric="mean average precision", many_labels=True, labels="", n_test=9)
    store.write_study(plan.identity, plain(replace(plan, targets=[target])))
    study = only(store)
    assert study.targets[0].metric == "mean average precision"
    assert study.estimates[0].scope == "these test images"


def test_more_seeds_are_the_same_study_and_another_recipe_is_another(make_store: MakeStore) -> None:
    make_store(study={"seeds": 3})
    assert only(make_store(study={"seeds": 4})).n_seeds == 4
    store = make_store(study={"seeds": 3, "recipe": Recipe(lr=0.2)})
    assert [study.n_seeds for study in all_answers(store)] == [4, 3]


def test_one_study_of_a_store_can_be_asked_for_by_name(make_store: MakeStore) -> None:
    make_store(study={"seeds": 1, "controls": []})
    store = make_store(study={"seeds": 1, "controls": [], "name": "other"})
    assert [study.name for study in all_answers(store)] == ["images-per-class", "other"]
    assert [study.name for study in all_answers(store, "other")] == ["other"]
    assert {row["study"] for row in table_rows(store, "other")} == {"other"}
    with pytest.raises(UserError, match="it has .*other"):
        all_answers(store, "another")


def test_every_row_of_the_table_can_be_told_from_all_others(make_store: MakeStore) -> None:
    make_store(targets=("leaves", "leaves"), study={"seeds": 2})
    store = make_store(targets=("leaves", "leaves"), study={"seeds": 2, "recipe": Recipe(lr=0.2)})
    rows = table_rows(store)
    plans = [restored(study) for study in store.studies().values()]
    assert {row["study_id"] for row in rows} == {plan.identity for plan in plans} and len(plans) == 2
    assert {row["target_digest"] for row in rows if row["target"] != OWN} == {t.digest for t in plans[0].targets}
    assert {row["target_digest"] for row in rows if row["target"] == OWN} == {plans[0].source.digest}
    facts = [tuple(row[c] for c in row if c not in ("value", "key", "study", "source", "target")) for row in rows]
    assert len(set(facts)) == len(facts)


def test_studies_that_ask_the_same_are_told_apart_in_a_report(make_store: MakeStore, tmp_path: Path) -> None:
    make_store(study={"seeds": 1})
    store = make_store(study={"seeds": 1, "recipe": Recipe(lr=0.2)})
    found = all_answers(store)
    render(found, tmp_path / "r.json", "json")
    told = json.loads((tmp_path / "r.json").read_text())["studies"]
    assert [each["identity"] for each in told] == [s.identity for s in found]
    assert [each["question"] for each in told] == [
        "How many images? (320 examples seen, small:8 at 16 px, learning rate 0.15)",
        "How many images? (250,000 examples seen, small at 32 px, learning rate 0.2)",
    ]
    assert {each["digest"] for each in told[0]["targets"]["sets"]} == {t.digest for t in found[0].targets}
    render(found[:1], tmp_path / "r.json", "json")
    assert json.loads((tmp_path / "r.json").read_text())["studies"][0]["question"] == "How many images?"


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no study has been run"):
        all_answers(Store.open(tmp_path / "lab", create=True))


def test_facts_of_subsets_protocol_and_provenance_are_kept(make_store: MakeStore) -> None:
    store = make_store(command="transferlab run a 'b c'", study={"protocols": [probe(), knn(), probe(shots=2)]})
    study = only(store)
    sizes = {c.name: (c.n_images, c.n_labels, c.factor) for c in study.conditions}
    assert sizes["10"] == (20, 2, 10.0)
    assert sizes["20"] == (40, 2, 20.0)
    assert sizes["scratch"] == (0, 0, None)
    told: dict[str, Any] = {**dict(study.method), **dict(study.provenance)}
    assert told["Command"] == "transferlab run a 'b c'"
    assert "320 examples seen" in told["Pre-training length"]
    assert "nearest neighbours" in told["Transfer"]
    assert "2 examples per class" in told["Transfer"]
    assert told["Seeds"] == "0 to 2"
    assert told["Cells"].startswith(f"{len(networks_of_cells(plans(store)[0]))} done")  # as in the store's status
    assert study.samples["10"].shape == (20, 16, 16, 3)
    assert study.samples["20"].shape == (24, 16, 16, 3)
