"""Killed before every call by which the disk changes, the same command goes on to the same table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify

MEMORY = Path("/dev/shm")  # a disk that syncs at once, for many tries

# Children die before their n-th such call, for every n there is.
DYING = """
import os, shutil, signal, sys, traceback
from pathlib import Path

CALLS = ("fsync", "link", "replace", "rename", "unlink", "mkdir", "rmdir")

def dying(call, left):
    def instead(*arguments, **options):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return instead

def dies(n, work, *arguments):
    pid = os.fork()
    if not pid:
        left = [n]
        for name in CALLS:
            setattr(os, name, dying(getattr(os, name), left))
        try:
            work(*arguments)
        except BaseException:  # the forked child must not return into pytest, whatever is raised
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0

def at_every_call(work, check, folder, start=lambda store: None):
    n = 1
    while True:
        store = Path(folder) / str(n)
        start(store)
        died = dies(n, work, store)
        check(store, died)
        assert not dies(0, work, store), "the second run ends"
        check(store, False)
        shutil.rmtree(store)
        if not died:
            break
        n += 1
    print("died", n - 1, file=sys.stderr)
"""

STORE = """
import numpy as np
from transferlab.identity import digest
from transferlab.outcomes.arrays import npz_bytes
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify
from transferlab.specs import Subset

subset = Subset("e" * 32, np.array([1, 4], np.int32), np.array([0, 1], np.int32), ("a", "b"), (("a",), ("b",)))
key = digest("inputs")
files = {"weights.safetensors": b"w" * 500, "rows.npz": npz_bytes({"right": np.arange(9) < 5})}

def write(path):
    store = Store.open(path, create=True)
    store.write_pack_index("p", {"digest": "d"})
    store.write_subset(subset)
    store.write_study("s", {"type": "Plan"})
    store.write_failure(key, {"reason": "r"})
    store.write_checkpoint(key, b"state")
    store.write_cell(key, ["inputs"], {"metrics": {"top1": 0.5}}, files)

def check(path, died):
    if not (path / "lab.json").is_file():
        assert died
        return
    store = Store.open(path, create=False)
    assert verify(store) == []
    store.failures(), store.studies(), store.pack_index("p")
    assert store.checkpoint(key) in (None, b"state")
    if store.has(key):
        assert {name: store.read(key, name) for name in files} == files
    if not died:
        assert (store.has(key), store.failures(), store.checkpoint(key)) == (True, {}, None)
        assert (store.studies(), store.pack_index("p")) == ({"s": {"type": "Plan"}}, {"digest": "d"})
        store.read_subset(subset.digest)
        assert not list(store.cell(key).glob(".tmp-*"))

at_every_call(write, check, sys.argv[1])
"""

PACKS = """
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify
from transferlab.runners.packs import find, obtain, problems

specs = [sys.argv[2], sys.argv[2] + "?name=again"]  # the second finds that the pack is there already

def write(path):
    store = Store.open(path, create=True)
    for spec in specs:
        reference, pack = obtain(store, spec, 8, skip_bad=False, progress=lambda *_: None)
        assert find(store, reference).digest == pack.digest

def check(path, died):
    if (path / "lab.json").is_file():
        store = Store.open(path, create=False)
        assert [*verify(store), *problems(store)] == []

at_every_call(write, check, sys.argv[1])
"""

WORKER = """
import hashlib
from transferlab.events import to_line
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify
from transferlab.report.gather import table_rows
from transferlab.runners import worker
from transferlab.runners.local import Setup
from transferlab.runners.prepare import Request, prepare
from transferlab.tasks import tasks_of

CALLS = ("fsync", "link", "replace", "unlink")
folder = Path(sys.argv[1])
plan = prepare(Request(sys.argv[2], None, (), folder / "template", device="cpu"), lambda *_: None).plan
train, measure, *_ = tasks_of(plan)  # one network will do
outcomes = []

def start(store):
    shutil.copytree(folder / "template", store)

def work(store):
    setup = Setup(str(store), plan.identity, 1, checkpoint_seconds=0.0)  # after every step
    worker.work(setup, [to_line(train), to_line(measure)], lambda event: None)

def check(path, died):
    store = Store.open(path, create=False)
    assert verify(store) == []
    if not died:
        files = sorted(p for p in path.glob("cells/??/*/*") if p.suffix in (".npz", ".safetensors"))
        hashes = [(str(p.relative_to(path)), hashlib.blake2b(p.read_bytes()).hexdigest()) for p in files]
        outcomes.append((table_rows(store), hashes))

start(folder / "whole")
work(folder / "whole")
check(folder / "whole", False)
at_every_call(work, check, folder, start)
assert outcomes[0][0] and all(outcome == outcomes[0] for outcome in outcomes)
"""


def run(program: str, *arguments: object) -> int:
    """How often the children of a program died."""
    words = [sys.executable, "-c", DYING + program, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stderr.split("died ")[1])


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as made:
        yield Path(made)


def test_a_store_killed_at_any_call_is_whole_and_the_next_write_completes_it(folder: Path) -> None:
    assert run(STORE, folder) > 30


def test_packs_killed_at_any_call_are_whole_and_found_by_the_next_run(folder: Path, lab: Any) -> None:
    assert run(PACKS, folder, f"npz:{lab.folder}/source.npz") > 30


def test_a_worker_killed_at_any_call_leaves_the_same_table_to_the_next(folder: Path, lab: Any) -> None:
    three_steps = folder / "three_steps.py"
    three_steps.write_text(lab.study.read_text().replace("Examples(160)", "Examples(48)"))
    assert run(WORKER, folder, three_steps) > 20


# Python imports this of itself, in the command and in its workers alike.
SITECUSTOMIZE = (
    DYING
    + """
if os.environ["DIE"].split()[0] in " ".join(sys.orig_argv):
    left = [int(os.environ["DIE"].split()[1])]
    for name in CALLS:
        setattr(os, name, dying(getattr(os, name), left))
"""
)


def test_a_command_and_workers_killed_again_and_again_end_in_the_same_table(
    tmp_path: Path, lab: Any, whole: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    codes = []
    for die in ("my_study.py 2", "my_study.py 35", "runners.worker 40"):
        path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "DIE": die}
        broken = lab.do("run", tmp_path / "lab", env=environment)
        codes.append(broken.returncode)
        assert "Traceback" not in broken.stderr
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 1]
    assert "its process was killed" in broken.stderr
    failed = Store.open(tmp_path / "lab", create=False).failures()
    assert failed and verify(Store.open(tmp_path / "lab", create=False)) == []
    done = lab.do("run", tmp_path / "lab")
    assert done.returncode == 0, done.stderr
    assert lab.outcome(tmp_path / "lab") == lab.outcome(whole)
    assert Store.open(tmp_path / "lab", create=False).failures() == {}
