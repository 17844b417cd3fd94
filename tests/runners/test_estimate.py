"""What a plan says beforehand: why there is work, and how much."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from transferlab import Study, compare, designs, knn
from transferlab.designs import SubsetFacts
from transferlab.outcomes.store import Store
from transferlab.plan import Place, make_plan, most_seen
from transferlab.planned import Plan, SourceFacts
from transferlab.runners.estimate import describe, status_text, why
from transferlab.runners.machine import here
from transferlab.runners.prepare import Prepared
from transferlab.runners.shares import Share, calibration
from transferlab.specs import Epochs, Examples, Pack, Recipe, TargetFacts, UntilFlat

MakePack = Callable[..., Pack]


@pytest.fixture
def plan_of(tmp_path: Path, make_pack: MakePack) -> Callable[..., Plan]:
    store = Store.open(tmp_path / "lab", create=True)

    def make(seed: int = 0, targets: int = 1, **changes: object) -> Plan:
        study = Study(source="", targets=["t"], conditions={"all": designs.all_images(), "few": designs.images_per_class(3)},
                      controls=(), contrasts=[compare("all", "few")], seeds=2, recipe=Recipe(image_px=16))  # fmt: skip
        pack = make_pack(seed=seed)
        references = [TargetFacts(f"made{i}", f"{i:032x}", f"target {i}") for i in range(targets)]
        reference = (SourceFacts("made", pack.digest, pack.name), pack)
        return make_plan(replace(study, **changes), reference, references, Place("cpu", "fp32"), store.write_subset)

    return make


def test_it_says_that_nothing_was_run_or_that_the_rest_is_not_done(plan_of: Callable[..., Plan]) -> None:
    assert "no study of this name" in why(plan_of(), [])
    assert "not done yet" in why(plan_of(), [plan_of()])


def test_it_names_each_change_since_the_study_was_planned(plan_of: Callable[..., Plan]) -> None:
    before = [plan_of()]
    longer = why(plan_of(recipe=Recipe(image_px=16, length=Examples(999))), before)
    assert "recipe.length Examples(n=250000) → Examples(n=999)" in longer and "lr" not in longer
    assert "seeds 2 → 5" in why(plan_of(seeds=5), before)
    assert "other source images" in why(plan_of(seed=1), before)
    assert "new target target 1" in why(plan_of(targets=2), before)
    assert "other protocols" in why(plan_of(protocols=[knn()]), before)
    levels = {"all": designs.all_images(), "few": designs.images_per_class(4)}
    assert "other design of few" in why(plan_of(conditions=levels), before)
    assert "ENGINE 0 → " in why(plan_of(), [replace(plan_of(), code=(plan_of().code[0], 0, plan_of().code[2]))])


def test_a_recipes_name_is_no_reason(plan_of: Callable[..., Plan]) -> None:
    assert "not done yet" in why(plan_of(recipe=Recipe(name="other", image_px=16)), [plan_of()])


def test_the_most_that_a_network_sees_follows_from_its_length() -> None:
    lengths = (Examples(70), Epochs(3), UntilFlat(2, 10, 500))
    assert [most_seen(Recipe(length=length), 40) for length in lengths] == [70, 120, 500]


def test_a_plan_tells_uneven_label_sets_and_what_the_study_notes(plan_of: Callable[..., Plan], tmp_path: Path) -> None:
    plan = plan_of(notes=("Left out: nothing.", "long " * 200))
    even, uneven = SubsetFacts(60, 6, 6.0, 0.17), SubsetFacts(60, 6, 2.5, 0.8)
    facts = {t.cell.subset: uneven if t.condition == "few" else even for t in plan.trainings}
    prepared = Prepared(plan, Store.open(tmp_path / "lab", create=False), here("cpu"), (), facts)
    lines = list(itertools.takewhile(lambda line: "pre-trainings" not in line, describe(prepared)))
    assert any("60 images, 6 labels (2.5 effective)" in line and "few" in line for line in lines)
    assert all("effective" not in line for line in lines if " all " in line)
    assert "  note     Left out: nothing." in lines and lines[-1].endswith("…") and len(lines[-1]) < 420


def test_a_plan_counts_no_training_of_controls_without_one_and_ends_with_what_to_do_next(
    plan_of: Callable[..., Plan], tmp_path: Path
) -> None:
    store = Store.open(tmp_path / "my lab", create=True)
    plan = plan_of(controls=["random-features"])
    held = replace(plan, targets=[replace(plan.targets[0], digest=plan.source.digest)])
    facts = {t.cell.subset: SubsetFacts(60, 6, 6.0, 0.17) for t in plan.trainings}
    lines = list(describe(Prepared(held, store, replace(here("cpu"), is_here=False), None, facts)))
    assert [line.split() for line in lines if "random-features" in line] == [["random-features", "not", "pre-trained"]]
    assert any("the source's own images" in line for line in lines) and not any("failed" in line for line in lines)
    assert lines[-1] == "  next           the same command with run in place of plan"


def test_a_plan_says_what_training_every_condition_once_more_adds(plan_of: Callable[..., Plan], tmp_path: Path) -> None:
    store, plan = Store.open(tmp_path / "my lab", create=True), plan_of(controls=["recipe"])
    facts = {t.cell.subset: SubsetFacts(60, 6, 6.0, 0.17) for t in plan.trainings}
    gone = list(describe(Prepared(plan, store, replace(here("cpu"), is_here=False), None, facts)))
    assert "  pre-trainings      8, 0 done, 8 to do" in gone
    assert "  control        recipe: 4 pre-trainings and 4 transfers of those to do" in gone
    prepared = Prepared(plan, store, replace(here("cpu"), n_units=1), None, facts)
    rates = {"trained": 1000.0, "passed": 1e9, "fitted": 1e15, "n_features": 8, "start_seconds": 0.0}
    store.write_pack_index(calibration(plan, prepared.machine, Share(1, 1)), rates)
    lines = list(describe(prepared))
    assert "  control        recipe: 4 pre-trainings and 4 transfers of those to do" in lines
    (line,) = [line for line in lines if "control recipe: 4 networks" in line]
    assert line.split()[:2] == ["16", "min"] and line.endswith(
        "whether a verdict depends on the learning rate"
    )  # 4 × 250 s and a little


def test_an_empty_store_has_no_standing(tmp_path: Path) -> None:
    assert "no study has been run" in status_text(Store.open(tmp_path / "other", create=True))
