"""A tree of files, whether in a folder or in a zip; and sources that are lists of such files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache, partial

from transferlab.errors import UserError
from transferlab.images.source import Data, Item, Source, Unreadable, at_hand
from transferlab.images.sources.listing import class_order, digest_of_rows
from transferlab.taxonomy.tree import Taxonomy
from transferlab.text import number_of

# Any other file counts as an image: one that cannot be decoded is then reported rather than lost.
OTHER_SUFFIXES = frozenset(
    {".txt", ".json", ".jsonl", ".csv", ".tsv", ".md", ".rst", ".xml", ".yaml", ".yml", ".html", ".pdf", ".db", ".ini",
     ".py", ".ipynb", ".sh", ".log", ".mat", ".npy", ".npz", ".pkl", ".parquet", ".arrow", ".h5", ".pt", ".pth", ".zip",
     ".gz", ".tar", ".tgz", ".7z", ".rar", ".doc", ".docx", ".xls", ".xlsx", ".url", ".lnk", ".md5", ".sha256", ".mp4",
     ".mov", ".avi", ".aae"}
)  # fmt: skip
OTHER_NAMES = frozenset({"license", "licence", "readme", "copying"})
# What systems and tools leave between files, in lower case: Windows, macOS, Synology, recycle bins, disk checks.
HOUSEKEEPING = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon\r", "__macosx", "@eadir", "#recycle", "@recycle",
     "$recycle.bin", "system volume information", "lost+found", "__pycache__"}
)  # fmt: skip

Row = tuple[str, str, str | None]  # a file's name in its tree, its class, its split


@dataclass(frozen=True, eq=False)
class Tree:
    """The files of a folder or zip.

    Args:
        where: the SPEC, for errors.
        files: name inside the tree, with "/", to its size in bytes and its times or checksum; ordered by name.
        content: returns a file, its bytes, or the reason why it cannot be read, by its name.
        notes: what was skipped.
        asked: names of the files that ``data`` gave.
    """

    where: str
    files: Mapping[str, tuple[int, ...]]
    content: Callable[[str], Data]
    notes: list[str] = field(default_factory=list[str])
    asked: set[str] = field(default_factory=set[str])

    def first_of(self, places: Sequence[str], name: str) -> str | None:
        """The full name of a file in the first of these places that has it; a place is "" or a prefix that ends in "/"."""
        return next((place + name for place in places if place + name in self.files), None)

    def data(self, name: str) -> bytes:
        """The content of a small file; raises UserError if it is missing or cannot be read."""
        if name not in self.files:
            raise UserError(f"{name} is not there", self.where, "copy the whole data set, with its lists")
        self.asked.add(name)
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


def listed(
    tree: Tree,
    name: str,
    rows: Sequence[Row],
    *,
    classes: Sequence[str] = (),
    taxonomy: Taxonomy | None = None,
    notes: Sequence[str] = (),
    told: Set[str] = frozenset(),
) -> Source:
    """A source whose images are files of a tree, with one class each.

    Args:
        name: of the format, also for display.
        rows: in the order of the source; their files exist.
        classes: in class-index order; by default those of the rows, sorted.
        told: further files of which the notes tell that they are left out.
    """
    return Source(
        name=name,
        classes=tuple(classes) or class_order(label for _, label, _ in rows),
        fingerprint=digest_of_rows(name, rows=[[file, *tree.files[file], label, split] for file, label, split in rows]),
        items=partial(items_of, tree, rows),
        taxonomy=taxonomy,
        n_images=len(rows),
        notes=(*tree.notes, *notes, *unused(tree, {file for file, _, _ in rows} | told)),
    )


def may_be_image(name: str) -> bool:
    """Whether a file may be an image, by its name: neither hidden, nor a housekeeping file, nor of another type."""
    return visible(name) and not _other_type(name.lower().rpartition("/")[2])


def visible(name: str) -> bool:
    """Whether neither a file nor one of its folders is hidden, or belongs to a system or tool."""
    folder, _, file = name.lower().rpartition("/")
    return not is_housekeeping(file) and _visible(folder)


@lru_cache(1 << 16)  # a million files are in some thousand folders
def _visible(folder: str) -> bool:
    return not any(map(is_housekeeping, folder.split("/")))


def is_housekeeping(name: str) -> bool:
    """Whether a file or folder is hidden, or belongs to a system or tool; its name is in lower case."""
    return name.startswith(".") or name in HOUSEKEEPING or name.endswith(".cache")


def _other_type(name: str) -> str:
    """The suffix or name that shows that a file is no image; "" if it may be one."""
    dot = name.rfind(".")
    suffix = name[dot:] if dot > 0 else ""
    return name if name in OTHER_NAMES else suffix if suffix in OTHER_SUFFIXES else ""


def unused(tree: Tree, used: Set[str]) -> list[str]:
    """Notes on the files of a tree that are neither used nor were asked for."""
    others = [name for name in tree.files if name not in used and name not in tree.asked]
    images = [name for name in others if may_be_image(name)]
    notes: list[str] = []
    if images:
        what = number_of(len(images), "image that nothing labels was", "images that nothing labels were")
        notes.append(f"{what} left out, for example {images[0]}")
    return [*notes, *not_images(tree, {*tree.files} - {*others} | {*images})]


def not_images(tree: Tree, images: Collection[str]) -> list[str]:
    """Notes on the files of a tree that are not taken for images, with their number and types."""
    taken = set(images)
    types = Counter(
        "" if any(map(is_housekeeping, parts := name.lower().split("/"))) else _other_type(parts[-1])
        for name in tree.files if name not in taken
    )  # fmt: skip
    n_hidden = types.pop("", 0)
    shown = ", ".join(f"{n:,} {kind}" for kind, n in types.most_common(5))
    more = f" and {len(types) - 5} other types" if len(types) > 5 else ""
    notes: list[str] = []
    if types:
        what = number_of(types.total(), "file that is not an image was", "files that are not images were")
        notes.append(f"{what} skipped ({shown}{more})")
    if n_hidden:
        notes.append(
            number_of(n_hidden, "hidden or housekeeping file was skipped", "hidden or housekeeping files were skipped")
        )
    return notes


def items_of(tree: Tree, rows: Sequence[Row]) -> Iterator[Item]:
    """The items of these rows."""
    for name, label, split in rows:
        yield Item(name, tree.content(name), label, split)
