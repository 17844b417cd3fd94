"""What several formats share: the order of classes, the names of splits, fingerprints, errors that name a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest

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


def existing(path: str, form: str) -> Path:
    """The path, if it is there.

    Raises:
        UserError: it is not.
    """
    found = Path(path).expanduser()
    if not found.exists():
        raise UserError("there is no such file or folder", f"{form}:{path}", "check the path")
    return found


def fingerprint(files: Iterable[Path], root: Path) -> str:
    """Changes with the names, sizes and times of these files; their content is not read."""
    facts: list[list[str | int]] = []
    for file in files:
        stat = file.stat()
        facts.append([str(file.relative_to(root)), stat.st_size, stat.st_mtime_ns])
    return digest("files", facts)
