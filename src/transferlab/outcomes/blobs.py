"""Blobs: bytes under names, stored in a folder. The interface has no locks and no appending, so that a bucket would do."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transferlab.errors import UserError
from transferlab.outcomes.files import (
    TEMPORARY,
    Unreadable,
    explain_disk_errors,
    publish_atomically,
    sync,
    unreadable,
    write_atomically,
)  # fmt: skip

NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
# Empty or dotted parts, temporary files, and characters that some file systems treat as separators or terminators.
UNSAFE = re.compile(rf"(?:^|/)(?:\.{{0,2}}(?:/|\Z)|{re.escape(TEMPORARY)})|[\\\0]")


class Blobs(Protocol):
    """Bytes under names such as ``cells/ab/record.json``; a prefix is empty or ends with a slash.

    Raises:
        ValueError: from every method, for an unsafe name (absolute, empty or dotted parts, a temporary file's name).
        UserError: from the methods that write, if the disk is full or read-only or access is denied.
        Unreadable: from ``read`` and ``listing``, if the disk has a fault or access is denied.
    """

    def read(self, name: str) -> bytes | None:
        """The bytes under a name; None if it does not exist."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a blob; a reader sees either all old or all new bytes."""
        ...

    def publish(self, name: str, data: bytes) -> bool:
        """Write a whole blob unless the name exists; returns whether it was written."""
        ...

    def together(self) -> AbstractContextManager[Callable[[str, bytes], None]]:
        """A context that yields a function to write blobs; they appear at its end, or not at all after an exception."""
        ...

    def listing(self, prefix: str, unread: list[Unreadable] | None = None) -> dict[str, int]:
        """Full names and sizes in bytes of the blobs under a prefix; a link is a blob, whatever it leads to.

        Args:
            unread: takes what cannot be listed; without it, that is raised.
        """
        ...

    def delete(self, name: str) -> None:
        """Delete a blob if it exists."""
        ...

    def clear(self, prefix: str, keep: Collection[str] = ()) -> None:
        """Delete the blobs under a prefix except those with these full names, and files left by killed writers."""
        ...

    def move(self, name: str, to: str) -> None:
        """Rename a blob, or all blobs under ``name/``."""
        ...


MOST = 1 << 28  # bytes of a plan, a record, a subset or labels; other files of cells are as long as their record says


@dataclass(frozen=True)
class FolderBlobs:
    """Blobs as the files of a folder."""

    path: Path

    def read(self, name: str) -> bytes | None:
        try:
            with open(self._path(name), "rb", opener=_at_once) as file:
                facts = os.fstat(file.fileno())
                may_be_large = name.startswith("cells/") and not name.endswith(".json")
                is_blob = stat.S_ISREG(facts.st_mode) and (may_be_large or facts.st_size <= MOST)
                return file.read() if is_blob else b""  # which is no blob's content, and so is damage
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise unreadable(self.path / name, error) from error

    def write(self, name: str, data: bytes) -> None:
        write_atomically(self._file(name), data)

    def publish(self, name: str, data: bytes) -> bool:
        return publish_atomically(self._file(name), data)

    @contextlib.contextmanager
    def together(self) -> Generator[Callable[[str, bytes], None]]:
        """Blobs wait on the disk until the end, so that memory holds only one."""
        with explain_disk_errors(self.path):
            staging = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self.path))
        waiting: dict[Path, Path] = {}

        def write(name: str, data: bytes) -> None:
            final = self._file(name)
            with explain_disk_errors(final):
                waiting.setdefault(final, staging / str(len(waiting))).write_bytes(data)

        try:
            yield write
            with explain_disk_errors(self.path):
                for final, temporary in waiting.items():
                    final.parent.mkdir(parents=True, exist_ok=True)
                    sync(temporary)
                    temporary.replace(final)
                for folder in {final.parent for final in waiting}:
                    sync(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def listing(self, prefix: str, unread: list[Unreadable] | None = None) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for name, entry in _walk(self._folder(prefix), prefix, unread) if self._is_own(prefix) else ():
            if f"/{TEMPORARY}" not in f"/{name}":
                with contextlib.suppress(OSError):  # deleted by another process
                    sizes[name] = _size(entry)
        return sizes

    def delete(self, name: str) -> None:
        path = self._file(name)
        with explain_disk_errors(path), contextlib.suppress(FileNotFoundError):
            path.unlink()

    def clear(self, prefix: str, keep: Collection[str] = ()) -> None:
        folder = self._folder(prefix)
        with explain_disk_errors(Path(folder)):
            for name, entry in _walk(folder, prefix) if self._is_own(prefix) else ():
                if name not in keep:
                    Path(entry.path).unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        source, target = self._file(name), self._file(to)
        with explain_disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            sync(source.parent)
            sync(target.parent)

    def _is_own(self, name: str) -> bool:
        """Whether none of a blob's folders is a link, behind which others' files could lie; the first of them may be one."""
        parts = name.split("/")[:-1]
        folders = (f"{self.path}/{'/'.join(parts[: i + 1])}" for i in range(1, len(parts)))
        return not any(os.path.islink(folder) for folder in folders)  # noqa: PTH114  (see _path)

    def _file(self, name: str) -> Path:
        """The path of a blob to be written, moved or deleted."""
        path = Path(self._path(name))
        if not self._is_own(name):
            raise UserError("a link stands where a folder should", str(path.parent), "transferlab verify sets it aside")
        return path

    def _path(self, name: str) -> str:
        """The path of a blob as text: making a ``Path`` takes as long as reading a record."""
        if UNSAFE.search(name):
            raise ValueError(f"{name!r} is not a safe name of a blob")
        return f"{self.path}/{name}"

    def _folder(self, prefix: str) -> str:
        return self._path(prefix.removesuffix("/")) if prefix else str(self.path)


def _size(entry: os.DirEntry[str]) -> int:
    """The size of a file; a link that leads nowhere or to itself has its own."""
    try:
        return entry.stat().st_size
    except OSError:
        return entry.stat(follow_symlinks=False).st_size


def _at_once(path: str, flags: int) -> int:
    """Open a file; without this flag, a pipe in its place would be waited for until somebody writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _walk(folder: str, prefix: str, unread: list[Unreadable] | None = None) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All files below a folder, including temporary ones, with their names after ``prefix``."""
    todo = [(folder, prefix)]
    while todo:
        path, above = todo.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append((entry.path, f"{above}{entry.name}/"))
                    else:
                        yield f"{above}{entry.name}", entry
        except OSError as error:
            if error.errno in NOT_THERE:  # it does not exist, is a file, or was just moved to quarantine
                continue
            if unread is None:
                raise unreadable(path, error) from error
            unread.append(unreadable(path, error))
