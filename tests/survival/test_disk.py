"""Full and read-only disks: one paragraph, exit code 2, a whole store, and the same command goes on once there is room."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify
from transferlab.runners.packs import problems


def mount(*words: object) -> bool:
    try:
        return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", str(path)], capture_output=True, check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A disk of 100 KiB, which is not enough for two packs, and a function that gives it another size."""
    path = tmp_path / "disk"
    path.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=100k", "tmpfs", path):
        pytest.skip("mounting a small disk is not allowed here")

    def resize(size: str) -> None:
        assert mount("-o", f"remount,size={size}", path)

    try:
        yield path, resize
    finally:
        unmount(path)


def is_one_paragraph(errors: str, words: str) -> bool:
    told = [line for line in errors.splitlines() if line.startswith("transferlab: ")]
    return len(told) == 1 and words in told[0] and "Traceback" not in errors


def is_whole(path: Path) -> bool:
    store = Store.open(path, create=False)
    return [*verify(store), *problems(store)] == []


def test_a_full_disk_stops_the_command_which_goes_on_once_there_is_room(
    small_disk: tuple[Path, Callable[[str], None]], lab: Any, whole: Path
) -> None:
    disk, resize = small_disk
    store = disk / "lab"
    for size in ("100k", "260k"):  # full while packing, and while the first weights are written
        resize(size)
        full = lab.do("run", store)
        assert full.returncode == 2, full.stderr
        assert is_one_paragraph(full.stderr, "No space left on device" if size == "100k" else "the disk is full")
        assert is_whole(store)
    resize("4m")
    done = lab.do("run", store)
    assert done.returncode == 0, done.stderr
    assert lab.outcome(store) == lab.outcome(whole)
    assert Store.open(store, create=False).failures() == {}


def test_a_file_that_may_not_grow_stops_the_command_likewise(tmp_path: Path, lab: Any, whole: Path) -> None:
    """Weights take 100 KB, packs half of that."""
    limited = lab.do(
        "run", tmp_path / "lab", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
    )
    assert limited.returncode == 2, limited.stderr
    assert is_one_paragraph(limited.stderr, "the file would be too large")
    assert is_whole(tmp_path / "lab")
    assert lab.do("run", tmp_path / "lab").returncode == 0
    assert lab.outcome(tmp_path / "lab") == lab.outcome(whole)


@pytest.fixture
def read_only(tmp_path: Path, whole: Path) -> Iterator[Path]:
    """The unbroken run's store where nothing can be written."""
    path = tmp_path / "read-only"
    path.mkdir()
    if mount("--bind", whole, path) and mount("-o", "remount,bind,ro", path):
        try:
            yield path
        finally:
            unmount(path)
        return
    if not os.geteuid():
        pytest.skip("neither mounts nor permissions bind this user")
    folders = [p for p in (whole, *whole.rglob("*")) if p.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    path.rmdir()
    path.symlink_to(whole)
    try:
        yield path
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_store_that_cannot_be_written_is_read_like_any_other(read_only: Path, lab: Any, whole: Path) -> None:
    for verb in ("status", "verify", "report"):
        done = lab.do(verb, read_only)
        assert done.returncode == 0, done.stderr
    assert lab.do("table", read_only).stdout == lab.do("table", whole).stdout


def test_what_writes_says_in_one_paragraph_that_it_cannot(read_only: Path, lab: Any) -> None:
    for verb, store in (("run", read_only), ("plan", read_only), ("run", read_only / "new")):
        told = lab.do(verb, store)
        assert told.returncode == 2, told.stderr
        assert any(is_one_paragraph(told.stderr, w) for w in ("the disk is read-only", "access is not allowed"))
        assert told.stdout == ""
