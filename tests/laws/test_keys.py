"""The same plan has the same keys, whatever was called before, in which order, and what the world's generators say."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transferlab import Study, compare, designs, knn, probe
from transferlab.identity import canonical, plain
from transferlab.plan import Place, cohorts, make_plan, networks_of_cells
from transferlab.planned import Plan, SourceFacts, restored
from transferlab.specs import Augmentation, Design, Pack, TargetFacts

MakePack = Callable[..., Pack]
CONDITIONS: dict[str | int | float, Design] = {
    "few": designs.images_per_class(3), "many": designs.images_per_class(6), "narrow": designs.random_classes(3),
    "coarse": designs.coarse_matched(1),
}  # fmt: skip


@pytest.fixture
def plan_of(make_pack: MakePack) -> Callable[..., Plan]:
    pack, targets = (
        make_pack(),
        [TargetFacts("t", make_pack(seed=1).digest, "t"), TargetFacts("u", make_pack(seed=2).digest, "u")],
    )

    def plan(conditions: Any = CONDITIONS, turned: bool = False, **changes: Any) -> Plan:
        study = Study(source="s", targets=["t", "u"], conditions=conditions, contrasts=[compare("many", "few")],
                      seeds=2, protocols=[probe(), knn()], reference="many")  # fmt: skip
        study = replace(study, **changes)
        order = targets[::-1] if turned else targets
        return make_plan(study, (SourceFacts("s", pack.digest, "s"), pack), order, Place("cpu", "fp32"), lambda _: None)

    return plan


def named(plan: Plan) -> dict[tuple[Any, ...], str]:
    """Keys by what they stand for."""
    trainings = {(t.condition, t.seed): t.key for t in plan.trainings}
    return trainings | {(t.condition, t.seed, t.cell.target, t.label): t.key for t in plan.transfers}


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(list(CONDITIONS)), st.booleans(), st.integers(0, 2**32 - 1))
def test_orders_and_global_generators_change_no_key(
    plan_of: Callable[..., Plan], order: list[str], turned: bool, seed: int
) -> None:
    before = named(plan_of())
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    controls = ["a/a", "random-features", "scratch", "shuffled-labels"]
    after = named(plan_of({name: CONDITIONS[name] for name in order}, turned, controls=controls))
    assert after == before
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_more_seeds_and_fewer_conditions_keep_the_keys_of_what_is_left(plan_of: Callable[..., Plan]) -> None:
    small, large = named(plan_of()), named(plan_of(seeds=4))
    assert small.items() < large.items()
    some = {name: CONDITIONS[name] for name in ("few", "many")}
    assert named(plan_of(some)).items() < small.items()


def test_equal_keys_mean_equal_cells_and_a_plan_survives_its_json(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of({**CONDITIONS, "many again": CONDITIONS["many"]})
    cells: dict[str, str] = {}
    for t in (*plan.trainings, *plan.transfers):
        assert cells.setdefault(t.key, canonical(t.cell)) == canonical(t.cell)
    keys = named(plan)
    assert keys["many", 0] == keys["many again", 0] != keys["a/a", 0]
    assert restored(plain(plan)) == plan
    assert {network for (network,) in cohorts(plan)} == set(networks_of_cells(plan).values())


def test_on_cuda_networks_are_grouped_and_each_is_in_one_group(plan_of: Callable[..., Plan]) -> None:
    plan = replace(plan_of(controls=["random-features", "shuffled-labels"], seeds=5), device="cuda")
    groups, trained = cohorts(plan), {t.key for t in plan.trainings}
    members = [key for group in groups for key in group]
    assert sorted(members) == sorted(set(networks_of_cells(plan).values()))
    assert [len(group) for group in groups if group[0] in trained] == [16, len(trained) - 16]
    assert all(len(group) == 1 for group in groups if group[0] not in trained)
    assert groups == cohorts(plan)


def test_a_field_that_came_later_counts_only_where_it_is_used() -> None:
    old = '{"colour":0.0,"crop_px":4,"cutout_px":0,"flip":true,"type":"Augmentation"}'
    assert canonical(Augmentation()) == canonical(Augmentation(scale=1.0)) == old
    assert '"scale":0.5' in canonical(Augmentation(scale=0.5))
    assert restored(plain(Augmentation(scale=0.5))) == Augmentation(scale=0.5)
    assert restored(
        {"type": "Augmentation", "crop_px": 2, "flip": False, "cutout_px": 0, "colour": 0.0}
    ) == Augmentation(2, False)
