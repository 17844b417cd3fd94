"""Running a plan for real on tiny packs: done once, killed and resumed, failures kept, two runners on one store."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transferlab import Study, compare, designs
from transferlab.errors import UserError
from transferlab.events import Finished, Report, Resumed, Started
from transferlab.outcomes.store import Store
from transferlab.plan import Place, make_plan
from transferlab.planned import Plan, SourceFacts
from transferlab.report.gather import table_rows
from transferlab.runners import drive
from transferlab.runners.local import MOST_STILLBORN, Local, Setup
from transferlab.runners.machine import Machine
from transferlab.runners.prepare import Prepared, Request, prepare
from transferlab.specs import Augmentation, Examples, Pack, Recipe, TargetFacts
from transferlab.tasks import tasks_of

MACHINE = Machine("cpu", "fp32", 1, "test")
RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, length=Examples(320), precision="fp32",
                augmentation=Augmentation(2, False))  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two npz files, a source and a target, made of brightness and noise."""
    tmp_path = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for name, n in (("source", 60), ("target", 60)):
        labels = np.arange(n) % 3
        images = (random.integers(0, 120, (n, 16, 16, 3)) + labels[:, None, None, None] * 60).astype(np.uint8)
        split = np.array(["train", "val", "test"])[np.arange(n) // 3 % 3]
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels, split=split)
    return f"npz:{tmp_path}/source.npz", f"npz:{tmp_path}/target.npz"


STUDY = """
from transferlab import Study, Recipe, Examples, designs, compare, probe, knn
from transferlab.specs import Augmentation
study = Study(source={source!r}, targets=[{target!r}],
    conditions={{n: designs.images_per_class(n) for n in (2, 6)}}, controls=["random-features", "a/a"],
    contrasts=[compare("6", "2")], seeds=2, protocols=[probe(), knn()],
    recipe=Recipe(backbone={backbone!r}, image_px=16, batch=16, length=Examples({examples}), precision="fp32",
                  augmentation=Augmentation(2, False)))
"""


def command(tmp_path: Path, source: tuple[str, str], store: str, **knobs: Any) -> list[str]:
    values = {"backbone": "small:8", "examples": 320, **knobs}
    file = tmp_path / "my_study.py"
    file.write_text(STUDY.format(source=source[0], target=source[1], **values))
    return [sys.executable, "-m", "transferlab", "run", str(file), "--store", str(tmp_path / store), "--device", "cpu"]


def prepared_study(
    tmp_path: Path, source: tuple[str, str], *, examples: int = 320, settings: str = "batch=16,", seeds: int = 1
) -> Prepared:
    """The study file ``s.py``, prepared in the store ``lab``; ``settings`` stand in its recipe."""
    file = tmp_path / "s.py"
    text = STUDY.format(source=source[0], target=source[1], backbone="small:8", examples=examples)
    file.write_text(text.replace("batch=16,", settings))
    return prepare(Request(str(file), None, [], tmp_path / "lab", device="cpu", seeds=seeds), lambda *_: None)


def rows(store: Path) -> list[dict[str, Any]]:
    return list(table_rows(Store.open(store, create=False)))


@pytest.fixture(scope="module")
def undisturbed(
    source: tuple[str, str], tmp_path_factory: pytest.TempPathFactory, on_one_core: list[str]
) -> Callable[..., list[dict[str, Any]]]:
    """The table of a study that runs alone and is not stopped, made once for equal settings."""

    @functools.cache
    def table(**knobs: Any) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp("undisturbed")
        words = [*on_one_core, *command(folder, source, "lab", **knobs)[3:]]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return rows(folder / "lab")

    return table


def test_a_study_runs_once_and_a_second_run_does_nothing(tmp_path: Path, source: tuple[str, str]) -> None:
    words = command(tmp_path, source, "lab")
    first = subprocess.run(words, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "6 against 2" in first.stdout
    table = rows(tmp_path / "lab")
    assert {row["condition"] for row in table} == {"2", "6", "random-features", "a/a"}
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "lab" / "cells").rglob("*") if p.is_file()}
    second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "nothing left to do" in second.stderr
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "lab" / "cells").rglob("*") if p.is_file()}


