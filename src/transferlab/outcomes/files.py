"""Writes files that are whole or absent even after a crash, and explains disk errors that the user can fix."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Generator
from pathlib import Path

from transferlab.errors import UserError

TEMPORARY = ".tmp-"  # prefix of files being written; a killed process may leave some

EXPLAINED = {
    errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file would be too large",
    errno.EROFS: "the disk is read-only", errno.EACCES: "access is not allowed", errno.EPERM: "access is not allowed",
    errno.EIO: "the disk has a fault", errno.ENOTDIR: "a file stands where a folder should",
    errno.EEXIST: "a file stands where a folder should", errno.EISDIR: "a folder stands where a file should",
    errno.ENAMETOOLONG: "the name is too long", errno.ELOOP: "a link leads to itself",
}  # fmt: skip
# More that reading meets; whatever else it meets is told in the system's words.
UNREAD = {
    **EXPLAINED, errno.EMFILE: "too many files are open", errno.ENFILE: "too many files are open",
    errno.ESTALE: "the disk was connected anew meanwhile",
}  # fmt: skip
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}  # FAT, some network file systems


class Unreadable(UserError):
    """A file or folder that is there and cannot be read, whatever it holds."""


def unreadable(path: str | Path, error: OSError) -> Unreadable:
    """An error of reading, in words."""
    what = UNREAD.get(error.errno or 0) or str(error.strerror or error)
    return Unreadable(
        f"it cannot be read: {what}", str(path), "check the disk and who may read it, then repeat the command"
    )


@contextlib.contextmanager
def explain_disk_errors(path: Path) -> Generator[None]:
    """Turn disk errors that the user can fix into UserErrors; others pass.

    Raises:
        UserError: for the errors in EXPLAINED.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in EXPLAINED:
            raise
        raise UserError(
            EXPLAINED[error.errno], str(path), "make room or name another folder, then repeat the command; finished work is kept"
        ) from error  # fmt: skip


def write_atomically(path: Path, data: bytes) -> None:
    """Write or replace a file, and create its folders; a reader sees the old file or the whole new one.

    Raises:
        UserError: the disk is full or read-only, or access is denied; nothing else is changed.
    """
    if path.parent.resolve() == Path("/dev"):  # to rename a file to there would replace the device
        raise UserError("this is a device, which cannot be replaced by a file", str(path), "name a file")
    _write(path, data, _rename)


def publish_atomically(path: Path, data: bytes) -> bool:
    """Write a file unless its name exists; returns whether it was written.

    Without hard links, two processes that publish at the same instant may both get True; the later file remains, whole.

    Raises:
        UserError: the disk is full or read-only, or access is denied; nothing else is changed.
    """
    return _write(path, data, _link)


def sync(path: Path) -> None:
    """Flush a file's bytes, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, data: bytes, place: Callable[[Path, Path], bool], attempts: int = 3) -> bool:
    """Write a temporary file, fsync it, give it its name with ``place``, and fsync the folder."""
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    with explain_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            placed = place(temporary, path)
        except FileNotFoundError:  # another process cleared the folder or moved it to quarantine
            if attempts == 1:
                raise
            return _write(path, data, place, attempts - 1)
        except BaseException:  # also an interruption: nothing half written stays, and it is raised again
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync(path.parent)
    return placed


def _rename(temporary: Path, path: Path) -> bool:
    temporary.replace(path)
    return True


def _link(temporary: Path, path: Path) -> bool:
    """Give the file its name unless it exists, and remove the temporary name."""
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
