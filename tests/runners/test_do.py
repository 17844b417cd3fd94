"""Cohorts in the store: each network as if alone, all saved on leaving, and a crash that only its own network fails."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transferlab import Study, compare, designs, finetune, induction, knn, refit
from transferlab.events import Discarded, Done, Event, Failed, Finished, Progressed, Report, Resumed, Started
from transferlab.extensions import run_file
from transferlab.identity import plain
from transferlab.outcomes.store import Store
from transferlab.plan import Place, cohorts, make_plan
from transferlab.planned import Plan
from transferlab.report.gather import all_answers, table_rows
from transferlab.report.page import render
from transferlab.runners import drive, networks
from transferlab.runners.do import claimed, do_task
from transferlab.runners.drive import Drive
from transferlab.runners.executors import EXECUTORS
from transferlab.runners.machine import Machine
from transferlab.runners.networks import WEIGHTS, Bench
from transferlab.runners.packs import obtain
from transferlab.specs import Augmentation, Examples, Protocol, Recipe, TargetFacts
from transferlab.tasks import RunState, Task, tasks_of
from transferlab.transfer.protocols import PROTOCOLS

RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, length=Examples(16 * 20), precision="fp32",
                augmentation=Augmentation(2, False))  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Callable[..., tuple[Plan, Store]]:
    random, labels = np.random.default_rng(0), np.arange(60) % 3
    images = (random.integers(0, 120, (60, 16, 16, 3)) + labels[:, None, None, None] * 60).astype(np.uint8)
    split = np.array(["train", "val", "test"])[np.arange(60) // 3 % 3]
    np.savez(tmp_path / "source.npz", images=images, labels=labels, split=split)

    def make(
        name: str,
        protocols: Sequence[Protocol] = (knn(),),
        controls: Sequence[str] = ("random-features",),
        **changes: Any,
    ) -> tuple[Plan, Store]:
        store = Store.open(tmp_path / name, create=True)
        reference, pack = obtain(store, f"npz:{tmp_path}/source.npz", 16, skip_bad=False, progress=lambda *_: None)
        conditions = {n: designs.images_per_class(n) for n in (2, 6)}
        study = Study(source="", targets=["t"], conditions=conditions, controls=controls, seeds=2,
                      contrasts=[compare("6", "2")], recipe=replace(RECIPE, **changes), protocols=protocols)  # fmt: skip
        target = TargetFacts(reference.spec, pack.digest, pack.name, "top1", rows="right", own_classes=True)
        plan = make_plan(study, (reference, pack), [target], Place("cpu", "fp32"), store.write_subset)
        store.write_study(plan.identity, plain(plan))
        return plan, store

    return make


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def do(bench: Bench, keys: Sequence[str]) -> list[Event]:
    """Train these networks together and measure each; what was told."""
    told: list[Event] = []
    if together := tuple(key for key in keys if key in bench.trainings):
        do_task(Task("train", together, together), bench, told.append)
    for task in tasks_of(bench.plan):
        if task.kind == "measure" and task.networks[0] in keys and all(map(bench.store.has, task.needs)):
            do_task(task, bench, told.append)
    return told


def weights(plan: Plan, store: Store) -> dict[str, bytes]:
    return {t.key: store.read(t.key, WEIGHTS) for t in plan.trainings}


def test_the_sources_own_classes_are_told_by_every_network(
    lab: Callable[..., tuple[Plan, Store]], tmp_path: Path
) -> None:
    plan, store = lab("own", protocols=[knn(), refit(), induction(cut=1)])
    for key in dict.fromkeys(t.cell.network for t in plan.transfers):
        do(Bench(plan, store), [key])
    assert store.failures() == {}
    (study,) = all_answers(store)
    told = {s.protocol for s in study.scores if s.condition == "random-features"}
    assert told == {"knn", "refit", "induction by cut 1", "induction by cut 1: top5", "induction by cut 1: superclass top1",
                    "induction by cut 1: superclass mean accuracy"}  # fmt: skip
    metrics = {row["metric"] for row in table_rows(store) if row["protocol"] == "induction by cut 1"}
    assert {"top1", "top5", "superclass top1"} <= metrics
    render([study], tmp_path / "report.md", "md")
    page = (tmp_path / "report.md").read_text()
    assert "induction by cut 1: superclass mean accuracy: mean over seeds in %" in page
    assert "(superclass mean accuracy) |" in page
    cell = next(t.key for t in plan.transfers if t.cell.protocol.kind == "induction")
    assert set(store.arrays(cell)) == {
        "right",
        "predicted",
        "true_score",
        "right in five",
        "right superclass",
        "right within",
    }


def test_networks_trained_together_are_those_trained_alone(lab: Callable[..., tuple[Plan, Store]]) -> None:
    plan, alone = lab("alone")
    _, together = lab("together")
    keys = [t.key for t in plan.trainings]
    for key in keys:
        do(Bench(plan, alone), [key])
    do(Bench(plan, together), keys)
    assert weights(plan, alone) == weights(plan, together)
    assert set(drive.missing(plan, together)) == set(drive.missing(plan, alone))
    assert together.failures() == {}
    assert [(together.record(key) or {})["cohort"] for key in keys] == [4] * 4


@pytest.mark.parametrize(("lr", "better"), [(0.003, "own"), (1.5, "other")])
def test_each_network_is_trained_at_its_own_rate_and_the_planted_one_is_chosen_by_validation(
    lab: Callable[..., tuple[Plan, Store]], lr: float, better: str
) -> None:
    plan, store = lab("rates", controls=["recipe"], lr=lr)
    for group in cohorts(plan):
        do(Bench(plan, store), group)
    assert drive.missing(plan, store) == [] and store.failures() == {}
    slow, _ = lab("slow", controls=[], lr=lr / 10)
    again = [t for t in plan.trainings if t.condition not in ("2", "6")]
    alone = Store.open(store.path.parent / "slow", create=False)
    for t in again:
        do(Bench(slow, alone), [t.key])
        assert store.read(t.key, WEIGHTS) == alone.read(t.key, WEIGHTS)
    (study,) = all_answers(store)
    assert [p.chosen == p.again for p in study.rates[0].preferences] == [better == "other"] * 2


def test_asked_to_leave_every_network_is_saved_and_goes_on_from_there(lab: Callable[..., tuple[Plan, Store]]) -> None:
    plan, whole = lab("whole")
    _, left = lab("left")
    keys = [t.key for t in plan.trainings]
    do(Bench(plan, whole), keys)
    bench = Bench(plan, left)
    bench.stopping = True
    told = do(bench, keys)
    assert not any(isinstance(event, Done | Failed | Finished) for event in told)
    assert all(left.checkpoint(key) and not left.has(key) for key in keys)
    told = do(Bench(plan, left), keys)
    assert {event.key for event in told if isinstance(event, Resumed)} == set(keys)
    assert weights(plan, left) == weights(plan, whole)


def test_asked_to_leave_a_fine_tuning_is_saved_and_goes_on_from_there(
    lab: Callable[..., tuple[Plan, Store]],
) -> None:
    plan, whole = lab("whole", protocols=[finetune(examples=160)])
    _, left = lab("left", protocols=[finetune(examples=160)])
    network = plan.trainings[0].key
    (key,) = [t.key for t in plan.transfers if t.cell.network == network]
    do(Bench(plan, whole), [network])
    bench = Bench(plan, left)

    def leave(event: Event) -> None:
        bench.stopping |= isinstance(event, Started) and event.keys == (key,)

    measure = [task for task in tasks_of(plan) if task.kind == "measure" and task.networks == (network,)]
    for task in [Task("train", (network,), (network,)), *measure]:
        do_task(task, bench, leave)
    assert left.checkpoint(key) and not left.has(key)
    told = do(Bench(plan, left), [network])
    assert [event.step for event in told if isinstance(event, Resumed)] == [1]
    assert np.array_equal(left.arrays(key)["right"], whole.arrays(key)["right"])
    assert (left.record(key) or {})["metrics"] == (whole.record(key) or {})["metrics"]


def test_measurements_on_frozen_features_tell_that_they_go_on(lab: Callable[..., tuple[Plan, Store]]) -> None:
    plan, store = lab("frozen")
    told = do(Bench(plan, store), [plan.trainings[0].key])
    words = {event.what for event in told if isinstance(event, Progressed)}
    assert {next(iter(what.split(" of "))) for what in words} >= {"source accuracy", "knn on source"}
    assert all(event.images_per_second >= 0 for event in told if isinstance(event, Progressed))


def test_a_checkpoint_that_cannot_be_restored_is_discarded_and_the_training_starts_again(
    lab: Callable[..., tuple[Plan, Store]],
) -> None:
    plan, whole = lab("whole")
    _, left = lab("left")
    keys = [t.key for t in plan.trainings][:4]
    do(Bench(plan, whole), keys)
    bench = Bench(plan, left)
    bench.stopping = True
    do(bench, keys)
    first, second, third, _ = keys
    left.write_checkpoint(third, left.checkpoint(second) or b"")  # of another cell
    left.write_checkpoint(second, b"no tensors")
    kept = networks.checkpoint(left, first)
    assert kept is not None
    few = {name: value for name, value in kept.tensors.items() if not name.startswith("network.1")}
    networks.save_checkpoint(left, first, replace(kept, tensors=few))  # of another network
    told = do(Bench(plan, left), keys)
    assert [event.key for event in told if isinstance(event, Discarded)] == [second, third, first]
    assert weights(plan, left) == weights(plan, whole)


def test_a_cohort_of_which_each_fails_notes_each_once(lab: Callable[..., tuple[Plan, Store]]) -> None:
    plan, store = lab("failing", lr=1e30)
    keys = [t.key for t in plan.trainings]
    failed = [event for event in do(Bench(plan, store), keys) if isinstance(event, Failed)]
    assert sorted(event.key for event in failed) == sorted(keys)
    assert all("lower the learning rate" in event.reason and "Traceback" in event.traceback for event in failed)


def test_an_error_of_reading_in_code_from_outside_fails_its_cell_alone(
    lab: Callable[..., tuple[Plan, Store]], tmp_path: Path
) -> None:
    file = tmp_path / "absent.py"
    file.write_text("""