def test_a_study_file_that_changes_the_folder_runs_from_any_folder(
    tmp_path: Path, source: tuple[str, str], on_one_core: list[str]
) -> None:
    words = command(tmp_path, source, "lab")
    file = Path(words[4])
    file.write_text(f"import os\nos.chdir({str(tmp_path.parent)!r})\n" + file.read_text().replace("seeds=2", "seeds=1"))
    done = subprocess.run([*on_one_core, "run", file.name, "--store", "lab", "--device", "cpu"], cwd=tmp_path, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "lab")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_stopped_at_any_moment_and_run_again_gives_the_same_table(
    tmp_path: Path, source: tuple[str, str], undisturbed: Callable[..., list[dict[str, Any]]], sign: signal.Signals
) -> None:
    knobs = {"backbone": "small:16", "examples": 3200}
    words = command(tmp_path, source, "broken", **knobs)

    def n_cells() -> int:
        return len(list((tmp_path / "broken").glob("cells/??/*/record-*.json")))

    for more in (1, 3):  # stop once so many more cells are there
        wanted = n_cells() + more
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and n_cells() < wanted:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)  # and leave the core to the workers
        process.send_signal(sign)
        _, errors = process.communicate()
        if sign == signal.SIGINT and process.returncode:
            assert process.returncode == 130
            assert "goes on from there" in errors
            assert "Traceback" not in errors
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "broken") == undisturbed(**knobs)


def test_two_runs_on_one_store_share_the_work(
    tmp_path: Path, source: tuple[str, str], undisturbed: Callable[..., list[dict[str, Any]]]
) -> None:
    words = command(tmp_path, source, "lab")
    pair = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in pair]
    assert [process.returncode for process in pair] == [0, 0], errors
    assert rows(tmp_path / "lab") == undisturbed()


def small_plan(store: Store, pack: Pack, **changes: Any) -> Plan:
    study = Study(source="", targets=["t"], conditions={"all": designs.all_images(), "few": designs.images_per_class(3)},
                  controls=(), contrasts=[compare("all", "few")], seeds=1, recipe=replace(RECIPE, **changes))  # fmt: skip
    source = SourceFacts("made", pack.digest, pack.name)
    target = TargetFacts("made", pack.digest, pack.name, own_classes=True)
    return make_plan(study, (source, pack), [target], Place("cpu", "fp32"), store.write_subset)


def test_a_loss_that_is_not_finite_is_recorded_and_the_rest_goes_on(tmp_path: Path, source: tuple[str, str]) -> None:
    prepared = prepared_study(tmp_path, source, settings="batch=16, lr=1e30,", seeds=2)
    told: list[Report] = []
    left = drive.run(prepared.plan, prepared.store, replace(prepared.machine, n_units=1), told.append)
    assert left > 0
    reasons = {reason for _, reason in drive.failures(prepared.plan, prepared.store)}
    assert any("loss" in reason for reason in reasons)
    untrained = [t for t in prepared.plan.transfers if t.condition == "random-features"]
    assert all(prepared.store.has(t.key) for t in untrained)


def worker_of_this_process() -> int:
    words = ["pgrep", "-P", str(os.getpid()), "-f", "transferlab.runners.worker"]
    (found,) = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return int(found)


def test_a_worker_that_is_killed_fails_its_cell_and_another_takes_over(tmp_path: Path, source: tuple[str, str]) -> None:
    prepared = prepared_study(tmp_path, source, examples=640, seeds=2)
    killed: list[str] = []

    def kill_the_first(report: Report) -> None:
        if isinstance(report.event, Started) and not killed:
            killed.extend(report.event.keys)
            os.kill(worker_of_this_process(), signal.SIGKILL)

    left = drive.run(prepared.plan, prepared.store, replace(prepared.machine, n_units=1), kill_the_first)
    failed = dict(drive.failures(prepared.plan, prepared.store))
    assert killed[0] in failed
    assert "killed" in failed[killed[0]]
    assert 0 < left < len(prepared.plan.transfers)
    again = drive.run(prepared.plan, prepared.store, replace(prepared.machine, n_units=1), lambda _: None)
    assert again == 0
    assert not prepared.store.failures()


