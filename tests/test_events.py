"""Events and tasks survive their line of JSON, and what is no event is refused."""

from __future__ import annotations

import pytest

from transferlab.events import (
    EVENTS,
    Crashed,
    Discarded,
    Done,
    Event,
    Failed,
    Finished,
    Halted,
    Left,
    Progressed,
    Resumed,
    Started,
    from_line,
    to_line,
)  # fmt: skip
from transferlab.runners.local import Setup
from transferlab.tasks import Task

TOLD: list[Event] = [
    Started(("a", "b"), "pre-train ü\n5"), Resumed("a", 7), Discarded("a", "w", "step 9 of 4"), Progressed("w", 0.25, 1.5, 2e3), Done("a", "w"),
    Failed("a", "w", "why", "Traceback:\n  line"), Finished(), Finished(("a",)), Crashed("killed", ""),
    Left(), Halted("the disk is full", "lab", "make room"),
]  # fmt: skip


@pytest.mark.parametrize("event", TOLD, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_one_line(event: Event) -> None:
    line = to_line(event)
    assert line.endswith("\n") and line.count("\n") == 1
    assert from_line(line, EVENTS) == event


def test_every_kind_of_event_has_its_name() -> None:
    assert {type(event) for event in TOLD} == set(EVENTS.values())


def test_a_task_and_a_setup_come_back_from_their_lines() -> None:
    task = Task("measure", ("n",), ("s", "t"), ("n",))
    assert from_line(to_line(task), {"Task": Task}) == task
    setup = Setup("/a store", "study", 2, None, 0.5, locks=False)
    assert from_line(to_line(setup), {"Setup": Setup}) == setup


@pytest.mark.parametrize("line", ['{"type": "Task"}', '{"type": "Done", "key": "a"}', "a warning", "{}"])
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_line(line, EVENTS)
