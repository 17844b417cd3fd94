"""Cohorts in the store: each network as if alone, all saved on leaving, and a crash that only its own network fails."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transferlab import Study, compare, designs, induction, knn, refit
from transferlab.identity import plain
from transferlab.outcomes.store import Store
from transferlab.plan import COHORT, Place, make_plan
from transferlab.planned import Plan
from transferlab.report.gather import all_answers, table_rows
from transferlab.report.page import render
from transferlab.runners import local, worker
from transferlab.runners.machine import Machine
from transferlab.runners.networks import WEIGHTS, Bench
from transferlab.runners.packs import obtain
from transferlab.specs import Augmentation, Examples, Protocol, Recipe

RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, length=Examples(16 * 20), precision="fp32",
                augmentation=Augmentation(2, False))  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Callable[..., tuple[Plan, Store]]:
    random, labels = np.random.default_rng(0), np.arange(60) % 3
    images = (random.integers(0, 120, (60, 16, 16, 3)) + labels[:, None, None, None] * 60).astype(np.uint8)
    split = np.array(["train", "val", "test"])[np.arange(60) // 3 % 3]
    np.savez(tmp_path / "source.npz", images=images, labels=labels, split=split)

    def make(name: str, protocols: Sequence[Protocol] = (knn(),), **changes: Any) -> tuple[Plan, Store]:
        store = Store.open(tmp_path / name, create=True)
        reference, pack = obtain(store, f"npz:{tmp_path}/source.npz", 16, skip_bad=False, progress=lambda *_: None)
        conditions = {n: designs.images_per_class(n) for n in (2, 6)}
        study = Study(source="", targets=["t"], conditions=conditions, controls=["random-features"], seeds=2,
                      contrasts=[compare("6", "2")], recipe=replace(RECIPE, **changes), protocols=protocols)  # fmt: skip
        plan = make_plan(study, (reference, pack), [reference], Place("cpu", "fp32"), store.write_subset)
        store.write_study(plan.identity, plain(plan))
        return plan, store

    return make


@pytest.fixture
def around() -> Iterator[worker.Surroundings]:
    torch.set_num_threads(1)
    before = signal.getsignal(signal.SIGTERM)
    yield worker.Surroundings()
    signal.signal(signal.SIGTERM, before)


def weights(plan: Plan, store: Store) -> dict[str, bytes]:
    return {t.key: store.read(t.key, WEIGHTS) for t in plan.trainings}


def test_the_sources_own_classes_are_told_by_every_network(
    lab: Callable[..., tuple[Plan, Store]], around: worker.Surroundings, tmp_path: Path
) -> None:
    plan, store = lab("own", protocols=[knn(), refit(), induction(cut=1)])
    for key in dict.fromkeys(t.cell.network for t in plan.transfers):
        worker._guarded(Bench(plan, store, around), [key])
    assert store.failures() == {}
    (study,) = all_answers(store)
    told = {s.protocol for s in study.scores if s.condition == "random-features"}
    assert told == {"knn", "refit", "induction by cut 1", "induction by cut 1: top5", "induction by cut 1: superclass top1",
                    "induction by cut 1: superclass mean accuracy"}  # fmt: skip
    metrics = {row["metric"] for row in table_rows(store) if row["protocol"] == "induction by cut 1"}
    assert {"top1", "top5", "superclass top1"} <= metrics
    render([study], tmp_path / "report.md", "md")
    page = (tmp_path / "report.md").read_text()
    assert "Protocol: induction by cut 1: superclass mean accuracy" in page
    assert "(superclass mean accuracy) |" in page
    cell = next(t.key for t in plan.transfers if t.cell.protocol.kind == "induction")
    assert set(store.arrays(cell)) == {"right", "right in five", "right superclass", "right within"}


def test_networks_trained_together_are_those_trained_alone(
    lab: Callable[..., tuple[Plan, Store]], around: worker.Surroundings
) -> None:
    plan, alone = lab("alone")
    _, together = lab("together")
    keys = [t.key for t in plan.trainings]
    for key in keys:
        worker._guarded(Bench(plan, alone, around), [key])
    worker._guarded(Bench(plan, together, around), keys)
    assert weights(plan, alone) == weights(plan, together)
    assert set(local.missing(plan, together)) == set(local.missing(plan, alone))
    assert together.failures() == {}
    assert [(together.record(key) or {})["cohort"] for key in keys] == [4] * 4


def test_asked_to_leave_every_network_is_saved_and_goes_on_from_there(
    lab: Callable[..., tuple[Plan, Store]], around: worker.Surroundings
) -> None:
    plan, whole = lab("whole")
    _, left = lab("left")
    keys = [t.key for t in plan.trainings]
    worker._guarded(Bench(plan, whole, around), keys)
    around.stopping = True
    worker._guarded(Bench(plan, left, around), keys)
    assert all(left.checkpoint(key) and not left.has(key) for key in keys)
    around.stopping = False
    worker._guarded(Bench(plan, left, around), keys)
    assert weights(plan, left) == weights(plan, whole)


def test_a_cohort_of_which_each_fails_notes_each_once(
    lab: Callable[..., tuple[Plan, Store]], around: worker.Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, store = lab("failing", lr=1e30)
    keys = [t.key for t in plan.trainings]
    worker._guarded(Bench(plan, store, around), keys)
    assert set(store.failures()) == set(keys)
    assert capsys.readouterr().out.count('"event": "failed"') == 4


def test_claims_are_a_groups_and_each_networks(lab: Callable[..., tuple[Plan, Store]]) -> None:
    _, store = lab("claims")
    with worker._claimed(store, ["a", "b", "c"], ["b", "c"]) as mine:
        assert mine == ["b", "c"]
        with worker._claimed(store, ["a", "b", "c"], ["b", "c"]) as others:
            assert others == []
        with worker._claimed(store, ["d", "b", "e"], ["d", "b", "e"]) as regrouped:
            assert regrouped == ["d", "e"]


def test_a_crash_of_a_cohort_has_each_of_its_networks_tried_alone(
    lab: Callable[..., tuple[Plan, Store]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("from transferlab.plan import COHORT\nCOHORT['cpu'] = 16\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setitem(COHORT, "cpu", 16)
    plan, store = lab("crashing")
    told: list[local.Message] = []

    def kill_the_cohort(message: local.Message) -> None:
        if message.event == "doing" and len(message.details.get("networks", ())) > 1:
            found = subprocess.run(["pgrep", "-f", f"runners.worker {store.path}"], capture_output=True, text=True,
                                   check=True).stdout.split()  # fmt: skip
            os.kill(int(found[0]), signal.SIGKILL)
        told.append(message)

    left = local.run(plan, store, Machine("cpu", "fp32", 1, "test"), kill_the_cohort)
    sizes = [len(m.details["networks"]) for m in told if m.event == "doing" and "networks" in m.details]
    assert sizes == [4, 1, 1, 1, 1]
    assert left == 0
    assert store.failures() == {}
