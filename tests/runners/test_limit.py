"""A budget of time: what it leaves of a study, that it is told, and that the same command goes on with the same cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from transferlab import Recipe, Study, designs, steps
from transferlab.errors import UserError
from transferlab.outcomes.store import Store
from transferlab.plan import cohorts
from transferlab.planned import Plan
from transferlab.runners.costs import expected_parts, expected_seconds
from transferlab.runners.machine import here
from transferlab.runners.prepare import prepare
from transferlab.runners.request import Request
from transferlab.runners.shares import Rates, calibration, possible
from transferlab.specs import Epochs, Examples

SPEED = Rates(trained=500.0, passed=1500.0, fitted=1e9, n_features=256, start_seconds=3.0)
Folder = Callable[..., None]


@pytest.fixture
def lab(tmp_path: Path, folder: Folder) -> Callable[..., Plan]:
    """Plan a study of four levels, five seeds and 100,000 examples in a store that knows its speed."""
    folder(tmp_path / "photos", ("a", "b", "c"), 40)
    spec = f"imagefolder:{tmp_path}/photos"
    study = Study(
        source=spec, targets=["digits"], conditions={n: designs.images_per_class(n, short="keep") for n in (2, 4, 8, 16)},
        contrasts=steps(), seeds=5, recipe=Recipe(backbone="small:4", image_px=16, length=Examples(100_000)),
    )  # fmt: skip

    def request(changes: dict[str, Any]) -> Request:
        return replace(Request(study, None, (), tmp_path / "lab", device="cpu"), **changes)

    know(prepare(request({}), lambda *_: None).plan, tmp_path / "lab", SPEED)

    def make(spent: float = 0.0, **changes: Any) -> Plan:
        return prepare(request(changes), lambda *_: None, lambda: spent).plan

    return make


def know(plan: Plan, store: Path, speed: Rates) -> None:
    """Keep a speed as if it had been measured, for every way to divide this machine."""
    machine = here("cpu")
    for n_networks in range(1, len(cohorts(plan)) + 1):
        for cores in possible(n_networks, machine):
            Store.open(store, create=False).write_pack_index(calibration(plan, machine, cores), asdict(speed))


def expected(plan: Plan, store: Path) -> float:
    return expected_seconds(expected_parts(plan, Store.open(store, create=False), here("cpu")))


def test_a_study_that_fits_is_left_whole(lab: Callable[..., Plan]) -> None:
    whole = lab()
    assert lab(budget="100h") == whole
    assert not whole.notes


def test_what_does_not_fit_is_given_up_and_told(lab: Callable[..., Plan], tmp_path: Path) -> None:
    whole = lab()
    seconds = expected(whole, tmp_path / "lab")
    plan = lab(budget=f"{seconds / 2:.0f}s")
    assert expected(plan, tmp_path / "lab") <= 0.9 * seconds / 2
    assert plan.seeds == whole.seeds
    assert plan.recipe.length != whole.recipe.length
    assert len(plan.notes) == 1
    assert plan.notes[0].startswith("To fit into a budget of ")
    assert "examples instead of 100,000" in plan.notes[0]
    assert {t.cell.subset for t in plan.trainings} <= {t.cell.subset for t in whole.trainings}


def test_the_smaller_study_is_the_one_that_its_own_words_would_plan(lab: Callable[..., Plan], tmp_path: Path) -> None:
    plan = lab(budget=f"{expected(lab(), tmp_path / 'lab') * 0.7:.0f}s")
    assert isinstance(plan.recipe.length, Examples)
    asked = lab(examples=plan.recipe.length.n, seeds=plan.seeds)
    assert [c.name for c in plan.conditions] == [c.name for c in asked.conditions]
    assert replace(plan, notes=()) == asked


def test_the_same_words_give_the_same_cells_at_another_speed_and_with_less_time(
    lab: Callable[..., Plan], tmp_path: Path
) -> None:
    budget = f"{expected(lab(), tmp_path / 'lab') / 2:.0f}s"
    before = lab(budget=budget)
    know(lab(), tmp_path / "lab", replace(SPEED, trained=50.0))
    assert lab(spent=1e6, budget=budget) == before
    with pytest.raises(UserError, match="too short"):
        lab(budget=budget, seeds=5)  # other words, which choose anew


def test_explicit_seeds_and_lengths_stay_and_the_rest_gives_way(lab: Callable[..., Plan], tmp_path: Path) -> None:
    seconds = expected(lab(), tmp_path / "lab")
    plan = lab(budget=f"{0.65 * seconds:.0f}s", examples=100_000)
    assert plan.recipe.length == Examples(100_000)
    assert plan.seeds < 5 or len(plan.conditions) < len(lab().conditions)
    with pytest.raises(UserError, match="is too short: the least of this study"):
        lab(budget=f"{seconds / 3:.0f}s", examples=100_000, seeds=5)


def test_time_that_has_passed_counts(lab: Callable[..., Plan], tmp_path: Path) -> None:
    seconds = expected(lab(), tmp_path / "lab")
    budget = f"{seconds * 1.2:.0f}s"
    assert lab(spent=seconds / 2, budget=budget).recipe.length != lab().recipe.length


def test_a_refusal_stores_nothing(lab: Callable[..., Plan], tmp_path: Path) -> None:
    store = Store.open(tmp_path / "lab", create=False)
    before = store.identities()
    with pytest.raises(UserError, match="too short"):
        lab(budget="1s")
    assert store.identities() == before


def test_equal_passes_are_shortened_as_well(lab: Callable[..., Plan], tmp_path: Path) -> None:
    whole = lab(epochs=True)
    plan = lab(epochs=True, budget=f"{expected(whole, tmp_path / 'lab') / 2:.0f}s")
    assert isinstance(plan.recipe.length, Epochs)
    assert isinstance(whole.recipe.length, Epochs)
    assert plan.recipe.length.n < whole.recipe.length.n
