"""Blobs: bytes under names, in a folder or, one day, in a bucket; no lock and no appending, so that both can be had."""

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

# Empty parts, one dot or two; a temporary file; characters that some disks take for a separator or an end.
UNSAFE = re.compile(rf"(?:^|/)(?:\.{{0,2}}(?:/|\Z)|{re.escape(TEMPORARY)})|[\\\0]")


class Blobs(Protocol):
    """Bytes under names such as ``cells/ab/record.json``; a prefix is empty or ends with a slash.

    Raises:
        ValueError: from every method, for an unsafe name (absolute, empty or dotted parts, a temporary file's name).
        UserError: from the methods that write, for a full, read-only or forbidden disk.
    """

    def read(self, name: str) -> bytes | None:
        """The bytes under a name; None where there are none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a blob; a reader sees the old bytes or all of the new ones."""
        ...

    def publish(self, name: str, data: bytes) -> bool:
        """Write a blob if there is none of this name, whole, and say whether it was written."""
        ...

    def together(self) -> AbstractContextManager[Callable[[str, bytes], None]]:
        """Write the blobs that are given within, at its end, or none of them where it ends with an exception."""
        ...

    def listing(self, prefix: str) -> dict[str, int]:
        """Full names of the blobs under a prefix, and how many bytes each has."""
        ...

    def delete(self, name: str) -> None:
        """Delete a blob, if it is there."""
        ...

    def clear(self, prefix: str, keep: Collection[str] = ()) -> None:
        """Delete the blobs under a prefix except those of these full names, and what killed writers left there."""
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
        """Until the end the blobs wait on the disk: however many there are, memory holds one."""
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
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
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
        """Where a blob lies, as text: making a ``Path`` costs as much as reading a record."""
        if UNSAFE.search(name):
            raise ValueError(f"{name!r} is not a safe name of a blob")
        return f"{self.path}/{name}"

    def _folder(self, prefix: str) -> str:
        return self._path(prefix.removesuffix("/")) if prefix else str(self.path)


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below a folder, temporary ones included, with its name after ``prefix``."""
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
        except FileNotFoundError:  # there is none, or it was set aside meanwhile
            continue
