"""Sharing out the cores: what is possible, what ends fastest, and that a measurement is made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from transferlab import Study, compare, designs
from transferlab.outcomes.store import Store
from transferlab.plan import Place, make_plan
from transferlab.planned import BroughtDefinition, Plan, SourceFacts
from transferlab.runners.machine import Machine
from transferlab.runners.shares import WORTH_MEASURING, Share, fastest, images_per_second, possible, share
from transferlab.specs import Examples, Pack, Recipe, TargetFacts

MakePack = Callable[..., Pack]
TWO_CORES = Machine("cpu", "fp32", 2, "two cores")


@given(some.integers(1, 300), some.integers(1, 200))
def test_no_share_takes_more_cores_than_there_are_nor_more_workers_than_networks(n_networks: int, n_cores: int) -> None:
    choices = possible(n_networks, Machine("cpu", "bf16", n_cores, "made"))
    assert choices[0].n_workers == min(n_cores, n_networks)
    for at in choices:
        assert 1 <= at.n_workers <= n_networks
        assert at.n_threads >= 1
        assert at.n_workers * at.n_threads <= n_cores


def test_two_cores_can_be_two_workers_or_one_and_a_gpu_is_one_worker() -> None:
    assert possible(9, TWO_CORES) == [Share(2, 1), Share(1, 2)]
    assert possible(1, TWO_CORES) == [Share(1, 2)]
    assert possible(9, Machine("cuda", "bf16", 2, "made")) == [Share(2, 4)]


def test_the_fastest_share_wins_unless_its_last_round_stands_half_empty() -> None:
    rates = {Share(2, 1): 120.0, Share(1, 2): 100.0}
    assert fastest(8, rates) == Share(2, 1)
    assert fastest(3, rates) == Share(1, 2)  # two rounds of 2/120 each against three of 1/100
    assert fastest(8, {Share(2, 1): 90.0, Share(1, 2): 100.0}) == Share(1, 2)


@pytest.fixture
def plan_of(tmp_path: Path, make_pack: MakePack) -> tuple[Store, Callable[[int], Plan]]:
    store = Store.open(tmp_path / "lab", create=True)
    pack = make_pack()

    def make(n_examples: int) -> Plan:
        recipe = Recipe(backbone="small:4", image_px=16, batch=16, length=Examples(n_examples), precision="fp32")
        study = Study(source="", targets=["t"], conditions={"all": designs.all_images(), "few": designs.images_per_class(3)},
                      controls=(), contrasts=[compare("all", "few")], seeds=2, recipe=recipe)  # fmt: skip
        source = (SourceFacts("made", pack.digest, pack.name), pack)
        return make_plan(study, source, [TargetFacts("made", "0" * 32, "t")], Place("cpu", "fp32"), store.write_subset)

    return store, make


def test_a_small_plan_is_not_measured_and_a_large_one_once(plan_of: tuple[Store, Callable[[int], Plan]]) -> None:
    store, make = plan_of
    kept = store.path / "packs" / "index"
    assert share(make(100), store, TWO_CORES) == Share(2, 1)
    assert not list(kept.glob("calibration-*"))
    large = make(WORTH_MEASURING)
    chosen = share(large, store, TWO_CORES)
    files = {path: path.stat().st_mtime_ns for path in kept.glob("calibration-*")}
    assert len(files) == 2
    assert share(large, store, TWO_CORES) == chosen
    assert images_per_second(large, store, TWO_CORES, chosen) > 0
    assert files == {path: path.stat().st_mtime_ns for path in kept.glob("calibration-*")}
    assert share(large, store, replace(TWO_CORES, n_units=1)) == Share(1, 1)


def test_what_a_study_file_prints_is_no_part_of_the_measurement(
    plan_of: tuple[Store, Callable[[int], Plan]], tmp_path: Path
) -> None:
    store, make = plan_of
    file = tmp_path / "talking.py"
    file.write_text("import os\nprint('studying')\nos.system('echo studying')\n")
    assert images_per_second(make(100), store, TWO_CORES, Share(1, 1), str(file)) > 0


def test_a_backbone_from_outside_is_measured_again_after_its_code_changed(
    plan_of: tuple[Store, Callable[[int], Plan]],
) -> None:
    store, make = plan_of
    plan, kept = make(100), store.path / "packs" / "index"
    for n_kept, (kind, code) in enumerate([("backbone", "a"), ("backbone", "b"), ("optimiser", "c")], 1):
        edited = replace(plan, brought=[BroughtDefinition(kind, "mine", "mine.py", code)])
        images_per_second(edited, store, TWO_CORES, Share(1, 1))
        assert len(list(kept.glob("calibration-*"))) == n_kept
    images_per_second(
        replace(edited, brought=[*edited.brought, BroughtDefinition("metric", "half", "mine.py", "d")]),
        store, TWO_CORES, Share(1, 1),
    )  # fmt: skip
    assert len(list(kept.glob("calibration-*"))) == n_kept
