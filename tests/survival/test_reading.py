"""Every call that reads the store fails once: one paragraph or a whole answer, no traceback, and nothing is set aside for it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify
from transferlab.runners.packs import problems

# One process imports everything once and forks for each try, in which the n-th call fails.
TRIES = """
import ctypes, json, os, sys
from transferlab import cli
import transferlab.report.gather, transferlab.report.page, transferlab.runners.prepare, transferlab.runners.plans
import transferlab.outcomes.table, transferlab.outcomes.verify, transferlab.runners.drive, transferlab.runners.estimate

shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
under, number, step, words, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]), sys.argv[5]
found, n, fired = [], 1, True
while fired:
    pid = os.fork()
    if not pid:
        os.dup2(os.open(out + ".told", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["transferlab", *words]
        shim.faults_arm(under.encode(), n, number)
        code = 99
        try:
            cli.main()
        except SystemExit as left:
            code = left.code
        except BaseException:  # this child must tell whatever came, and end here
            import traceback
            traceback.print_exc()
        fired = shim.faults_fired()
        shim.faults_arm(b"", 0, 0)
        with open(out + ".code", "w") as file:
            json.dump([code, fired], file)
        sys.stderr.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    with open(out + ".code") as code, open(out + ".told") as told:
        (left, fired), text = json.load(code), told.read()
    found.append([n, left, fired, text])
    n += step
with open(out, "w") as file:
    json.dump(found, file)
"""


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls fail."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no compiler is at hand")
    made = tmp_path_factory.mktemp("shim") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", str(made), str(source), "-ldl"], check=True)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "step"), [("status", 1), ("table", 1), ("verify", 1), ("run", 3), ("plan", 3), ("report", 7)]
)
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EMFILE])
def test_a_fault_at_any_read_is_a_paragraph_or_costs_nothing(
    verb: str, step: int, number: int, shim: Path, lab: Any, whole: Path, tmp_path: Path
) -> None:
    store, out = shutil.copytree(whole, tmp_path / "lab"), tmp_path / "found"
    words = lab.words(verb, store)[3:]
    if verb == "report":
        words = ["report", str(store), "--out", str(tmp_path / "report.json"), "--format", "json"]
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    command = [sys.executable, "-c", TRIES, str(store), str(number), str(step), json.dumps(words), str(out)]
    subprocess.run(command, env=environment, check=True, timeout=1500)
    found = json.loads(out.read_text())
    assert len(found) > 2 and found[-1][1:3] == [0, 0]
    for n, code, _, told in found:
        assert code in (0, 1, 2), (n, told)
        assert "Traceback" not in told, (n, told)
        assert code != 2 or len([line for line in told.splitlines() if line.startswith("transferlab: ")]) == 1, (
            n,
            told,
        )
    opened = Store.open(store, create=False)
    assert not (store / "quarantine").exists()
    assert [*verify(opened), *problems(opened)] == []
