"""What is told while a task is done: typed events, which travel between processes as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class Started:
    """Work began on a cell, or on the training of several networks together; ``what`` says it in words."""

    keys: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Resumed:
    """A training went on from the checkpoint of a step."""

    key: str
    step: int


@dataclass(frozen=True)
class Progressed:
    """How far the work that started last is: its share in 0…1, the latest loss, images per second."""

    what: str
    share: float
    loss: float
    images_per_second: float


@dataclass(frozen=True)
class Done:
    """A cell is in the store."""

    key: str
    what: str


@dataclass(frozen=True)
class Failed:
    """A cell failed: why, in one line, and the traceback."""

    key: str
    what: str
    reason: str
    traceback: str


@dataclass(frozen=True)
class Finished:
    """The task ended, and another may start; cells that are ``left`` are not done because another process holds them."""

    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Crashed:
    """What did the task died: why, in words, and the last that it wrote."""

    reason: str
    traceback: str


@dataclass(frozen=True)
class Halted:
    """No task can be done, for example because the disk is full: the parts of a UserError."""

    what: str
    where: str
    remedy: str


Event = Started | Resumed | Progressed | Done | Failed | Finished | Crashed | Halted
EVENTS: Mapping[str, type[Event]] = {
    kind.__name__: kind for kind in (Started, Resumed, Progressed, Done, Failed, Finished, Crashed, Halted)
}


@dataclass(frozen=True)
class Report:
    """An event and the number of the worker that it comes from."""

    worker: int
    event: Event


def to_line(message: Any) -> str:
    """A dataclass of plain fields as one line of JSON, with its line end."""
    return json.dumps({"type": type(message).__name__, **vars(message)}) + "\n"


def from_line(line: str, kinds: Mapping[str, type[T]]) -> T:
    """What ``to_line`` was given.

    Raises:
        KeyError, TypeError, ValueError: the line holds no message of these kinds.
    """
    fields = cast("dict[str, Any]", json.loads(line))
    kind = kinds[fields.pop("type")]
    return kind(**{name: tuple(cast("list[Any]", v)) if isinstance(v, list) else v for name, v in fields.items()})
