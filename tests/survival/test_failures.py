"""What fails is tried once a run and named, the rest goes on; what cannot be done is told before anything is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.events import Failed, Report, Started
from transferlab.outcomes.store import Store
from transferlab.runners import drive
from transferlab.runners.prepare import Request, prepare


def test_a_cell_that_fails_is_tried_once_a_run_however_many_workers_there_are(tmp_path: Path, lab: Any) -> None:
    study = tmp_path / "diverging.py"
    study.write_text(lab.study.read_text().replace("batch=16,", "batch=16, lr=1e30,"))
    prepared = prepare(Request(str(study), None, (), tmp_path / "lab", device="cpu"), lambda *_: None)
    told: list[Report] = []
    left = drive.run(prepared.plan, prepared.store, replace(prepared.machine, n_units=2), told.append)
    events = [report.event for report in told]
    tried = Counter(key for event in events if isinstance(event, Started) for key in event.keys)
    failed = {event.key: event.reason for event in events if isinstance(event, Failed)}
    assert set(failed) == {t.key for t in prepared.plan.trainings}
    assert {tried[key] for key in failed} == {1}
    assert all("lower the learning rate" in reason for reason in failed.values())
    assert dict(drive.failures(prepared.plan, prepared.store)) == failed
    assert left == 6  # two networks with their source accuracy and their transfer; the random one is done


def test_a_transfer_that_fails_leaves_the_others_of_its_network_to_be_done(tmp_path: Path, lab: Any) -> None:
    study = tmp_path / "many.py"
    study.write_text(lab.study.read_text().replace("knn()", "knn(k=1000), knn()"))
    prepared = prepare(Request(str(study), None, (), tmp_path / "lab", device="cpu"), lambda *_: None)
    left = drive.run(prepared.plan, prepared.store, replace(prepared.machine, n_units=1), lambda _: None)
    failed = dict(drive.failures(prepared.plan, prepared.store))
    assert set(failed) == {t.key for t in prepared.plan.transfers if t.cell.protocol.knobs}
    assert all("k = 1000 is impossible" in reason for reason in failed.values())
    assert left == len(failed) == 3


def test_a_study_of_another_version_hinders_no_other(tmp_path: Path, lab: Any) -> None:
    store = Store.open(tmp_path / "lab", create=True)
    store.write_study("s1", {"type": "Plan", "name": "study", "soul": "new"})
    wanted = Request(str(lab.study), None, (), store.path, device="cpu")
    assert prepare(wanted, lambda *_: None).earlier == []
    assert len(prepare(wanted, lambda *_: None).earlier) == 1


def test_impossible_shots_are_told_before_any_work(tmp_path: Path, lab: Any) -> None:
    study = tmp_path / "many.py"
    study.write_text(lab.study.read_text().replace("knn()", "knn(shots=1000)"))
    with pytest.raises(UserError, match="1000 shots are impossible"):
        prepare(Request(str(study), None, (), tmp_path / "lab", device="cpu"), lambda *_: None)
    assert Store.open(tmp_path / "lab", create=False).studies() == {}