from pathlib import Path
from transferlab import ProtocolDefinition, UserError
def run(problem):
    try:
        Path("/nowhere").read_text()
    except OSError as error:
        raise UserError("my data are missing", "here", "get them") from error
absent = ProtocolDefinition(name="absent", run=run)
""")
    run_file(file)
    try:
        plan, store = lab("absent", protocols=[Protocol("absent")])
        do(Bench(plan, store), [plan.trainings[0].key])
        (task,) = [t for t in tasks_of(plan) if t.kind == "measure" and t.needs == (plan.trainings[0].key,)]
        told: list[Event] = []
        do_task(task, Bench(plan, store), told.append)
        assert [event.reason for event in told if isinstance(event, Failed)] == [
            "my data are missing (here): get them."
        ]
        assert isinstance(told[-1], Finished)
    finally:
        del PROTOCOLS._all["absent"], PROTOCOLS._brought["absent"]


def test_claims_are_a_groups_and_each_networks(lab: Callable[..., tuple[Plan, Store]]) -> None:
    _, store = lab("claims")
    with claimed(store, ["a", "b", "c"]) as mine:
        assert mine == ["a", "b", "c"]
        with claimed(store, ["a", "b", "c"]) as others:
            assert others == []
        with claimed(store, ["d", "b", "e"]) as regrouped:
            assert regrouped == ["d", "e"]


def test_what_another_process_holds_is_left_and_the_rest_is_made(lab: Callable[..., tuple[Plan, Store]]) -> None:
    plan, store = lab("held")
    keys = [t.key for t in plan.trainings]
    with store.claim(keys[1]):
        told = do(Bench(plan, store), keys)
    assert next(event.left for event in told if isinstance(event, Finished)) == (keys[1],)
    assert [key for key in keys if not store.has(key)] == [keys[1]]


def test_a_crash_of_a_cohort_has_each_of_its_networks_tried_alone(lab: Callable[..., tuple[Plan, Store]]) -> None:
    plan, store = lab("crashing")
    keys = tuple(t.key for t in plan.trainings)
    tasks = [Task("train", keys, keys), *(task for task in tasks_of(plan) if task.kind == "measure")]
    told: list[Event] = []

    def kill_the_cohort(report: Report) -> None:
        if isinstance(report.event, Started) and len(report.event.keys) > 1:
            words = ["pgrep", "-P", str(os.getpid()), "-f", "transferlab.runners.worker"]
            found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
            os.kill(int(found[0]), signal.SIGKILL)
        told.append(report.event)

    executor = EXECUTORS["local"].make(plan, store, Machine("cpu", "fp32", 1, "test"), None, 900.0)
    try:
        Drive(tasks, RunState(), store, executor, kill_the_cohort).work()
    finally:
        executor.close()
    begun = [event.keys for event in told if isinstance(event, Started)]
    assert [len(started) for started in begun if set(started) <= set(keys)] == [4, 1, 1, 1, 1]
    assert drive.missing(plan, store) == []
    assert store.failures() == {}
