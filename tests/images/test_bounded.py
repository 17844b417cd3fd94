from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.bounded import listed, opened, read_lines, read_whole


def test_an_ordinary_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffeins\nzwei\n".encode())
    assert read_lines(file, 100, "here") == ["eins", "zwei"] and len(read_whole(file, 13, "here")) == 13
    (tmp_path / "link").symlink_to(file)
    assert read_whole(tmp_path / "link", 100, "here") == file.read_bytes()
    with pytest.raises(UserError, match=r"a.txt has more than 12 bytes \(here\)"):
        read_whole(file, 12, "here")
    file.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"a.txt cannot be read: .*UTF-8"):
        read_lines(file, 12, "here")


def test_pipes_devices_folders_and_files_of_the_system_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "memory").symlink_to("/proc/self/status")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "zero", "memory", "folder"):
        with pytest.raises(UserError, match=f"{name} is not an ordinary file"):
            opened(tmp_path / name, 100, "here")
    for name, reason in (("nothing", "No such file"), ("nul\0l", "null character"), ("x" * 300, "too long")):
        with pytest.raises(UserError, match=f"cannot be read: .*{reason}"):
            opened(tmp_path / name, 100, "here")


def test_a_folder_that_is_closed_to_us_is_an_error_and_one_that_is_missing_is_empty(tmp_path: Path) -> None:
    for name in ("b.json", "A.JSON", "c.txt"):
        (tmp_path / name).write_text("")
    assert [path.name for path in listed(tmp_path, "here", ".json")] == ["A.JSON", "b.json"]
    assert listed(tmp_path / "nothing", "here") == []
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o000)
        try:
            if user == 0:  # root reads everything
                os.seteuid(65534)
            with pytest.raises(UserError, match="the folder .* cannot be read: Permission denied"):
                listed(Path(folder), "here")
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o700)
