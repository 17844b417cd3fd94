"""Events that report how a task proceeds; they travel between processes as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast, get_args

T = TypeVar("T")


@dataclass(frozen=True)
class Started:
    """Work began on a cell, or on several networks that are trained together; ``what`` describes it."""

    keys: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Resumed:
    """A training resumed from the checkpoint of a step."""

    key: str
    step: int


@dataclass(frozen=True)
class Discarded:
    """The checkpoint of a training cannot be restored, and the training starts again; ``reason`` is one line."""

    key: str
    what: str
    reason: str


@dataclass(frozen=True)
class Progressed:
    """Progress of the work started last: the completed share in 0…1, the latest loss (or NaN), images per second."""

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
    """A cell failed; ``reason`` is one line."""

    key: str
    what: str
    reason: str
    traceback: str


@dataclass(frozen=True)
class Finished:
    """The task ended; the cells in ``left`` were skipped because another process has locked them."""

    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Crashed:
    """The worker died during the task: the reason, and the end of its standard error."""

    reason: str
    traceback: str


@dataclass(frozen=True)
class Left:
    """The worker was asked to leave; its training is saved, and another worker continues the task."""


@dataclass(frozen=True)
class Halted:
    """No task can be done, for example because the disk is full; the fields are those of a UserError."""

    what: str
    where: str
    remedy: str


Event = Started | Resumed | Discarded | Progressed | Done | Failed | Finished | Crashed | Left | Halted
EVENTS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


@dataclass(frozen=True)
class Report:
    """An event and the number of the worker that sent it."""

    worker: int
    event: Event


def to_line(message: Any) -> str:
    """A dataclass of plain fields as one line of JSON, ending with a newline."""
    return json.dumps({"type": type(message).__name__, **vars(message)}) + "\n"


def from_line(line: str, kinds: Mapping[str, type[T]]) -> T:
    """The inverse of ``to_line``.

    Raises:
        KeyError, TypeError, ValueError: the line is not a message of one of these kinds.
    """
    fields = cast("dict[str, Any]", json.loads(line))
    kind = kinds[fields.pop("type")]
    return kind(**{name: tuple(cast("list[Any]", v)) if isinstance(v, list) else v for name, v in fields.items()})
