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

from transferlab.identity import digest
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify

WRITER = """
import sys
from pathlib import Path
from transferlab.identity import digest
from transferlab.outcomes.store import Store

folder, number = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for i in range(20):
    Store.open(folder / f"fresh-{i}", create=True).write_study("s", {"by": number})
store = Store.open(folder / "lab", create=True)
keys = {digest("cell", i): i for i in range(40)}
while left := [key for key in keys if not store.has(key)]:
    for key in left[number * 7 % len(left):] + left[: number * 7 % len(left)]:
        with store.claim(key) as mine:
            if mine and not store.has(key):
                print("did", key, flush=True)
                store.write_cell(key, ["cell", keys[key]], {"by": number}, {"rows.npz": key.encode() * 99})
"""


def together(program: str, folder: Path, n_writers: int) -> list[str]:
    """Run processes of a program at once; what each printed after it was ready. All of them end without an error."""
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(folder), str(number)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(n_writers)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:  # all of them, before the first is waited for
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    told = [writer.communicate() for writer in writers]
    assert [(writer.returncode, errors) for writer, (_, errors) in zip(writers, told, strict=True)] == [
        (0, "")
    ] * n_writers
    return [out for out, _ in told]


def test_many_writers_open_one_store_and_do_every_cell_once(tmp_path: Path) -> None:
    told = together(WRITER, tmp_path, 4)
    done = Counter(line.split()[1] for out in told for line in out.splitlines())
    assert done == {digest("cell", i): 1 for i in range(40)}
    assert all(verify(Store.open(path, create=False)) == [] for path in tmp_path.iterdir())


# Every writer has bytes of its own in one file and shares those of the other; a third of the cells have no file.
UNLOCKED = """
import sys
from pathlib import Path
from transferlab.identity import digest
from transferlab.outcomes.store import Store

folder, number = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
store = Store.open(folder / "lab", create=True, locks=False)
for i in range(40):
    key = digest("cell", i)
    with store.claim(key) as mine:
        assert mine
        store.write_checkpoint(key, b"state")
        files = {"weights.safetensors": b"%d" % number * 99, "rows.npz": key.encode() * 99} if i % 3 else {}
        store.write_cell(key, ["cell", i], {"metrics": {"top1": i / 40}}, files)
        assert store.has(key)
        assert all(store.read(key, name) for name in files)
"""


@pytest.mark.parametrize("beginning", ["nothing", "damaged records"])
def test_writers_without_locks_leave_one_record_of_every_cell_which_fits_its_files(
    beginning: str, tmp_path: Path
) -> None:
    keys = {digest("cell", i): i for i in range(40)}
    store = Store.open(tmp_path / "lab", create=True, locks=False)
    if beginning != "nothing":
        for key, i in keys.items():
            store.write_cell(key, ["cell", i], {}, {"a": b"1", "b": b"2"} if i % 3 else {})
        for path in store.path.glob("cells/*/*/record-*"):
            path.write_bytes(path.read_bytes()[:-9])
    together(UNLOCKED, tmp_path, 2)
    assert store.done() == set(keys)
    assert verify(store) == []
    assert {key: (store.record(key) or {})["metrics"] for key in keys} == {k: {"top1": i / 40} for k, i in keys.items()}
    for key, i in keys.items():
        found = sorted(path.name.split("-")[0] for path in store.cell(key).iterdir())
        assert found == (["record", "rows", "weights"] if i % 3 else ["record"])
    assert not (store.path / "claims").exists()


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
    store, held = Store.open(path, create=True), []
    with subprocess.Popen(lab.words("run", path), **quiet) as first:
        while not held:
            signal_all(first, signal.SIGCONT)
            os.sched_yield()
            assert first.poll() is None
            signal_all(first, signal.SIGSTOP)
            held = claimed(store)
        with subprocess.Popen(lab.words("run", path), **quiet) as second:
            others = 7 - 3 * len(held)  # cells at least that are no held network's: two have three cells, one has one
            while len(done := list(path.glob("cells/??/*/record-*.json"))) < others:
                os.sched_yield()
                assert second.poll() is None
            stamps = {record: record.stat().st_mtime_ns for record in done}
            assert set(held) <= set(claimed(store))
            signal_all(first, signal.SIGCONT)
            assert (second.wait(), first.wait()) == (0, 0)
    assert {record: record.stat().st_mtime_ns for record in stamps} == stamps
    assert lab.outcome(path) == lab.outcome(whole)


RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from transferlab.outcomes.store import Store
from transferlab.runners.drive import run
from transferlab.runners.prepare import Request, prepare

folder = Path(sys.argv[1])
prepared = prepare(Request(str(folder / "my_study.py"), None, (), folder / "lab", device="cpu"), lambda *_: None)
store = Store.open(folder / "lab", create=False, locks=False)
print("ready", flush=True)
sys.stdin.readline()
assert run(prepared.plan, store, replace(prepared.machine, n_units=1), lambda report: print(report.event)) == 0
"""


def test_two_runs_at_once_without_locks_do_work_twice_and_end_in_the_same_table(
    tmp_path: Path, lab: Any, whole: Path
) -> None:
    (tmp_path / "my_study.py").write_text(lab.study.read_text())
    told = together(RUN, tmp_path, 2)
    assert not any("Failed(" in out or "Crashed(" in out for out in told)
    assert not any("Finished(left=('" in out for out in told)  # nothing was left because the other held it
    store = Store.open(tmp_path / "lab", create=False)
    assert verify(store) == []
    assert store.failures() == {}
    assert lab.outcome(tmp_path / "lab") == lab.outcome(whole)
