"""``imagefolder:PATH``: folders of images, flat or nested, with or without split folders; or a zip of such a tree."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Data, Item, Source, Unreadable
from transferlab.images.sources.listing import (
    MAX_FILE_BYTES,
    SPLIT_NAMES,
    class_order,
    content_of,
    existing,
    printable,
)  # fmt: skip
from transferlab.taxonomy.readers import from_folders

# Whatever is not clearly something else is taken for an image: one that cannot be decoded is named, not lost.
OTHER_SUFFIXES = frozenset(
    {".txt", ".json", ".csv", ".tsv", ".md", ".rst", ".xml", ".yaml", ".yml", ".html", ".pdf", ".db", ".ini", ".py",
     ".log", ".mat", ".npy", ".npz", ".zip", ".gz", ".tar"}
)  # fmt: skip
OTHER_NAMES = frozenset({"license", "licence", "readme", "copying", "thumbs.db", "desktop.ini"})


@dataclass(frozen=True, eq=False)
class _Tree:
    """The files of a folder or zip.

    Args:
        files: name inside the tree, with "/", to size and time or checksum; in order of the names.
        content: gives a file, or its bytes, by its name, or why it cannot.
        notes: what was passed over.
    """

    files: Mapping[str, tuple[int, int]]
    content: Callable[[str], Data]
    notes: list[str] = field(default_factory=list[str])


def read(path: str, options: Mapping[str, str]) -> Source:
    """Images below class folders: the folders are the classes, and nested ones the taxonomy.

    A top level of only train, val (valid, validation) and test folders gives the splits. A class is its full path:
    two folders of one name under different parents stay two classes. Hidden files, and files that by their names are
    no images, are passed over. Links are followed, each folder once. In a zip, one folder around everything is its
    packaging; members are read in place.

    Raises:
        UserError: no such path, no images, images outside of class folders, a damaged or encrypted zip.
    """
    root, where = existing(path, "imagefolder"), f"imagefolder:{path}"
    tree = _walked(root) if root.is_dir() else _zipped(root, where)
    names = [name for name in tree.files if _may_be_image(name)]
    if not names:
        raise UserError("there are no images here", where, "put them into folders, one for each class")
    if n_other := len(tree.files) - len(names):
        tree.notes.append(f"{n_other} files that are no images were passed over")
    has_splits = all("/" in name and name.split("/")[0].lower() in SPLIT_NAMES for name in names)
    places = [_placed(name, has_splits=has_splits) for name in names]
    loose = [name for name, (_, label) in zip(names, places, strict=True) if not label]
    if loose:
        raise UserError(
            f"{len(loose)} images lie outside of class folders, for example {loose[0]!r}", where,
            "put them into folders, one for each class",
        )  # fmt: skip
    classes = class_order(label for _, label in places)
    return Source(
        name=root.resolve().name if root.is_dir() else root.stem,
        classes=classes,
        fingerprint=digest("imagefolder", [[name, *facts] for name, facts in tree.files.items()]),
        items=partial(_items, tree, names, places),
        taxonomy=from_folders(classes),
        n_images=len(names),
        notes=tuple(tree.notes),
    )


def _items(tree: _Tree, names: list[str], places: list[tuple[str | None, str]]) -> Iterator[Item]:
    for name, (split, label) in zip(names, places, strict=True):
        yield Item(name, tree.content(name), label, split)


def _placed(name: str, *, has_splits: bool) -> tuple[str | None, str]:
    """Split and class of a file."""
    folder = name.rpartition("/")[0]
    if not has_splits:
        return None, folder
    top, _, rest = folder.partition("/")
    return SPLIT_NAMES[top.lower()], rest


def _may_be_image(name: str) -> bool:
    parts = name.split("/")
    last = parts[-1].lower()
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and last not in OTHER_NAMES and os.path.splitext(last)[1] not in OTHER_SUFFIXES  # noqa: PTH122


def _walked(root: Path) -> _Tree:
    found: dict[str, tuple[int, int]] = {}
    paths: dict[str, str] = {}
    seen: set[tuple[int, int]] = set()
    waiting = deque([root])  # linked folders wait until all real ones are read, so that those keep their names
    n_links = n_special = 0
    while waiting:
        for folder, folders, files in os.walk(waiting.popleft()):
            facts = Path(folder).stat()
            if (facts.st_dev, facts.st_ino) in seen:  # loops end here
                folders.clear()
                n_links += 1
                continue
            seen.add((facts.st_dev, facts.st_ino))
            waiting.extend(sorted(Path(folder, name) for name in folders if Path(folder, name).is_symlink()))
            within = "" if Path(folder) == root else f"{Path(folder).relative_to(root).as_posix()}/"
            for file in files:  # texts, since a Path for each of a million files takes longer than listing them
                path = os.path.join(folder, file)  # noqa: PTH118
                try:
                    facts = os.stat(path)  # noqa: PTH116
                except OSError:
                    facts = None
                if facts is None or not stat.S_ISREG(facts.st_mode):  # a dangling link, a device, a pipe
                    n_special += 1
                    continue
                name = printable(f"{within}{file}")
                found[name], paths[name] = (facts.st_size, facts.st_mtime_ns), path
    notes = [f"{n_links} links to folders that were read already were passed over"] if n_links else []
    notes += [f"{n_special} dangling links or special files were passed over"] if n_special else []
    return _Tree(dict(sorted(found.items())), lambda name: content_of(Path(paths[name])), notes)


def _zipped(path: Path, where: str) -> _Tree:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"this is neither a folder nor a zip that can be read: {error}", where, "check it") from error
    members = [m for m in archive.infolist() if not m.is_dir()]
    names = _unwrapped([m.filename for m in members])
    repeated = len(names) - len(set(names))
    if repeated:
        raise UserError(f"{repeated} names occur twice in the zip", where, "pack it again")
    if any(m.flag_bits & 1 for m in members):
        raise UserError("the zip is encrypted", where, "pack it again without a password")
    by_name = dict(sorted(zip(names, members, strict=True), key=lambda pair: pair[0]))

    def content(name: str) -> bytes | Unreadable:
        member = by_name[name]
        if member.file_size > MAX_FILE_BYTES:
            return Unreadable(f"file too large ({member.file_size:,} bytes)")
        try:
            return archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            return Unreadable(f"damaged in the zip ({error})")

    return _Tree({name: (m.file_size, m.CRC) for name, m in by_name.items()}, content)


def _unwrapped(names: list[str]) -> list[str]:
    """Names without the one folder around everything, which is the archive's packaging and no class."""
    images = [name for name in names if _may_be_image(name)]
    tops = {name.split("/")[0] for name in images}
    if len(tops) != 1 or any(name.count("/") < 2 for name in images) or tops & set(SPLIT_NAMES):
        return names
    prefix = f"{tops.pop()}/"
    return [name.removeprefix(prefix) for name in names]
