"""Definitions: one object with all facts of a protocol, origin, metric, design, …, and the tables that find it by name.

A definition comes from this package, from a study file or from an installed package (see ``extensions``). Code that needs a
fact reads it from the definition; only the definition's own file may depend on its name.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from transferlab.errors import UserError
from transferlab.typed import misfit

Value = int | float | str | tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting of a definition.

    Args:
        means: what it sets, a phrase with its unit.
        default: the value if a study gives none; None leaves the choice to the definition.
        required: whether a study must give it.
        low, high: range of numbers, both ends included. whole: whether only whole numbers are allowed.
        words: allowed words, instead of numbers or in addition to them.
        names: whether it takes a list of names rather than one value.
        in_label: whether the labels of results include it.
    """

    means: str
    default: Value | None = None
    required: bool = False
    low: float | None = None
    high: float | None = None
    whole: bool = False
    words: tuple[str, ...] = ()
    names: bool = False
    in_label: bool = False

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.names:
            return "a list of names"
        kind = "a whole number" if self.whole else "a number"
        if self.low is not None:
            kind += f" from {self.low:g} up" if self.high is None else f" from {self.low:g} to {self.high:g}"
        elif self.high is not None:
            kind += f" up to {self.high:g}"
        return " or ".join([*([kind] if self._takes_numbers else []), *self.words])

    @property
    def _takes_numbers(self) -> bool:
        return not self.words or self.whole or not self.low is self.high is None

    def allows(self, value: object) -> bool:
        """Whether a study may give this value."""
        if self.names:
            return isinstance(value, (list, tuple)) and all(
                isinstance(name, str) for name in cast("Sequence[object]", value)
            )
        if isinstance(value, str):
            return value in self.words
        if not self._takes_numbers or isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if not abs(value) < math.inf:
            return False
        if self.whole and not isinstance(value, int):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What all definitions have.

    Args:
        name: its name in studies, commands and keys: lower-case letters, digits, "-", "_", "/" and blanks.
        title, explained: its name and a phrase that describes it, of protocols, controls and image formats in reports and
            manuals; a report's section has a title alone. Nothing shows those of other kinds.
        parameters: its settings by name.
        version: increase it whenever what it computes changes; it is part of keys if the definition is from outside the package.
    """

    name: str
    title: str = ""
    explained: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    version: int = 0

    def settings(self, given: Mapping[str, object]) -> dict[str, Value]:
        """The given settings and the defaults of the others, checked; settings without a value are left out.

        Raises:
            UserError: a setting that is unknown, missing or not allowed.
        """
        if unknown := [name for name in given if name not in self.parameters]:
            known = ", ".join(self.parameters) or "none"
            raise UserError(f"{self.name} has no setting {unknown[0]!r}", self.name, f"its settings are: {known}")
        found: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            value = given.get(name)
            if value is None:
                value = parameter.default
            if value is None:
                if parameter.required:
                    raise UserError(f"{self.name} needs {name}", self.name, f"{parameter.means}: {parameter.allowed}")
                continue
            if not parameter.allows(value):
                raise UserError(f"{name} = {value!r} is impossible", self.name, f"choose {parameter.allowed}")
            found[name] = tuple(value) if parameter.names else value  # type: ignore[arg-type, assignment]
        return found


@dataclass(frozen=True)
class Brought:
    """Where a definition from outside the package comes from.

    Args:
        place: the study file or the package with its version.
        code: digest of its source text, which counts towards keys.
        files: the files that it is written in.
    """

    place: str
    code: str
    files: frozenset[str] = frozenset()


D = TypeVar("D", bound=Definition)
ALL: list[Table[Any]] = []  # every table, also those whose definitions cannot come from outside


class Table(Mapping[str, D], Generic[D]):
    """The definitions of one kind, by name: built-in ones in order, then those from outside.

    Args:
        kind: the kind in words, singular, for example "protocol".
        type_: the class of its definitions.
    """

    def __init__(self, kind: str, type_: type[D], definitions: Sequence[D]) -> None:
        self.kind, self.type = kind, type_
        self._all = {definition.name: definition for definition in definitions}
        self._brought: dict[str, Brought] = {}
        ALL.append(self)
        if len(self._all) < len(definitions):
            raise ValueError(f"two {kind}s share a name")

    def __getitem__(self, name: str) -> D:
        return self._all[name]

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def find(self, name: str, where: str) -> D:
        """The definition of this name; raises UserError, which has a similar name, if there is none."""
        if name in self._all:
            return self._all[name]
        close = difflib.get_close_matches(name, self._all, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UserError(f"there is no {self.kind} {name!r}", where, f"{hint}known are {', '.join(self._all)}")

    def bring(self, definition: D, brought: Brought) -> None:
        """Add a definition from outside, or replace one from the same place.

        Raises:
            UserError: a name that cannot be used in commands or stored data; a built-in definition, or one from another place, has it.
        """
        if wrong := misfit(definition, Definition):
            what = f"{wrong.place} of a {self.kind} cannot be {wrong.shown}"
            raise UserError(what, brought.place, f"give {wrong.wanted}")
        if not re.fullmatch(r"[a-z0-9][a-z0-9 /_-]*", definition.name):
            raise UserError(
                f"no {self.kind} can be called {definition.name!r}", brought.place,
                'use lower-case letters, digits, "-", "_", "/" and blanks',
            )  # fmt: skip
        if "type" in definition.parameters:  # stored data name their types by it
            raise UserError(f"{definition.name} has a setting called 'type'", brought.place, "rename it")
        before = self._brought.get(definition.name)
        if definition.name in self._all and (before is None or before.place != brought.place):
            of = before.place if before else "transferlab"
            raise UserError(f"{of} already has a {self.kind} {definition.name!r}", brought.place, "choose another name")
        self._all[definition.name] = definition
        self._brought[definition.name] = brought

    def brought(self, name: str) -> Brought | None:
        """Where a definition comes from; None if it is built in."""
        return self._brought.get(name)
