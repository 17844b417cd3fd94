"""A study small enough to be run a dozen times, the command around it, and what an unbroken run makes of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transferlab.outcomes.store import Store
from transferlab.report.gather import table_rows

STUDY = """
from transferlab import Study, Recipe, Examples, designs, compare, knn
from transferlab.specs import Augmentation
study = Study(source={source!r}, targets=[{target!r}], conditions={{n: designs.images_per_class(n) for n in (2, 6)}},
    controls=["random-features"], contrasts=[compare("6", "2")], seeds=1, protocols=[knn()],
    recipe=Recipe(backbone="small:8", image_px=16, batch=16, length=Examples({examples}), precision="fp32",
                  augmentation=Augmentation(2, False)))
"""

# One core means one worker, which halves the time: most of it goes into loading torch.
COMMAND = """
import os
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from transferlab.cli import main
main()
"""


@dataclass(frozen=True)
class Lab:
    """A folder with two sets of images and a study file."""

    folder: Path
    study: Path

    def words(self, verb: str, store: Path, *more: str) -> list[str]:
        """The command line of a verb on a store."""
        program = [sys.executable, "-c", COMMAND, verb]
        if verb == "report":
            return [*program, str(store), "--out", str(self.folder / "report.html"), *more]
        study = [str(self.study), "--device", "cpu"] if verb in ("run", "plan") else []
        return [*program, *study, "--store", str(store), *more]

    def do(self, verb: str, store: Path, *more: str, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end."""
        return subprocess.run(self.words(verb, store, *more), capture_output=True, text=True, check=False, **how)

    def outcome(self, store: Path) -> tuple[Any, dict[str, str]]:
        """The table of a store, and the hash of every file of its cells but the records, which hold seconds."""
        files = {p for p in store.glob("cells/??/*/*") if p.suffix in (".npz", ".safetensors")}
        hashes = {str(p.relative_to(store)): hashlib.blake2b(p.read_bytes()).hexdigest() for p in sorted(files)}
        return json.loads(json.dumps(table_rows(Store.open(store, create=False)))), hashes


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab of all tests here; they keep their stores elsewhere."""
    folder = tmp_path_factory.mktemp("lab")
    random = np.random.default_rng(0)
    for name in ("source", "target"):
        labels = np.arange(60) % 3
        images = (random.integers(0, 120, (60, 16, 16, 3)) + labels[:, None, None, None] * 60).astype(np.uint8)
        split = np.array(["train", "val", "test"])[np.arange(60) // 3 % 3]
        np.savez(folder / f"{name}.npz", images=images, labels=labels, split=split)
    study = folder / "my_study.py"
    study.write_text(STUDY.format(source=f"npz:{folder}/source.npz", target=f"npz:{folder}/target.npz", examples=160))
    return Lab(folder, study)


@pytest.fixture(scope="session")
def whole(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of an unbroken run."""
    store = tmp_path_factory.mktemp("whole") / "lab"
    done = lab.do("run", store)
    assert done.returncode == 0, done.stderr
    return store
