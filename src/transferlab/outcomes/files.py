"""Writing so that a file is either whole or not there, and telling a full or read-only disk from our own faults."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from transferlab.errors import UserError

OUTER = {
    errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file would be too large",
    errno.EROFS: "the disk is read-only", errno.EACCES: "writing is not allowed", errno.EPERM: "writing is not allowed",
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
            OUTER[error.errno], str(path), "make room or name another --store; what is done is kept, and the same "
            "command goes on"
        ) from error  # fmt: skip


def write_atomically(path: Path, data: bytes) -> None:
    """Temporary name, fsync, rename, fsync the folder: a reader sees the old file or the whole new one.

    Raises:
        UserError: full, read-only or forbidden disk; nothing else is touched.
    """
    with told_as_users_mistake(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
