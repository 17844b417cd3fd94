"""A store that was tampered with, half lost, or looked at by several at once: named, set aside, mended, never left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import Problem, quarantine, verify
from transferlab.sealed import sealed, unsealed

INPUTS = ("transfer", 3, {"network": "n", "seed": 1})
KEY, OTHER = digest(*INPUTS), digest("other")
FILES = {"rows.npz": b"rows"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(tmp_path / "lab", create=True)
    made.write_cell(KEY, INPUTS, {"metrics": {"top1": 0.5}}, FILES)
    made.write_study("s1", {"type": "Plan"})
    return made


def test_a_lost_mark_is_written_again_where_plans_or_records_show_what_it_was(store: Store) -> None:
    for keep in ("studies", "cells"):
        (store.path / "lab.json").unlink()
        for create in (False, True):
            assert Store.open(store.path, create=create).has(KEY)
        assert (store.path / "lab.json").is_file()
        for path in store.path.glob("studies/*") if keep == "studies" else ():
            path.unlink()


def test_a_folder_that_merely_looks_like_a_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "biology.json").write_text('{"cells": 3}')
    for create, words in ((True, "not empty"), (False, "there is no store")):
        with pytest.raises(UserError, match=words):
            Store.open(tmp_path, create=create)
    assert not (tmp_path / "lab.json").exists()


def file_instead(cell: Path) -> None:
    cell.write_bytes(b"")


def loop_instead(cell: Path) -> None:
    cell.symlink_to(cell.name)


def link_instead(cell: Path) -> None:
    cell.symlink_to(cell.parents[1] / KEY[:2] / KEY)


def dead_link_instead(cell: Path) -> None:
    cell.symlink_to("nowhere")


@pytest.mark.parametrize("what", [file_instead, loop_instead, link_instead, dead_link_instead])
@pytest.mark.parametrize("depth", ["cell", "folder"])
def test_what_stands_in_a_cells_place_is_no_cell_is_named_and_makes_room(
    what: Callable[[Path], None], depth: str, store: Store
) -> None:
    place = store.cell(OTHER) if depth == "cell" else store.cell(OTHER).parent
    place.parent.mkdir(exist_ok=True)
    what(place)
    assert store.done() == {KEY} and not store.has(OTHER)
    with pytest.raises(UserError, match="stands where|leads to itself"):
        store.write_cell(OTHER, ["other"], {}, FILES)
    (problem,) = verify(store)
    assert problem.path == place and "stands where there are only folders of cells" in problem.what
    quarantine(store, problem)
    assert verify(store) == []
    store.write_cell(OTHER, ["other"], {}, FILES)
    assert store.done() == {KEY, OTHER} and store.read(KEY, "rows.npz") == b"rows"


def change(store: Store, new: Callable[[dict[str, Any]], object]) -> None:
    """Change the record of KEY and seal it again."""
    (path,) = store.cell(KEY).glob("record-*.json")
    record = unsealed(path.read_bytes())
    new(record)
    path.write_bytes(sealed(record))


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another input": lambda r: r["inputs"].append(1),
    "inputs of another shape": lambda r: r.update(inputs=3),
    "no inputs": lambda r: r.pop("inputs"),
    "a name that leads up": lambda r: r["files"]["rows.npz"].update(file="../../../lab.json", bytes=13),
    "an absolute name": lambda r: r["files"]["rows.npz"].update(file="/etc/hostname"),
    "a name that is a number": lambda r: r["files"]["rows.npz"].update(file=3),
    "files in a list": lambda r: r.update(files=[1]),
    "metrics in a list": lambda r: r.update(metrics=[1]),
    "another key": lambda r: r.update(key=OTHER),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_record_is_found_though_its_hash_fits(edit: str, store: Store) -> None:
    change(store, EDITS[edit])
    assert [p.path for p in verify(store)] == [store.cell(KEY)]


@pytest.mark.parametrize("name", ["studies", "notes", "subsets", "labels", "packs"])
@pytest.mark.parametrize("kind", ["file", "loop"])
def test_what_stands_in_a_folders_place_is_named_and_makes_room(name: str, kind: str, store: Store) -> None:
    path = store.path / name
    shutil.rmtree(path, ignore_errors=True)
    if kind == "file":
        path.write_bytes(b"x")
    else:
        path.symlink_to(name)
    found = [problem for problem in verify(store) if problem.path == path]
    assert len(found) == 1 and "where a folder should" in found[0].what
    quarantine(store, found[0])
    assert not path.is_symlink() and not path.exists()


@pytest.mark.parametrize("name", ["cells", "studies", "notes", "failures", "subsets", "labels"])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_no_file_of_somebody_else_is_set_aside_where_a_link_leads_out_of_the_store(
    name: str, below: str, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    others = tmp_path_factory.mktemp("others")
    files = [others / "mine.json", others / "more" / "mine.json", others / "mine.npz"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("{}")
    path = store.path / f"{name}{below}"
    if not below:
        shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(others)
    for problem in verify(store):
        quarantine(store, problem)
    assert all(file.is_file() for file in files)


def test_a_document_nested_too_deeply_is_damaged(store: Store) -> None:
    name = store.path / "studies" / "s1.json"
    rest = b' "study": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    name.write_bytes(sealed({})[: len(b'{ "blake2b": "')] + b"0" * 32 + b'",' + rest)
    assert [p.path for p in verify(store)] == [name]
    with pytest.raises(UserError, match="damaged"):
        store.study("s1")


def test_what_is_set_aside_already_is_no_mistake(store: Store) -> None:
    change(store, EDITS["no inputs"])
    (problem,) = verify(store)
    for _ in range(2):
        quarantine(store, problem)
    assert [p.name for p in (store.path / "quarantine").iterdir()] == [KEY]
    quarantine(store, Problem(store.path / "studies" / "gone.json", "it is not what was written"))


AS_ANOTHER = """
import os, sys
from pathlib import Path
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify
if not os.geteuid():
    os.setgid(65534)
    os.setuid(65534)
