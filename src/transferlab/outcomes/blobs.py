"""Blobs: bytes under names, stored in a folder. The interface has no locks and no appending, so that a bucket would do."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transferlab.outcomes.files import TEMPORARY, explain_disk_errors, publish_atomically, sync, write_atomically

# Empty or dotted parts, temporary files, and characters that some file systems treat as separators or terminators.
UNSAFE = re.compile(rf"(?:^|/)(?:\.{{0,2}}(?:/|\Z)|{re.escape(TEMPORARY)})|[\\\0]")


class Blobs(Protocol):
    """Bytes under names such as ``cells/ab/record.json``; a prefix is empty or ends with a slash.

    Raises:
        ValueError: from every method, for an unsafe name (absolute, empty or dotted parts, a temporary file's name).
        UserError: from the methods that write, if the disk is full or read-only or access is denied.
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

    def listing(self, prefix: str) -> dict[str, int]:
        """Full names and sizes in bytes of the blobs under a prefix."""
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


@dataclass(frozen=True)
class FolderBlobs:
    """Blobs as the files of a folder."""

    path: Path

    def read(self, name: str) -> bytes | None:
        try:
            with open(self._path(name), "rb") as file:  # noqa: PTH123  (see _path)
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

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

    def listing(self, prefix: str) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for name, entry in _walk(self._folder(prefix), prefix):
            if f"/{TEMPORARY}" not in f"/{name}":
                with contextlib.suppress(FileNotFoundError):  # deleted by another process
                    sizes[name] = entry.stat().st_size
        return sizes

    def delete(self, name: str) -> None:
        path = self._file(name)
        with explain_disk_errors(path), contextlib.suppress(FileNotFoundError):
            path.unlink()

    def clear(self, prefix: str, keep: Collection[str] = ()) -> None:
        folder = self._folder(prefix)
        with explain_disk_errors(Path(folder)):
            for name, entry in _walk(folder, prefix):
                if name not in keep:
                    Path(entry.path).unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        source, target = self._file(name), self._file(to)
        with explain_disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            sync(source.parent)
            sync(target.parent)

    def _file(self, name: str) -> Path:
        return Path(self._path(name))

    def _path(self, name: str) -> str:
        """The path of a blob as text: making a ``Path`` takes as long as reading a record."""
        if UNSAFE.search(name):
            raise ValueError(f"{name!r} is not a safe name of a blob")
        return f"{self.path}/{name}"

    def _folder(self, prefix: str) -> str:
        return self._path(prefix.removesuffix("/")) if prefix else str(self.path)


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
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
        except FileNotFoundError:  # it does not exist, or was just moved to quarantine
            continue
