"""The files of a folder, or of a zip that is read in place; and sources that are lists of such files."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Data, Item, Source, Unreadable, at_hand
from transferlab.images.sources.listing import MAX_FILE_BYTES, SPLIT_NAMES, class_order, content_of, printable
from transferlab.taxonomy.tree import Taxonomy

# Any other file counts as an image: one that cannot be decoded is then reported rather than lost.
OTHER_SUFFIXES = frozenset(
    {".txt", ".json", ".csv", ".tsv", ".md", ".rst", ".xml", ".yaml", ".yml", ".html", ".pdf", ".db", ".ini", ".py",
     ".log", ".mat", ".npy", ".npz", ".zip", ".gz", ".tar"}
)  # fmt: skip
OTHER_NAMES = frozenset({"license", "licence", "readme", "copying", "thumbs.db", "desktop.ini"})
ROWS = 10_000  # rows hashed at once: a million together would be a text of 150 MB

Row = tuple[str, str, str | None]  # a file's name in its tree, its class, its split


@dataclass(frozen=True, eq=False)
class Tree:
    """The files of a folder or zip.

    Args:
        where: the SPEC, for errors.
        files: name inside the tree, with "/", to its size in bytes and its time or checksum; ordered by name.
        content: returns a file, its bytes, or the reason why it cannot be read, by its name.
        notes: what was skipped.
    """

    where: str
    files: Mapping[str, tuple[int, int]]
    content: Callable[[str], Data]
    notes: list[str] = field(default_factory=list[str])

    def first_of(self, places: Sequence[str], name: str) -> str | None:
        """The full name of a file in the first of these places that has it; a place is "" or a prefix that ends in "/"."""
        return next((place + name for place in places if place + name in self.files), None)

    def data(self, name: str) -> bytes:
        """The content of a small file; raises UserError if it is missing or cannot be read."""
        if name not in self.files:
            raise UserError(f"{name} is not there", self.where, "copy the whole data set, with its lists")
        data = at_hand(self.content(name))
        if not isinstance(data, bytes):
            reason = data.reason if isinstance(data, Unreadable) else "no bytes"
            raise UserError(f"{name} {reason}", self.where, "copy it again")
        return data

    def lines(self, name: str) -> list[str]:
        """The lines of a list without line ends; empty lines are left out.

        Raises:
            UserError: it is missing, empty, or not text in UTF-8.
        """
        try:
            found = [line.rstrip() for line in self.data(name).decode("utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise UserError(f"{name} is not text in UTF-8", self.where, "get it again") from error
        if not found:
            raise UserError(f"{name} is empty", self.where, "get it again")
        return found

    def rows(self, name: str, n_columns: int, separator: str | None = None) -> list[list[str]]:
        """The rows of a table with so many columns, by default separated by blanks.

        Raises:
            UserError: as ``lines``, or a line has another number of columns.
        """
        rows = [line.split(separator) for line in self.lines(name)]
        for number, row in enumerate(rows, 1):
            if len(row) != n_columns:
                raise UserError(
                    f"line {number} of {name} has {len(row)} columns, {n_columns} were expected", self.where,
                    "get the list again",
                )  # fmt: skip
        return rows

    def must_have(self, names: Sequence[str], list_: str) -> None:
        """Raises UserError unless all files that a list names are there, each of them named once."""
        if absent := [name for name in names if name not in self.files]:
            raise UserError(
                f"{len(absent):,} of the {len(names):,} files that {list_} names are not there, for example "
                f"{absent[0]}", self.where, "copy the whole data set"
            )  # fmt: skip
        if len(set(names)) < len(names):
            twice, count = Counter(names).most_common(1)[0]
            raise UserError(f"{list_} names {twice} {count} times", self.where, "get the list again")


def tree_of(root: Path, where: str, skip: Set[str] = frozenset()) -> Tree:
    """The files of a folder or zip, except those below folders with the names to skip.

    Raises:
        UserError: it is neither; the zip is damaged or encrypted.
    """
    return _walked(root, where, skip) if root.is_dir() else _zipped(root, where, skip)


def listed(
    tree: Tree,
    name: str,
    rows: Sequence[Row],
    *,
    classes: Sequence[str] = (),
    taxonomy: Taxonomy | None = None,
    notes: Sequence[str] = (),
) -> Source:
    """A source whose images are files of a tree, with one class each.

    Args:
        name: of the format, also for display.
        rows: in the order of the source; their files exist.
        classes: in class-index order; by default those of the rows, sorted.
    """
    parts = [
        digest([[file, *tree.files[file], label, split] for file, label, split in rows[start : start + ROWS]])
        for start in range(0, len(rows), ROWS)
    ]
    return Source(
        name=name,
        classes=tuple(classes) or class_order(label for _, label, _ in rows),
        fingerprint=digest(name, parts),
        items=partial(items_of, tree, rows),
        taxonomy=taxonomy,
        n_images=len(rows),
        notes=(*tree.notes, *notes),
    )


def may_be_image(name: str) -> bool:
    """Whether a file may be an image, by its name: neither hidden nor of another type."""
    parts = name.split("/")
    last = parts[-1].lower()
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and last not in OTHER_NAMES and os.path.splitext(last)[1] not in OTHER_SUFFIXES  # noqa: PTH122


def items_of(tree: Tree, rows: Sequence[Row]) -> Iterator[Item]:
    """The items of these rows."""
    for name, label, split in rows:
        yield Item(name, tree.content(name), label, split)


def _walked(root: Path, where: str, skip: Set[str]) -> Tree:
    found: dict[str, tuple[int, int]] = {}
    odd: dict[str, str] = {}  # paths whose names are not UTF-8; all other paths follow from their names
    seen: set[tuple[int, int]] = set()
    waiting = deque([root])  # real folders come before linked ones, so that they keep their names
    n_links = n_special = 0
    while waiting:
        for folder, folders, files in os.walk(waiting.popleft()):
            facts = Path(folder).stat()
            if (facts.st_dev, facts.st_ino) in seen:  # also ends loops
                folders.clear()
                n_links += 1
                continue
            seen.add((facts.st_dev, facts.st_ino))
            folders[:] = [name for name in folders if name not in skip]
            waiting.extend(sorted(Path(folder, name) for name in folders if Path(folder, name).is_symlink()))
            within = "" if Path(folder) == root else f"{Path(folder).relative_to(root).as_posix()}/"
            for file in files:  # as text: a million Paths would take longer than listing the files
                path = os.path.join(folder, file)  # noqa: PTH118
                try:
                    facts = os.stat(path)  # noqa: PTH116
                except OSError:
                    facts = None
                if facts is None or not stat.S_ISREG(facts.st_mode):  # a dangling link, a device, a pipe
                    n_special += 1
                    continue
                name = printable(f"{within}{file}")
                found[name] = facts.st_size, facts.st_mtime_ns
                if name != f"{within}{file}":
                    odd[name] = path
    notes = [f"{n_links} links to folders that were already read were skipped"] if n_links else []
    notes += [f"{n_special} dangling links or special files were skipped"] if n_special else []
    return Tree(where, dict(sorted(found.items())), lambda name: content_of(Path(odd.get(name) or root / name)), notes)


def _zipped(path: Path, where: str, skip: Set[str]) -> Tree:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"this is neither a folder nor a readable zip: {error}", where, "check it") from error
    members = [m for m in archive.infolist() if not m.is_dir()]
    names = _unwrapped([m.filename for m in members])
    if repeated := len(names) - len(set(names)):
        raise UserError(f"{repeated} names occur twice in the zip", where, "pack it again")
    if any(m.flag_bits & 1 for m in members):
        raise UserError("the zip is encrypted", where, "pack it again without a password")
    pairs = [pair for pair in zip(names, members, strict=True) if not skip & set(pair[0].split("/")[:-1])]
    by_name = dict(sorted(pairs, key=lambda pair: pair[0]))

    def content(name: str) -> bytes | Unreadable:
        member = by_name[name]
        if member.file_size > MAX_FILE_BYTES:
            return Unreadable(f"file too large ({member.file_size:,} bytes)")
        try:
            return archive.read(member)
        # zipfile raises NotImplementedError for compression methods that it does not know.
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            return Unreadable(f"damaged in the zip ({error})")

    return Tree(where, {name: (m.file_size, m.CRC) for name, m in by_name.items()}, content)


def _unwrapped(names: list[str]) -> list[str]:
    """Names without a single folder around everything: it is not a class."""
    images = [name for name in names if may_be_image(name)]
    tops = {name.split("/")[0] for name in images}
    if len(tops) != 1 or any(name.count("/") < 2 for name in images) or tops & set(SPLIT_NAMES):
        return names
    prefix = f"{tops.pop()}/"
    return [name.removeprefix(prefix) for name in names]
