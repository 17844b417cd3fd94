"""The driver against an executor that plays events: crashes, halts, cells that another process makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.events import Crashed, Done, Event, Failed, Finished, Halted, Report, Started
from transferlab.outcomes.store import Store
from transferlab.runners.drive import Drive
from transferlab.tasks import RunState, Task

TASKS = [Task("train", ("a", "b"), ("a", "b")), Task("measure", ("a",), ("a:0", "a:1"), ("a",)),
         Task("measure", ("b",), ("b:0", "b:1"), ("b",)), Task("measure", ("u",), ("u:0",))]  # fmt: skip
CELLS = {cell for task in TASKS for cell in task.cells}
Play = Callable[[Task], list[Event]]


def success(task: Task) -> list[Event]:
    return [*(event for key in task.cells for event in (Started((key,), key), Done(key, key))), Finished()]


class Player:
    """Does one task at a time by telling the events that a function makes up."""

    def __init__(self, play: Play) -> None:
        self.play, self.reports, self.started = play, list[Report](), list[Task]()

    def n_free(self) -> int:
        return 0 if self.reports else 1

    def start(self, task: Task) -> int:
        self.started.append(task)
        self.reports = [Report(0, event) for event in self.play(task)]
        return 0

    def wait(self, seconds: float) -> Sequence[Report]:
        told, self.reports = self.reports, []
        return told

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "lab", create=True)


def driven(store: Store, play: Play) -> tuple[RunState, Player, list[Event]]:
    at, player, told = RunState(), Player(play), list[Event]()
    Drive(TASKS, at, store, player, lambda report: told.append(report.event)).work()
    return at, player, told


def test_every_task_is_done_once_and_every_event_is_told(store: Store) -> None:
    at, player, told = driven(store, success)
    assert at.done == CELLS
    assert player.started == TASKS
    assert told == [event for task in TASKS for event in success(task)]


def test_a_crash_fails_the_cell_that_was_being_made_and_the_task_goes_on(store: Store) -> None:
    def play(task: Task) -> list[Event]:
        if "a:0" in task.cells:
            return [Started(("a:0",), "a's first"), Crashed("it was killed", "last words")]
        return success(task)

    at, _, told = driven(store, play)
    assert at.failed == {"a:0"}
    assert at.done == CELLS - {"a:0"}
    assert Failed("a:0", "a's first", "it was killed", "last words") in told
    assert store.failures()["a:0"]["reason"] == "it was killed"


def test_a_crash_between_two_cells_fails_neither(store: Store) -> None:
    def play(task: Task) -> list[Event]:
        return [*success(task)[:2], Crashed("it was killed", "")] if "a:0" in task.cells else success(task)

    at, player, _ = driven(store, play)
    assert (at.done, store.failures()) == (CELLS, {})
    assert [task.cells for task in player.started if task.networks == ("a",)] == [("a:0", "a:1"), ("a:1",)]


def test_a_crash_after_a_cell_was_kept_and_before_that_was_told_is_no_failure(store: Store) -> None:
    def play(task: Task) -> list[Event]:
        if "a:0" not in task.cells:
            return success(task)
        store.write_cell("a:0", ["a:0"], {"metrics": {}}, {})
        return [Started(("a:0",), "a's first"), Crashed("it was killed", "")]

    at, _, _ = driven(store, play)
    assert (at.done, store.failures()) == (CELLS, {})


def test_a_crash_before_anything_began_fails_the_first_cell_so_that_the_run_ends(store: Store) -> None:
    at, _, _ = driven(store, lambda task: [Crashed("it was killed", "")])
    assert at.failed == {"a", "b", "u:0"}
    assert at.done == set()


def test_a_crash_of_a_cohort_fails_only_the_network_that_crashes_alone(store: Store) -> None:
    def play(task: Task) -> list[Event]:
        return [Started(task.cells, "together"), Crashed("it was killed", "")] if "a" in task.cells else success(task)

    at, player, _ = driven(store, play)
    assert [task.cells for task in player.started if task.kind == "train"] == [("a", "b"), ("a",), ("b",)]
    assert at.failed == {"a"}
    assert at.done == {"b", "b:0", "b:1", "u:0"}


def test_what_no_task_can_do_anything_about_ends_the_run_as_the_users_error(store: Store) -> None:
    with pytest.raises(UserError, match="the disk is full"):
        driven(store, lambda task: [Halted("the disk is full", "lab", "make room")])


def test_cells_that_another_process_makes_are_waited_for(store: Store) -> None:
    def play(task: Task) -> list[Event]:
        if "a" not in task.cells:
            return success(task)
        if "u:0" in {done.cells[0] for done in player.started[:-1]}:  # by then the other process has made it
            store.write_cell("a", ["a"], {"metrics": {}}, {})
        return [Started(("b",), "b"), Done("b", "b"), Finished(("a",))] if "b" in task.cells else [Finished(("a",))]

    at, player = RunState(), Player(play)
    Drive(TASKS, at, store, player, lambda report: None).work()
    assert at.done == CELLS
    assert [task.cells for task in player.started][:4] == [("a", "b"), ("b:0", "b:1"), ("u:0",), ("a",)]