for problem in verify(Store.open(Path(sys.argv[1]), create=False)):
    print(problem.unread, problem.path, problem.what)
"""


def test_every_file_that_cannot_be_read_is_named_and_the_rest_is_checked() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        store = Store.open(Path(folder) / "lab", create=True)
        store.write_cell(KEY, INPUTS, {}, FILES)
        store.write_cell(OTHER, ["other"], {}, FILES)
        store.write_note("n", {})
        store.write_failure("f", {})
        closed = [next(store.cell(KEY).glob("rows-*")), store.path / "notes" / "n.json", store.cell(OTHER)]
        for path in closed:
            path.chmod(0)
        (store.path / "failures" / "f.json").write_bytes(b"{")
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, str(store.path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        told = done.stdout.splitlines()
        assert len(told) == 4 and sum("it is not what was written" in line for line in told) == 1
        for path in closed:
            assert any(line.startswith(f"True {path} ") and "access is not allowed" in line for line in told), told
        for path in closed:
            path.chmod(0o755)


BESIDE = """
import sys
from pathlib import Path
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import quarantine, verify
store = Store.open(Path(sys.argv[1]), create=False)
for _ in range(30):
    for problem in verify(store):
        print(problem.path)
        quarantine(store, problem)
    store.done(), store.failures(), store.studies()
"""


def test_several_that_look_at_a_store_in_which_another_writes_find_no_damage(store: Store) -> None:
    words = [sys.executable, "-c", BESIDE, str(store.path)]
    beside = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for n in range(60):
        store.write_failure(digest("cell", n), {"reason": "r"})
        store.write_checkpoint(digest("cell", n), b"state")
        store.write_cell(digest("cell", n), ["cell", n], {"metrics": {}}, FILES)
    for process in beside:
        told, errors = process.communicate(timeout=120)
        assert (process.returncode, told, errors) == (0, "", "")


def test_several_that_find_the_same_damage_set_it_aside_once(store: Store) -> None:
    change(store, EDITS["no inputs"])
    words = [sys.executable, "-c", BESIDE, str(store.path)]
    beside = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in beside:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    assert os.listdir(store.path / "quarantine") == [KEY]
