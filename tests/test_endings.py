"""How a command ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("interrupted", ["raise KeyboardInterrupt", "exec('raise KeyboardInterrupt')"])
def test_an_interruption_ends_with_130_wherever_it_arrives(tmp_path: Path, interrupted: str) -> None:
    (tmp_path / "study.py").write_text(f"{interrupted}\n")
    words = [sys.executable, "-m", "transferlab", "plan", "study.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "stopped; finished work is kept, and the same command goes on from there\n"
