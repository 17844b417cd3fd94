"""What a format of images is: its name, where its files are, its options, and the function that reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transferlab.definitions import Definition, Parameter
from transferlab.errors import UserError
from transferlab.images.bounded import is_the_systems
from transferlab.images.source import Source
from transferlab.specs import LEAST_PX, MOST_PX, Pack

Task = Literal["classes", "labels", "detection"]


@dataclass(frozen=True, kw_only=True)
class Text(Parameter):
    """An option that takes any text, such as a path or the name of a column."""

    @property
    def allowed(self) -> str:
        return "any text"

    def allows(self, value: object) -> bool:
        return isinstance(value, str)


def switch(means: str) -> Parameter:
    """An option that is ``yes`` or, by default, ``no``."""
    return Parameter(means=means, words=("yes", "no"), default="no")


# Options that every format takes, except one that holds packs.
COMMON: Mapping[str, Parameter] = {
    "name": Text(means="the name that reports show"),
    "taxonomy": Text(means="a taxonomy file, or `wordnet`"),
    "prune": switch("leave out what the taxonomy file has and the images do not"),
    "join_roots": switch("join several roots of the taxonomy file under one"),
    "resplit": switch("ignore the splits of the data set and divide it again"),
    "size": Parameter(means="side of the packed images in pixels", whole=True, low=LEAST_PX, high=MOST_PX),
}


@dataclass(frozen=True)
class Request:
    """What a SPEC asks its format to read.

    Args:
        text: what follows the colon.
        path: the file or folder, which exists; the current folder for formats without files.
        where: the SPEC without its options, for errors.
        options: the format's own options as text, with their defaults; options without a value are left out.
    """

    text: str
    path: Path
    where: str
    options: Mapping[str, str]

    def says(self, switch: str) -> bool:
        """Whether an option is ``yes``."""
        return self.options[switch] == "yes"


@dataclass(frozen=True, kw_only=True)
class Format(Definition):
    """A format of labelled images.

    Args:
        read: looks at names and sizes, not at pixels, and returns the source.
        path: what stands for PATH in a SPEC, a phrase; "" if the format takes none.
        root: the option that holds the path, if what follows the colon is a name.
        tasks: what the images can be used for: one class each, several labels each, or detection.
        open_pack: opens images that are packed already; None if they have to be packed first.
    """

    read: Callable[[Request], Source]
    path: str = ""
    root: str = ""
    tasks: tuple[Task, ...] = ("classes",)
    open_pack: Callable[[Path], Pack] | None = None

    @property
    def options(self) -> Mapping[str, Parameter]:
        """Every option that a SPEC may give, by name."""
        return self.parameters if self.open_pack else {**self.parameters, **COMMON}

    def check(self, text: str, options: Mapping[str, str], spec: str) -> None:
        """Check what follows the colon of a SPEC, without looking at any file.

        Raises:
            UserError: an option that is unknown, not valid or missing; a path that is missing or that the format does not take.
        """
        known = self.options
        for name, value in options.items():
            if name not in known:
                raise UserError(f"{self.name} has no option {name!r}", spec, f"it has {', '.join(known) or 'none'}")
            number = int(value) if re.fullmatch(r"-?(0|[1-9][0-9]*)", value) else None
            if not known[name].allows(value) and (number is None or not known[name].allows(number)):
                raise UserError(f"the option {name}={value} is not valid", spec, f"choose {known[name].allowed}")
        for name, parameter in known.items():
            if parameter.required and name not in options:
                raise UserError(f"{self.name} needs the option {name}", spec, f"add ?{name}=… ({parameter.means})")
        if bool(text) != bool(self.path):
            what, remedy = ("needs a", f"{self.name}:PATH") if self.path else ("takes no", self.name)
            raise UserError(f"{self.name} {what} path", spec, f"write {remedy}")

    def locate(self, text: str, options: Mapping[str, str]) -> Path:
        """The file or folder that a checked SPEC names; raises UserError if it does not exist."""
        return existing(options[self.root] if self.root else text, self.name) if self.path else Path()

    def open(self, text: str, options: Mapping[str, str]) -> Source:
        """The source that follows the colon of a SPEC; options that all formats share are left to the caller.

        Raises:
            UserError: as ``check`` and ``locate``, or something is wrong with the files.
        """
        where = f"{self.name}:{text}" if self.path else self.name
        self.check(text, options, where)
        defaults = {name: str(p.default) for name, p in self.parameters.items() if p.default is not None}
        own = {name: value for name, value in options.items() if name in self.parameters}
        return self.read(Request(text, self.locate(text, options), where, {**defaults, **own}))


def is_there(path: str) -> bool:
    """Whether a path exists; False also for what cannot be one."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, a null character
        return False


def existing(path: str, form: str) -> Path:
    """The path, with ~ expanded; raises UserError if it does not exist, or is a pipe or a device."""
    found = Path(path).expanduser() if path.startswith("~/") else Path(path)
    if not is_there(str(found)):
        raise UserError("there is no such file or folder", f"{form}:{path}", "check the path")
    if not (found.is_file() or found.is_dir()) or is_the_systems(found):
        raise UserError("this is a pipe, a device or made up by the system", f"{form}:{path}", "name a file or folder")
    return found
