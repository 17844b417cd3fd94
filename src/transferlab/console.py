"""Progress on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from transferlab.events import Discarded, Done, Failed, Progressed, Report
from transferlab.text import printable

WIDE = 60  # columns; bars on wider terminals are followed by notes


def say(text: str) -> None:
    """Print one line on standard error; where that is closed or full, the work goes on without it."""
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
        with contextlib.suppress(OSError):
            print(printable(text), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: "42 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@dataclass
class _Line:
    """When a count began and was last printed (seconds, monotonic), and whether it was complete then."""

    begun: float
    printed: float = -math.inf
    complete: bool = False


class Display:
    """Progress of one command, used as a context manager: bars on a terminal, elsewhere a line every ``every_seconds``."""

    def __init__(self, every_seconds: float = 20.0) -> None:
        self.every_seconds = every_seconds
        self.begun = time.monotonic()
        self.bars: Any = None
        self.text_columns = 0
        self.tasks: dict[str, Any] = {}
        self.lines: dict[str, _Line] = {}

    def __enter__(self) -> Display:
        if sys.stderr is not None and sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]
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
        """Show how many images of a pack are decoded; ``total`` is None where unknown."""
        self.count(f"pack {text}", done, total, unit="images")

    def comparing(self, text: str, done: int, total: int | None) -> None:
        """Show how many images are compared with others."""
        self.count(f"compare {text}", done, total, unit="images")

    def count(self, title: str, done: int, total: int | None, *, unit: str, note: str = "") -> None:
        """Show a growing count, with the time left at its rate so far."""
        title, note = printable(title), printable(note)
        if self.bars is not None:
            if title not in self.tasks:
                self.tasks[title] = self.bars.add_task(self._cut(title), total=total, note="")
            self.bars.update(self.tasks[title], completed=done, total=total, note=self._cut(note))
            return
        now = time.monotonic()
        line = self.lines.setdefault(title, _Line(begun=now))
        if now - line.printed < self.every_seconds and (done != total or line.complete):
            return
        line.printed, line.complete = now, done == total
        left = ""
        if total and 0 < done < total and now > line.begun:
            left = f", {duration((total - done) * (now - line.begun) / done)} left"
        of = f" of {total:,}" if total else ""
        say(f"[{duration(now - self.begun)}] {title}: {done:,}{of} {unit}{left}{' · ' + note if note else ''}")

    def _cut(self, text: str) -> str:
        """Text of at most a third of the terminal's width, which leaves space for the bar."""
        return text if len(text) <= self.text_columns else f"{text[: self.text_columns - 1]}…"

    def running(self, n_cells: int) -> RunDisplay:
        """The display of a run with this many missing cells."""
        return RunDisplay(self, n_cells)


class RunDisplay:
    """Progress of a run: cells done, the current work of each worker, and the time left at the rate so far."""

    def __init__(self, display: Display, n_cells: int) -> None:
        self.display, self.n_cells, self.n_done = display, n_cells, 0

    def __call__(self, report: Report) -> None:
        event = report.event
        if isinstance(event, Progressed) and event.share < 1:
            title = f"worker {report.worker + 1}"
            loss = "" if math.isnan(event.loss) else f"loss {event.loss:.3f}, "
            note = f"{loss}{event.images_per_second:,.0f} images/s"
            if self.display.bars is not None:
                note = f"{event.what} · {note}"
            else:
                title = f"{title}, {event.what}"
            self.display.count(title, round(100 * event.share), 100, unit="%", note=note)
        elif isinstance(event, Done):
            self.n_done += 1
            self.display.count("cells", self.n_done, max(self.n_cells, self.n_done), unit="done", note=event.what)
        elif isinstance(event, Discarded):
            say(f"{event.what}: its saved state cannot be used ({event.reason}), and it starts again")
        elif isinstance(event, Failed):
            say(f"failed: {event.what}: {event.reason}")
