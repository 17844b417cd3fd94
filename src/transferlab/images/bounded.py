"""Reads files that somebody else wrote: ordinary files only, and never more than a limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from transferlab.errors import UserError

MAX_PIXELS = 100_000_000  # of an image, by its declared size
_NO_FILES = ("/proc/", "/sys/", "/dev/")  # what looks like a file there is made by the system


def is_the_systems(path: str | Path) -> bool:
    """Whether a file or folder, after all links, is one that the system makes up; /dev/shm holds anybody's files."""
    real = f"{os.path.realpath(path)}/"
    return real.startswith(_NO_FILES) and not real.startswith("/dev/shm/")


def opened(path: Path, most_bytes: int, where: str) -> BinaryIO:
    """An ordinary file, open for reading; the caller closes it.

    Raises:
        UserError: it is missing, closed to us, a pipe or a device, or larger than the limit.
    """
    try:
        # Without O_NONBLOCK, to open a pipe waits until somebody writes into it.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a null character in its name"
        raise UserError(f"{path} cannot be read: {reason}", where, "check the path") from error
    facts = os.fstat(number)
    if not stat.S_ISREG(facts.st_mode) or is_the_systems(path):
        os.close(number)
        raise UserError(f"{path} is not an ordinary file", where, "give a file, no folder, pipe or device")
    if facts.st_size > most_bytes:
        os.close(number)
        raise _too_large(path, most_bytes, where)
    return os.fdopen(number, "rb")


def read_whole(path: Path, most_bytes: int, where: str) -> bytes:
    """The content of a file; raises UserError as ``opened``, or if it cannot be read or has grown beyond the limit."""
    with opened(path, most_bytes, where) as file:
        try:
            data = file.read(most_bytes + 1)
        except OSError as error:
            raise UserError(
                f"{path} cannot be read: {error.strerror}", where, "check the disk, or copy it again"
            ) from error
    if len(data) > most_bytes:
        raise _too_large(path, most_bytes, where)
    return data


def listed(folder: Path, where: str, suffix: str = "") -> list[Path]:
    """What is in a folder and ends so, sorted; empty if there is no folder; raises UserError if it cannot be read."""
    try:
        return (
            sorted(path for path in folder.iterdir() if path.name.lower().endswith(suffix)) if folder.is_dir() else []
        )
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be read: {error.strerror}", where, "make it readable") from error


def read_lines(path: Path, most_bytes: int, where: str) -> list[str]:
    """The lines of a text in UTF-8; raises UserError as ``read_whole``, or if it is none."""
    try:
        return read_whole(path, most_bytes, where).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} cannot be read: {error}", where, "a text in UTF-8 was expected") from error


def _too_large(path: Path, most_bytes: int, where: str) -> UserError:
    return UserError(f"{path} has more than {most_bytes:,} bytes", where, "give the right file, or divide it")