def test_a_worker_that_is_asked_to_leave_fails_nothing_and_another_takes_over(
    tmp_path: Path, source: tuple[str, str]
) -> None:
    prepared = prepared_study(tmp_path, source)
    asked: list[int] = []
    resumed: list[Resumed] = []

    def terminate_the_first(report: Report) -> None:
        if isinstance(report.event, Started) and not asked:
            asked.append(worker_of_this_process())
            os.kill(asked[0], signal.SIGTERM)
        if isinstance(report.event, Resumed):
            resumed.append(report.event)

    left = drive.run(prepared.plan, prepared.store, replace(prepared.machine, n_units=1), terminate_the_first)
    assert (left, prepared.store.failures()) == (0, {})
    assert len(resumed) == 1


def test_a_worker_that_is_killed_before_its_first_event_costs_nothing(tmp_path: Path, source: tuple[str, str]) -> None:
    prepared = prepared_study(tmp_path, source)
    executor = Local(Setup(str(tmp_path / "lab"), prepared.plan.identity, 1, prepared.study_file), 1, "cpu", 900.0)
    task = tasks_of(prepared.plan)[0]
    try:
        for sign in (signal.SIGKILL, signal.SIGTERM):
            executor.start(task)
            os.kill(worker_of_this_process(), sign)
            (report,) = executor.wait(60.0)
            assert report.event == Finished(task.cells)
        assert not prepared.store.failures()
    finally:
        executor.close()


def test_workers_that_the_system_kills_one_after_another_end_the_run_with_the_reason(
    tmp_path: Path, source: tuple[str, str]
) -> None:
    prepared = prepared_study(tmp_path, source)
    executor = Local(Setup(str(tmp_path / "lab"), prepared.plan.identity, 1, prepared.study_file), 1, "cpu", 900.0)
    try:
        with pytest.raises(UserError, match="its process was killed: usually by the system, because memory ran out"):
            for _ in range(MOST_STILLBORN + 1):
                executor.start(tasks_of(prepared.plan)[0])
                os.kill(worker_of_this_process(), signal.SIGKILL)
                executor.wait(60.0)
    finally:
        executor.close()


EXITING = """
import os, sys
from transferlab import ProtocolDefinition
def leave(problem):
    {exit}
leaving = ProtocolDefinition(name="leaving", run=leave)
"""


@pytest.mark.parametrize(("exit_", "code"), [("os._exit(0)", 0), ("sys.exit(75)", 75)])
def test_a_protocol_that_ends_its_process_as_if_all_were_well_fails_its_cells(
    exit_: str, code: int, tmp_path: Path, source: tuple[str, str], on_one_core: list[str]
) -> None:
    words = command(tmp_path, source, "lab")
    file = Path(words[4])
    file.write_text(
        EXITING.format(exit=exit_)
        + file.read_text().replace("[probe(), knn()]", "[leaving()]").replace("seeds=2", "seeds=1")
    )
    done = subprocess.run([*on_one_core, *words[3:]], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"its process ended with exit code {code}" in done.stderr


def test_a_hung_worker_is_killed_and_its_cell_recorded(tmp_path: Path, source: tuple[str, str]) -> None:
    prepared = prepared_study(tmp_path, source)
    stopped: list[int] = []

    def freeze_the_first(report: Report) -> None:
        if isinstance(report.event, Started) and not stopped:
            stopped.append(worker_of_this_process())
            os.kill(stopped[0], signal.SIGSTOP)

    begun = time.monotonic()
    left = drive.run(prepared.plan, prepared.store, replace(prepared.machine, n_units=1), freeze_the_first, 20.0)
    assert time.monotonic() > begun
    assert left > 0
    assert any("hung" in reason for _, reason in drive.failures(prepared.plan, prepared.store))


MakePack = Callable[..., Pack]


def test_the_same_study_gives_the_same_keys_and_any_change_gives_others(tmp_path: Path, make_pack: MakePack) -> None:
    store = Store.open(tmp_path / "lab", create=True)
    pack = make_pack()
    first, again = small_plan(store, pack), small_plan(store, pack)
    assert first == again
    keys = {t.key for t in first.trainings}
    for change in ({"lr": 0.2}, {"batch": 8}, {"length": Examples(640)}, {"image_px": 32}, {"ema": 0.9}):
        assert not keys & {t.key for t in small_plan(store, pack, **change).trainings}
    assert keys == {t.key for t in small_plan(store, pack, name="another name").trainings}
    assert not keys & {t.key for t in small_plan(store, make_pack(seed=1)).trainings}
