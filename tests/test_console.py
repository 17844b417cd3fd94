"""What a person sees of the work: lines without a terminal, bars on one, and never a name that acts."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from transferlab.console import Display, duration, printable, say
from transferlab.events import Done, Failed, Progressed, Report, Started

HOSTILE = "[red]photos[/red] \x1b[2J\r\x07\u202e" + "n" * 200


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3599.9, "1 h 00 min"), (90000, "25 h 00 min")],
)  # fmt: skip
def test_durations_are_told_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_line_is_one_line_whatever_names_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"failed: {HOSTILE}\nand more")
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert printable(told[:-1]) == told[:-1]
    assert "[red]photos[/red]" in told


def test_without_a_terminal_the_first_and_the_last_count_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(every_seconds=1e9) as display:
        for done in range(0, 1001, 100):
            display.packing(HOSTILE, done, 1000)
            display.packing("a folder", done, None)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"^\[\d+ s\] .*: ", "", line) for line in lines] == [
        "0 of 1,000 images", "0 images", "1,000 of 1,000 images"
    ]  # fmt: skip
    assert all(printable(line) == line for line in lines)


def test_now_and_then_a_line_tells_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(every_seconds=0) as display:
        for done in range(5):
            display.count("cells", done, 4, unit="done", note="probe on leaves")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r"\[0 s\] cells: \d of 4 done, \d+ s left · probe on leaves", line) for line in lines[1:4])
    assert lines[4] == "[0 s] cells: 4 of 4 done · probe on leaves"


def test_a_run_tells_what_each_worker_does_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(every_seconds=0) as display:
        tell = display.running(2)
        tell(Report(0, Started(("k",), "pre-train 5")))
        tell(Report(0, Progressed("pre-train \x1b[31m5", 0.25, 1.5, 2345.6)))
        tell(Report(0, Done("k", "pre-train \x1b[31m5")))
        tell(Report(1, Failed("l", "probe of 5", "the loss\nis not finite", "Traceback")))
    told = capsys.readouterr().err
    assert "worker 1, pre-train �[31m5: 25 of 100 %" in told
    assert "loss 1.500, 2,346 images/s" in told
    assert "cells: 1 of 2 done" in told
    assert "failed: probe of 5: the loss�is not finite" in told
    assert len(told.splitlines()) == 3


def test_what_has_no_loss_tells_none(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(every_seconds=0) as display:
        display.running(1)(Report(0, Progressed("probe of 5", 0.25, float("nan"), 2345.6)))
    assert capsys.readouterr().err.endswith("25 of 100 % · 2,346 images/s\n")


ON_A_TERMINAL = """
from transferlab.console import Display, say
from transferlab.events import Done, Failed, Progressed, Report
hostile = {hostile!r}
with Display() as display:
    for done in range(0, 101, 10):
        display.packing(hostile, done, 100)
    display.packing("no total", 7, None)
    tell = display.running(2)
    tell(Report(0, Progressed(hostile, 0.5, 1.5, 2000.0)))
    tell(Report(0, Done("k", hostile)))
    say("said " + hostile)
    tell(Report(0, Failed("k", hostile, hostile, "")))
"""


def on_a_terminal(script: str, columns: int) -> tuple[int, str]:
    """Run Python with standard error on a pseudo-terminal; its exit code and all that the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    process = subprocess.Popen([sys.executable, "-c", script], stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs,
                               env=environment)  # fmt: skip
    os.close(theirs)
    got = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the last writer is gone
            break
        if not part:
            break
        got += part
    os.close(ours)
    return process.wait(), got.decode()


def test_on_a_narrow_terminal_there_are_bars_and_names_are_mere_text() -> None:
    code, got = on_a_terminal(ON_A_TERMINAL.format(hostile=HOSTILE), 40)
    assert code == 0, got
    assert "━" in got
    assert "[red]" in got
    assert "\x1b[2J" not in got
    assert "\x07" not in got
    assert "\u202e" not in got
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", got)
    bars = [line for line in re.split(r"[\r\n]+", seen) if "━" in line]
    assert bars
    assert max(map(len, bars)) <= 40
    assert "said [red]photos[/red]" in seen.replace("\r\n", "")
    assert "Traceback" not in got
