"""A file is whole or not there, whatever fails while it is written; outer faults are told in one paragraph."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.outcomes.files import EXPLAINED, explain_disk_errors, write_atomically


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_is_written_with_its_folders_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    for data in (b"first", b"", b"second, longer"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "plain")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [*EXPLAINED, errno.ENOMEM])
def test_a_fault_at_any_call_leaves_the_old_file_and_nothing_else(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(number))
        with pytest.raises(UserError if number in EXPLAINED else OSError):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/dev").is_dir(), reason="there are no devices")
def test_no_device_is_replaced_by_a_file() -> None:
    for name in ("/dev/transferlab-test", "/dev/../dev/transferlab-test"):  # also where root may write there
        with pytest.raises(UserError, match="this is a device"):
            write_atomically(Path(name), b"")


def test_an_outer_fault_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as told, explain_disk_errors(tmp_path / "x"):
        failing(errno.ENOSPC)()
    assert str(told.value).startswith(f"the disk is full ({tmp_path}/x): make room")
    assert isinstance(told.value.__cause__, OSError)


@pytest.mark.parametrize("path", ["file/below", "folder", "n" * 300])
def test_names_that_cannot_be_written_are_the_users_mistake(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(UserError):
        write_atomically(tmp_path / path, b"x")
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".")]
