"""Writing so that a file is either whole or not there, and telling a full or read-only disk from our own faults."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Generator
from pathlib import Path

from transferlab.errors import UserError

TEMPORARY = ".tmp-"  # names begin so while they are written; a kill may leave one, and it means nothing

OUTER = {
    errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file would be too large",
    errno.EROFS: "the disk is read-only", errno.EACCES: "access is not allowed", errno.EPERM: "access is not allowed",
    errno.EIO: "the disk has a fault", errno.ENOTDIR: "a file stands where a folder should",
    errno.EEXIST: "a file stands where a folder should", errno.EISDIR: "a folder stands where a file should",
    errno.ENAMETOOLONG: "the name is too long",
}  # fmt: skip


@contextlib.contextmanager
def told_as_users_mistake(path: Path) -> Generator[None]:
    """Turn a full, read-only or forbidden disk into one paragraph; other faults pass.

    Raises:
        UserError: for the faults named in OUTER.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in OUTER:
            raise
        raise UserError(
            OUTER[error.errno], str(path), "make room or name another place; what is done is kept, and the same "
            "command goes on"
        ) from error  # fmt: skip


def write_atomically(path: Path, data: bytes) -> None:
    """Temporary name, fsync, rename, fsync the folder: a reader sees the old file or the whole new one.

    Raises:
        UserError: full, read-only or forbidden disk; nothing else is touched.
    """
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    with told_as_users_mistake(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names inside a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
