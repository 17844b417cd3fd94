"""A report as data: sections made of blocks, independent of HTML, Markdown and JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from transferlab.answers.points import points

FRACTION = "fraction"  # the unit of scores, shares and their differences: 0.01 is 1 %, or one point
UNKNOWN = "–"


@dataclass(frozen=True)
class Number:
    """A quantity with its unit and, if it has one, its 95 % interval; None or NaN if it is unknown."""

    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None

    def facts(self) -> dict[str, float | str | None]:
        """The number as plain JSON data; values that are not finite become None."""
        parts = {"value": self.value, "low": self.low, "high": self.high}
        return {**{k: v if v is not None and math.isfinite(v) else None for k, v in parts.items()}, "unit": self.unit}


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, small text beside and below it, and the anchor in the report that its text leads to."""

    text: str
    beside: str = ""
    below: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Column:
    """A column: its title, and small text below it; columns of numbers are right-aligned."""

    title: str
    numeric: bool = False
    below: str = ""


@dataclass(frozen=True)
class Row:
    """A row whose first cell is its heading; ``quiet`` rows, those of controls, are grey."""

    cells: tuple[Cell, ...]
    quiet: bool = False


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """Paragraphs, or the lines of a list. ``answer`` is set off, ``strong`` is bold, ``quiet`` is small and grey."""

    paragraphs: tuple[str, ...]
    role: Literal["plain", "answer", "strong", "quiet", "list", "quiet list"] = "plain"


@dataclass(frozen=True)
class Callout:
    """A framed warning."""

    title: str
    text: str


@dataclass(frozen=True)
class Definitions:
    """Terms, each with its description."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Picture:
    """An SVG figure or a PNG sheet of images: its file name, its content in words, its bytes, its caption."""

    name: str
    alt: str
    data: bytes
    caption: str = ""
    form: Literal["svg", "png"] = "svg"


@dataclass(frozen=True)
class Pictures:
    """Pictures of one form, side by side if there is room; ``small`` ones are shown in their own size."""

    pictures: tuple[Picture, ...]
    small: bool = False


@dataclass(frozen=True)
class Details:
    """A list of sentences that opens on demand; where nothing opens, it stands at the end of its section."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Beside:
    """Blocks that stand side by side if there is room."""

    blocks: tuple[Pictures | Definitions, ...]


Block = Heading | Text | Callout | Table | Pictures | Definitions | Details | Beside


@dataclass(frozen=True)
class Section:
    """One section: its name, its title ("" for none), its blocks, and its data for JSON."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    data: object
    failed: bool = False


@dataclass(frozen=True)
class Chapter:
    """One study: its name, its question, its sections and its identity."""

    name: str
    title: str
    sections: tuple[Section, ...]
    identity: str = ""

    def contents(self, number: int) -> list[tuple[str, str]]:
        """Anchor and title of each section that has a title; ``number`` is the chapter's, from 1."""
        return [(anchor_of(number, section.name), section.title) for section in self.sections if section.title]


@dataclass(frozen=True)
class Document:
    """A report: sections on all studies together, then a chapter for each study."""

    title: str
    overview: tuple[Section, ...]
    chapters: tuple[Chapter, ...]

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Anchor and title of whatever stands on the page, if that is more than one chapter."""
        chapters = [(anchor_of(number), chapter.title) for number, chapter in enumerate(self.chapters, 1)]
        found = [*((section.name, section.title) for section in self.overview if section.title), *chapters]
        return found if len(found) > 1 else []

    @property
    def failed(self) -> bool:
        """Whether a section could not be made."""
        return any(s.failed for s in (*self.overview, *(s for c in self.chapters for s in c.sections)))


def anchor_of(chapter: int, section: str = "") -> str:
    """Where links to a chapter, counted from 1, or to a section of it lead."""
    return f"q{chapter}-{section}" if section else f"q{chapter}"


def row(*cells: Cell | str, quiet: bool = False) -> Row:
    """A row of cells, given as cells or as text."""
    return Row(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells), quiet)


def texts(*titles: str) -> tuple[Column, ...]:
    """Columns of text."""
    return tuple(map(Column, titles))


def numbers(*titles: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(Column(title, numeric=True) for title in titles)


def span(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """The limits of an interval, 0…1, in points."""
    return UNKNOWN if low is None or high is None else f"{points(low, signed=signed)} to {points(high, signed=signed)}"
