"""What several formats share: names of files, the order of classes, fingerprints."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from transferlab.identity import digest
from transferlab.images.source import Item, OnDisk, Unreadable

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif",
     ".heic", ".heif", ".svg"}
)  # fmt: skip
ROWS = 10_000  # written at once
MAX_FILE_BYTES = 1 << 28  # an image file that claims to be larger is not read into memory


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Unique class ids, sorted; by value if all of them are whole numbers."""
    unique = set(names)
    if all(name.isascii() and name.isdigit() for name in unique):
        return tuple(sorted(unique, key=lambda name: (int(name), name)))
    return tuple(sorted(unique))


def classes_of(labels: Iterable[str | tuple[str, ...]]) -> tuple[str, ...]:
    """The classes of labels, each one class or several, in class-index order."""
    return class_order(name for label in labels for name in ((label,) if isinstance(label, str) else label))


def content_of(file: Path) -> OnDisk | Unreadable:
    """An image's file, or the reason why it cannot be read."""
    try:
        facts = file.stat()
    except OSError as error:
        return Unreadable(f"cannot be read ({error.strerror})")
    except ValueError:
        return Unreadable("cannot be read (a null character in its name)")
    if not stat.S_ISREG(facts.st_mode):
        return Unreadable("not a regular file")
    if facts.st_size > MAX_FILE_BYTES:
        return Unreadable(f"file too large (over {MAX_FILE_BYTES:,} bytes)")
    return OnDisk(file, facts.st_size)


def items_of_files(rows: Iterable[tuple[str, Path, str | tuple[str, ...], str | None]]) -> Iterator[Item]:
    """Items whose images are files, from rows of key, file, label and split."""
    for key, file, label, split in rows:
        yield Item(key, content_of(file), label, split)


def printable(name: str) -> str:
    """A file name as valid UTF-8: bytes that are not UTF-8 become escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def digest_of_rows(*head: object, rows: Sequence[Sequence[object]]) -> str:
    """A digest of what ``identity.digest`` takes, and of rows of text, numbers, None and lists of these.

    Rows are written some at a time, since a million together would be a text of 150 MB, and without the checks of
    ``canonical``, which take ten times as long.
    """
    parts = (json.dumps(rows[start : start + ROWS]).encode() for start in range(0, len(rows), ROWS))
    return digest(*head, *(digest(part) for part in parts))


def fingerprint(files: Iterable[Path], root: Path) -> str:
    """A digest of the names, sizes and times of these files; their content is not read."""
    return digest_of_rows("files", rows=[[str(file.relative_to(root)), *stamp(file.stat())] for file in files])


def stamp(facts: os.stat_result) -> tuple[int, int, int]:
    """A file's size and the times of its last change: of its content, which programs may set, and of anything about it."""
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
