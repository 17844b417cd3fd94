"""What goes through a decoding process comes back as if it were decoded here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from transferlab.errors import UserError
from transferlab.images.decoders import Decoders, decode_items
from transferlab.images.source import Crop, Item, OnDisk, Unreadable


def test_every_kind_of_data_comes_back_as_if_decoded_here(tmp_path: Path, png: Callable[..., bytes]) -> None:
    odd = os.fsdecode(b"\xff odd\n.png")
    (tmp_path / odd).write_bytes(png(1, (30, 20), noise=True))
    transposed = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(5, 6, 3).transpose(1, 0, 2)
    items = [
        Item("bytes", png(2, (9, 12), noise=True), "cat", "train"),
        Item("file", OnDisk(tmp_path / odd, len(png(1, (30, 20), noise=True))), "dog", None),
        Item("gone\n\u00e9\U0001f600", OnDisk(tmp_path / "gone", 1), "dog", None),
        Item("grey", np.eye(7, dtype=np.uint8), ("cat", "dog"), "val"),
        Item("transposed", transposed, (), "test"),
        Item("part", png(3, (30, 20), noise=True), ("cat",), "train", ("dog",), Crop(2.5, 1.0, 9.25, (30, 20))),
        Item("other size", png(3), "cat", None, crop=Crop(0, 0, 8, (30, 20))),
        Item("floats", np.zeros((3, 3)), "cat", None),  # type: ignore[arg-type]
        Item("none", Unreadable("no reason"), "cat", None),
        Item("empty", b"", "cat", None),
    ]  # fmt: skip
    with Decoders(8, tmp_path / "turn") as decoders:
        there = decoders.decode(items)
        again = decoders.decode(items[:1])
    here = decode_items(items, 8, FileLock(tmp_path / "turn"))
    pixels = b"".join(there.pixels)
    assert (pixels, there.rows, there.bad) == (b"".join(here.pixels), here.rows, here.bad)
    assert len(pixels) == 5 * 8 * 8 * 3 and there.rows.count(b"\n") == 5
    assert [key for key, _ in there.bad] == ["gone\n\u00e9\U0001f600", "other size", "floats", "none", "empty"]
    assert again.rows == there.rows.splitlines(keepends=True)[0]


def test_a_process_that_dies_is_replaced(tmp_path: Path, png: Callable[..., bytes]) -> None:
    with Decoders(8, tmp_path / "turn") as decoders:
        item = Item("first", png(), "cat", None)
        decoders.decode([item])
        (process,) = decoders.started
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert decoders.ends == []
        assert decoders.decode([item]).rows == decode_items([item], 8, FileLock(tmp_path / "turn")).rows
        assert decoders.ends == ["killed by SIGKILL"]


@contextmanager
def ending(decoders: Decoders, how: signal.Signals) -> Iterator[None]:
    """Ends every process of these decoders once."""
    done, ended = threading.Event(), set[int]()

    def end() -> None:
        while not done.is_set():
            for process in list(decoders.started):
                if process.pid not in ended:
                    process.send_signal(how)
                    ended.add(process.pid)
            os.sched_yield()

    with ThreadPoolExecutor(1) as pool:
        ender = pool.submit(end)
        try:
            yield
        finally:
            done.set()
            ender.result()


def test_an_image_that_ends_every_process_is_bad_and_others_are_not(tmp_path: Path, png: Callable[..., bytes]) -> None:
    with Decoders(8, tmp_path / "turn") as decoders:
        with ending(decoders, signal.SIGSEGV):
            found = decoders.decode([Item("first", png(), "cat", None), Item("second", png(), "cat", None)])
        assert found.bad == [(key, "ends the decoding process (killed by SIGSEGV)") for key in ("first", "second")]
        assert len(decoders.decode([Item("third", png(), "cat", None)]).rows.splitlines()) == 1


def test_no_image_is_blamed_where_the_system_kills_every_process(tmp_path: Path, png: Callable[..., bytes]) -> None:
    with (
        Decoders(8, tmp_path / "turn") as decoders,
        ending(decoders, signal.SIGKILL),
        pytest.raises(UserError, match="the system killed the decoding process, three times .first.: free some memory"),
    ):
        decoders.decode([Item("first", png(), "cat", None)])


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
import numpy as np
from transferlab.images.decoders import Decoders
from transferlab.images.source import Item
decoders = Decoders(8, Path(sys.argv[1]))
decoders.decode([Item("a", np.zeros((8, 8), np.uint8), "cat", None)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    # The decoding process holds the error stream too: this returns when both are gone.
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "turn")], capture_output=True, check=False)
    assert done.returncode == -9 and done.stderr == b""
