"""What a person sees while the laboratory works: bars on a terminal, plain lines elsewhere, always standard error."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import Any

from transferlab.events import Done, Failed, Progressed, Report

WIDE = 60  # columns from which bars have notes behind them


def printable(text: str) -> str:
    """Text without control and direction characters, which names from folders may hold and terminals obey."""
    return "".join(c if c.isprintable() else "�" for c in text)


def say(text: str) -> None:
    """One line on standard error, whatever names it holds."""
    print(printable(text), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: "42 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Display:
    """Progress of one command; use it as a context. On a terminal it draws bars, elsewhere a line now and then."""

    def __init__(self, every_seconds: float = 20.0) -> None:
        self.every_seconds = every_seconds
        self.begun = time.monotonic()
        self.bars: Any = None
        self.text_columns = 0
        self.tasks: dict[str, Any] = {}
        self.told: dict[str, float] = {}

    def __enter__(self) -> Display:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console(stderr=True)
            self.text_columns = max(12, console.width // 3)
            notes = [TextColumn("{task.fields[note]}", markup=False)] if console.width >= WIDE else []
            self.bars = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), MofNCompleteColumn(),
                TimeRemainingColumn(compact=True), *notes, console=console, transient=True,
            )  # fmt: skip
            self.bars.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.bars is not None:
            self.bars.stop()

    def seconds(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.begun

    def packing(self, text: str, done: int, total: int | None) -> None:
        """Images of a pack, decoded so far and in all."""
        self.count(f"pack {text}", done, total, unit="images")

    def looking(self, text: str, done: int, total: int | None) -> None:
        """Images compared for likeness, so far and in all."""
        self.count(f"compare {text}", done, total, unit="images")

    def count(self, title: str, done: int, total: int | None, *, unit: str, note: str = "") -> None:
        """Any count that grows; its rate and time left are worked out here."""
        title, note = printable(title), printable(note)
        if self.bars is not None:
            if title not in self.tasks:
                self.tasks[title] = self.bars.add_task(self._cut(title), total=total, note="")
            self.bars.update(self.tasks[title], completed=done, total=total, note=self._cut(note))
            return
        now = time.monotonic()
        begun = self.told.setdefault(f"begin {title}", now)
        if now - self.told.get(title, -math.inf) < self.every_seconds and (
            done != total or self.told.get(f"end {title}")
        ):
            return
        self.told[f"end {title}"] = float(done == total)
        self.told[title] = now
        rate = done / max(now - begun, 1e-6)
        left = (
            f", {duration((total - done) / rate)} left" if total and rate > 0 and done < total and now > begun else ""
        )
        of = f" of {total:,}" if total else ""
        say(f"[{duration(now - self.begun)}] {title}: {done:,}{of} {unit}{left}{' · ' + note if note else ''}")

    def _cut(self, text: str) -> str:
        """A third of the terminal's width at most: the bar needs room, however long names are."""
        return text if len(text) <= self.text_columns else f"{text[: self.text_columns - 1]}…"

    def running(self, n_cells: int) -> RunDisplay:
        """The display of a run over so many missing cells."""
        return RunDisplay(self, n_cells)


class RunDisplay:
    """Progress of a run: cells done, what each worker is at, time left from the pace so far."""

    def __init__(self, display: Display, n_cells: int) -> None:
        self.display, self.n_cells, self.n_done = display, n_cells, 0

    def __call__(self, report: Report) -> None:
        event = report.event
        if isinstance(event, Progressed) and event.share < 1:
            title, note = (
                f"worker {report.worker + 1}",
                f"loss {event.loss:.3f}, {event.images_per_second:,.0f} images/s",
            )
            if self.display.bars is not None:
                note = f"{event.what} · {note}"
            else:
                title = f"{title}, {event.what}"
            self.display.count(title, round(100 * event.share), 100, unit="%", note=note)
        elif isinstance(event, Done):
            self.n_done += 1
            self.display.count("cells", self.n_done, max(self.n_cells, self.n_done), unit="done", note=event.what)
        elif isinstance(event, Failed):
            say(f"failed: {event.what}: {event.reason}")
