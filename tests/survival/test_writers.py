"""Several processes on one store: each unit is done once, none is lost, and a stopped one overwrites nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from transferlab.outcomes.store import Store, verify

WRITER = """
import sys
from pathlib import Path
from transferlab.identity import canonical
from transferlab.outcomes.store import Store

folder, number = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for i in range(20):
    Store.open(folder / f"fresh-{i}", create=True).write_study("s", {"by": number})
store = Store.open(folder / "lab", create=True)
keys = [f"{i:032x}" for i in range(40)]
while left := [key for key in keys if not store.has(key)]:
    for key in left[number * 7 % len(left):] + left[: number * 7 % len(left)]:
        with store.claim(key) as mine:
            if mine and not store.has(key):
                print("did", key, flush=True)
                store.write_cell(key, canonical(key), {"by": number}, {"rows.npz": key.encode() * 99})
"""


def test_many_writers_open_one_store_and_do_every_cell_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(number)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(4)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    told = [writer.communicate("go\n") for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, told
    done = Counter(line.split()[1] for out, _ in told for line in out.splitlines())
    assert done == {f"{i:032x}": 1 for i in range(40)}
    assert all(verify(Store.open(path, create=False)) == [] for path in tmp_path.iterdir())


def claimed(store: Store) -> list[str]:
    """Networks whose claim another process holds."""
    held: list[str] = []
    for path in (store.path / "claims").glob("[0-9a-f]*"):
        with store.claim(path.name) as mine:
            held += [] if mine else [path.name]
    return held


def signal_all(process: subprocess.Popen[str], sign: signal.Signals) -> None:
    """To a run and its workers; they have stopped when this returns, if that is what the signal says."""
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, workers)):
        os.kill(pid, sign)
        while (
            sign == signal.SIGSTOP and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX"
        ):
            os.sched_yield()


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds workers in /proc")
def test_a_stopped_worker_keeps_its_cell_and_overwrites_no_other(tmp_path: Path, lab: Any, whole: Path) -> None:
    path, quiet = tmp_path / "lab", {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    store, held = Store(path), []
    with subprocess.Popen(lab.words("run", path), **quiet) as first:
        while not held:
            signal_all(first, signal.SIGCONT)
            os.sched_yield()
            assert first.poll() is None
            signal_all(first, signal.SIGSTOP)
            held = claimed(store)
        with subprocess.Popen(lab.words("run", path), **quiet) as second:
            others = 7 - 3 * len(held)  # cells at least that are no held network's: two have three cells, one has one
            while len(done := list(path.glob("cells/??/*/record.json"))) < others:
                os.sched_yield()
                assert second.poll() is None
            stamps = {record: record.stat().st_mtime_ns for record in done}
            assert set(held) <= set(claimed(store))
            signal_all(first, signal.SIGCONT)
            assert (second.wait(), first.wait()) == (0, 0)
    assert {record: record.stat().st_mtime_ns for record in stamps} == stamps
    assert lab.outcome(path) == lab.outcome(whole)
