"""Files that are whole or absent, whatever ends the process; and disk errors that the user can mend, in one paragraph."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Generator
from pathlib import Path

from transferlab.errors import UserError

TEMPORARY = ".tmp-"  # names of files that are being written begin so; a killed process may leave some

OUTER = {
    errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file would be too large",
    errno.EROFS: "the disk is read-only", errno.EACCES: "access is not allowed", errno.EPERM: "access is not allowed",
    errno.EIO: "the disk has a fault", errno.ENOTDIR: "a file stands where a folder should",
    errno.EEXIST: "a file stands where a folder should", errno.EISDIR: "a folder stands where a file should",
    errno.ENAMETOOLONG: "the name is too long",
}  # fmt: skip
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}  # FAT, some network disks


@contextlib.contextmanager
def explain_disk_errors(path: Path) -> Generator[None]:
    """Turn a full, read-only or forbidden disk into one paragraph; other errors pass.

    Raises:
        UserError: for the errors in OUTER.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in OUTER:
            raise
        raise UserError(
            OUTER[error.errno], str(path), "make room or name another place, then repeat the command; finished work is kept"
        ) from error  # fmt: skip


def write_atomically(path: Path, data: bytes) -> None:
    """Write or replace a file, with its folders: a reader sees the old file or the whole new one.

    Raises:
        UserError: full, read-only or forbidden disk; nothing else is touched.
    """
    _write(path, data, _rename)


def publish_atomically(path: Path, data: bytes) -> bool:
    """Write a file if there is none of its name, and say whether it was written.

    Where the disk has no hard links, two processes that publish in the same instant may both be told yes; the later
    file stays, whole.

    Raises:
        UserError: full, read-only or forbidden disk; nothing else is touched.
    """
    return _write(path, data, _link)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names inside a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, data: bytes, place: Callable[[Path, Path], bool], attempts: int = 3) -> bool:
    """Write to a temporary name, fsync, give the file its own name with ``place``, fsync the folder."""
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    with explain_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            placed = place(temporary, path)
        except FileNotFoundError:  # another process has cleared the folder, or set it aside
            if attempts == 1:
                raise
            return _write(path, data, place, attempts - 1)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync(path.parent)
    return placed


def _rename(temporary: Path, path: Path) -> bool:
    temporary.replace(path)
    return True


def _link(temporary: Path, path: Path) -> bool:
    """Give the file its own name unless that is taken, and drop the temporary name."""
    placed = True
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        placed = False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if placed := not path.exists():
            temporary.replace(path)
    temporary.unlink(missing_ok=True)
    return placed
