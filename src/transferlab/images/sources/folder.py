"""``imagefolder:PATH``: folders of images, flat or nested, with or without split folders; or a zip of such a tree."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source
from transferlab.taxonomy.readers import from_folders

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
NOT_IMAGES = {".txt", ".json", ".csv", ".tsv", ".md", ".xml", ".yaml", ".yml", ".html", ".pdf", ".db", ".ini", ".py"}


def read(path: str, options: Mapping[str, str]) -> Source:
    """Images below class folders; the folders are the classes, and nested ones the taxonomy.

    A top level of only train, val (valid, validation) and test folders gives the splits. A class is its full path:
    two folders of one name under different parents stay two classes.

    Raises:
        UserError: no such path, no images, images outside of class folders.
    """
    root = Path(path)
    if not root.exists():
        raise UserError("there is no such folder", f"imagefolder:{path}", "check the path")
    files, stamp, load = _zip_files(root) if root.is_file() else _tree_files(root)
    images = [name for name in files if PurePosixPath(name).suffix.lower() not in NOT_IMAGES and _visible(name)]
    if not images:
        raise UserError("the folder holds no images", f"imagefolder:{path}", "put images into a folder for each class")
    images = _without_wrapper(images) if root.is_file() else [("", name) for name in images]
    tops = {name.split("/")[0] for _, name in images}
    has_splits = all(top.lower() in SPLIT_FOLDERS for top in tops) and all("/" in name for _, name in images)
    placed: list[tuple[str, str, str | None]] = []
    for prefix, name in images:
        split = SPLIT_FOLDERS[name.split("/")[0].lower()] if has_splits else None
        label = str(PurePosixPath(name.partition("/")[2] if has_splits else name).parent)
        placed.append((prefix + name, label, split))
    loose = [name for name, label, _ in placed if label == "."]
    if loose:
        raise UserError(
            f"{len(loose)} images lie outside of class folders, for example {loose[0]!r}", f"imagefolder:{path}",
            "make a folder for each class, with its images in it",
        )  # fmt: skip
    classes = sorted({label for _, label, _ in placed})
    n_left = len(files) - len(images)

    def items() -> Iterator[Item]:
        for name, label, split in placed:
            yield Item(name, load(name), label, split)

    return Source(
        name=root.stem if root.is_file() else root.resolve().name, classes=classes,
        fingerprint=digest("imagefolder", stamp), items=items, taxonomy=from_folders(classes), n_images=len(placed),
        notes=(f"{n_left} files that are no images were left alone",) if n_left else (),
    )  # fmt: skip


def _tree_files(root: Path) -> tuple[list[str], list[list[str | int]], Callable[[str], bytes]]:
    found: list[tuple[str, os.stat_result]] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        folders.sort()
        below = Path(folder).relative_to(root)
        for name in sorted(files):
            if (Path(folder) / name).is_file():
                found.append(((below / name).as_posix(), (Path(folder) / name).stat()))
    found.sort(key=lambda entry: entry[0])
    stamp: list[list[str | int]] = [[name, s.st_size, s.st_mtime_ns] for name, s in found]
    return [name for name, _ in found], stamp, lambda name: (root / name).read_bytes()


def _zip_files(path: Path) -> tuple[list[str], list[list[str | int]], Callable[[str], bytes]]:
    """Members of a zip, read one by one in place; nothing is extracted."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise UserError("this is neither a folder nor a zip", f"imagefolder:{path}", "name a folder") from error
    members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
    sizes = {m.filename: m.file_size for m in members}
    stamp: list[list[str | int]] = [[m.filename, m.file_size, m.CRC] for m in members]

    def load(name: str) -> bytes:
        return archive.read(name) if sizes[name] <= 200_000_000 else b""

    return list(sizes), stamp, load


def _without_wrapper(images: list[str]) -> list[tuple[str, str]]:
    """(prefix, rest) of each name: a single top folder around everything is the archive's, not a class."""
    tops = {name.split("/")[0] for name in images}
    if len(tops) == 1 and all(name.count("/") >= 2 for name in images) and not tops & set(SPLIT_FOLDERS):
        prefix = f"{next(iter(tops))}/"
        return [(prefix, name.removeprefix(prefix)) for name in images]
    return [("", name) for name in images]


def _visible(name: str) -> bool:
    parts = name.split("/")
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts) and parts[-1] not in (
        "LICENSE", "README", "Thumbs.db",
    )  # fmt: skip
