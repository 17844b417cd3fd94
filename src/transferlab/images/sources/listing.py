"""What several formats share: names of splits and of files, the order of classes, fingerprints."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import OnDisk, Unreadable

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)  # fmt: skip
MAX_FILE_BYTES = 1 << 29  # one image file; what claims to be larger is not read into memory


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Unique class ids, sorted; by value where all of them are whole numbers."""
    unique = set(names)
    if all(name.isascii() and name.isdigit() for name in unique):
        return tuple(sorted(unique, key=lambda name: (int(name), name)))
    return tuple(sorted(unique))


def is_there(path: str) -> bool:
    """Whether a path exists; False also for what cannot be one."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, a null character
        return False


def existing(path: str, form: str) -> Path:
    """The path, if it is there.

    Raises:
        UserError: it is not.
    """
    found = Path(path).expanduser() if path.startswith("~/") else Path(path)
    if not is_there(str(found)):
        raise UserError("there is no such file or folder", f"{form}:{path}", "check the path")
    return found


def split_of(word: str, where: str) -> str | None:
    """A split by one of its usual names; None for an empty text.

    Raises:
        UserError: another name.
    """
    if not word.strip():
        return None
    if word.strip().lower() not in SPLIT_NAMES:
        raise UserError(f"there is no split {word!r}", where, "splits are train, val and test")
    return SPLIT_NAMES[word.strip().lower()]


def content_of(file: Path) -> OnDisk | Unreadable:
    """An image's file, or why it cannot be had."""
    try:
        n_bytes = file.stat().st_size
    except OSError as error:
        return Unreadable(f"cannot be read ({error.strerror})")
    if n_bytes > MAX_FILE_BYTES:
        return Unreadable(f"file too large (over {MAX_FILE_BYTES:,} bytes)")
    return OnDisk(file, n_bytes)


def printable(name: str) -> str:
    """A file name as text that can be written as UTF-8: bytes that are none appear as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def fingerprint(files: Iterable[Path], root: Path) -> str:
    """Changes with the names, sizes and times of these files; their content is not read."""
    facts: list[list[str | int]] = []
    for file in files:
        stat = file.stat()
        facts.append([str(file.relative_to(root)), stat.st_size, stat.st_mtime_ns])
    return digest("files", facts)
