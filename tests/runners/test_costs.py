"""What a plan's cells cost: parts that sum to the whole, what each is for, and no cost without work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from transferlab import Study, compare, designs, finetune, knn, probe
from transferlab.origins import ORIGINS
from transferlab.origins.definition import Origin
from transferlab.plan import Place, make_plan, networks_of_cells
from transferlab.planned import Plan, SourceFacts
from transferlab.runners.costs import CELL_SECONDS, cell_seconds, expected_seconds, parts_of, wall_seconds
from transferlab.runners.shares import Rates
from transferlab.specs import CONTROLS, Epochs, Examples, Pack, Recipe, TargetFacts

MakePack = Callable[..., Pack]
Bring = Callable[..., None]
SPEED = Rates(trained=100.0, passed=300.0, fitted=1e9, n_features=64, start_seconds=3.0)


@pytest.fixture
def plan_of(make_pack: MakePack) -> Callable[..., Plan]:
    def make(**changes: object) -> Plan:
        study = Study(source="", targets=["t"], conditions={"all": designs.all_images(), "few": designs.images_per_class(3)},
                      controls=CONTROLS, contrasts=[compare("all", "few")], seeds=2, reference="all",
                      recipe=Recipe(image_px=16, length=Examples(1_000)))  # fmt: skip
        pack = make_pack()
        targets = [TargetFacts("made", "0" * 32, "plants", n_classes=6, n_train=600, n_val=200, n_test=100)]
        source = (SourceFacts("made", pack.digest, pack.name, n_held_out=30), pack)
        return make_plan(replace(study, **changes), source, targets, Place("cpu", "fp32"), lambda _: None)

    return make


def test_parts_are_told_with_what_they_are_for_and_sum_to_the_whole(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    seconds = cell_seconds(plan, SPEED, {})
    parts = parts_of(plan, seconds, 1, SPEED.start_seconds)
    assert [part.seconds for part in parts] == sorted((part.seconds for part in parts), reverse=True)
    assert {part.name for part in parts} == {
        "pre-training: 4 networks × 1,000 examples", "source scores: 4 networks", "probe on plants: 4 networks", "start and end",
        "control from scratch: 2 networks", "control random features: 2 networks", "control shuffled labels: 2 networks",
        "control A/A: 2 networks",
    }  # fmt: skip
    told = {part.name.split(":")[0]: part.buys for part in parts}
    assert told["control A/A"] == "how large differences between equal conditions are"
    assert told["probe on plants"] == "logistic regression on frozen features"
    assert expected_seconds(parts) > sum(seconds.values())
    assert set(seconds) == set(networks_of_cells(plan))


def test_trainings_cost_what_they_see_and_frozen_features_are_computed_once(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(protocols=[probe(), knn(), finetune(examples=500)], controls=())
    seconds = cell_seconds(plan, SPEED, {})
    assert seconds[plan.trainings[0].key] == 10 + CELL_SECONDS
    of_network = {t.label: seconds[t.key] for t in plan.transfers if t.cell.network == plan.trainings[0].key}
    assert of_network["probe"] - of_network["knn"] == pytest.approx(900 / 300)
    assert of_network["finetune"] >= 500 / 100
    by_passes = cell_seconds(plan_of(recipe=Recipe(image_px=16, length=Epochs(2.0)), controls=()), SPEED, {})
    assert {round(s, 3) for s in by_passes.values()} >= {round(2 * n / 100 + CELL_SECONDS, 3) for n in (72, 18)}


def test_more_folds_cost_more_and_fewer_shots_less(plan_of: Callable[..., Plan]) -> None:
    asked = [probe(folds=5), probe(folds=20), finetune(), finetune(shots=2)]
    plan = plan_of(protocols=asked, controls=())
    seconds = cell_seconds(plan, SPEED, {})
    five, twenty, tuned, few = (
        next(seconds[t.key] for t in plan.transfers if t.cell.protocol == protocol) for protocol in asked
    )
    assert five < twenty
    assert few < tuned


def test_transfers_take_as_long_as_a_finished_one_of_their_kind(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(controls=())
    kind = (plan.targets[0].digest, '{"kind":"probe","knobs":{},"shots":null,"type":"Protocol"}')
    assert {cell_seconds(plan, SPEED, {kind: 7.0})[t.key] for t in plan.transfers} == {7.0 + CELL_SECONDS}


def test_a_control_from_outside_is_told_by_its_explanation(plan_of: Callable[..., Plan], bring: Bring) -> None:
    bring(ORIGINS, Origin(name="mine", title="my control", explained="as I like it"))
    plan = plan_of(controls=["mine"])
    parts = parts_of(plan, cell_seconds(plan, SPEED, {}), 1, 0.0)
    assert "as I like it" in [part.buys for part in parts if part.name == "control my control: 2 networks"]


def test_a_length_is_told_in_its_own_unit(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(recipe=Recipe(image_px=16, length=Epochs(2.5)), controls=())
    assert "pre-training: 4 networks × 2.5 passes" in [
        part.name for part in parts_of(plan, cell_seconds(plan, SPEED, {}), 1, 0.0)
    ]


def test_nothing_to_do_has_no_parts(plan_of: Callable[..., Plan]) -> None:
    assert parts_of(plan_of(), {}, 2, 3.0) == []


@given(some.lists(some.floats(0, 1e4), max_size=30), some.integers(1, 8))
def test_workers_end_between_an_even_share_and_one_job_more(jobs: list[float], n_workers: int) -> None:
    wall = wall_seconds(jobs, n_workers)
    even, longest = sum(jobs) / n_workers, max(jobs, default=0.0)
    assert max(even, longest) <= wall * (1 + 1e-9)
    assert wall <= (even + longest) * (1 + 1e-9)


def test_the_last_round_of_workers_counts_whole() -> None:
    assert wall_seconds([10.0] * 5, 2) == 30.0
