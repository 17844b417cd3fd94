"""Checks every file of a store except its packs and plans (see runners), and sets damaged ones aside."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transferlab.errors import UserError
from transferlab.identity import canonical, digest
from transferlab.outcomes.files import Unreadable, unreadable
from transferlab.outcomes.store import RECORD, Store
from transferlab.sealed import unsealed

FOLDERS = ("cells", "studies", "notes", "failures", "subsets", "labels", "packs", "packs/index", "claims")
OWN = re.compile(r"(?:studies|notes|failures|packs/index|subsets|labels)/[0-9a-f]{32}\.(?:json|npz)")
CELL = re.compile(r"cells/([0-9a-f]{2})/(\1[0-9a-f]{30})/.+")


@dataclass(frozen=True)
class Problem:
    """A damaged file or cell's folder of the store, or one that cannot be read and may be whole."""

    path: Path
    what: str
    unread: bool = False


def unread(path: Path, error: OSError | Unreadable) -> Problem:
    """A file or folder that cannot be read."""
    told = error if isinstance(error, Unreadable) else unreadable(path, error)
    return Problem(Path(told.where), told.what, unread=True)


def verify(store: Store) -> list[Problem]:
    """Compare all files with their hashes, and each cell's key with its inputs; cells without a record are unfinished.

    What cannot be read is named, and the rest is checked. What others change or set aside meanwhile is no problem.
    """
    return [*_folders(store), *_cells(store), *_arrays(store), *_documents(store)]


def quarantine(store: Store, problem: Problem) -> None:
    """Move a damaged cell or file to quarantine, where it can be inspected; the next run makes it again.

    It does nothing if another process has done so already.
    """
    name = problem.path.relative_to(store.path).as_posix()
    with store.claim("quarantine", wait=True):
        taken = {other.split("/")[1] for other in store.blobs.listing("quarantine/")}
        aside, number = problem.path.name, 0
        while aside in taken:
            number += 1
            aside = f"{problem.path.name}-{number}"
        if os.path.lexists(problem.path):
            store.blobs.move(name, f"quarantine/{aside}")


def _folders(store: Store) -> Iterator[Problem]:
    """What stands in a folder's place: the store would look empty, and nothing could be written there."""
    for name in FOLDERS:
        if os.path.lexists(path := store.path / name) and not path.is_dir():
            yield Problem(path, f"a {'link to nothing' if path.is_symlink() else 'file'} stands where a folder should")


def _cells(store: Store) -> Iterator[Problem]:
    closed: list[Unreadable] = []
    names = sorted(store.blobs.listing("cells/", closed))
    yield from (unread(store.path, each) for each in closed)
    for name in names:
        if CELL.fullmatch(name) is None and os.path.lexists(store.path / name) and _lies_in(store, name):
            kind = "link" if (store.path / name).is_symlink() else "file"
            yield Problem(store.path / name, f"a {kind} stands where there are only folders of cells")
    cells = [found[2] for name in names if (found := CELL.fullmatch(name)) and RECORD.fullmatch(name.split("/")[-1])]
    for key in dict.fromkeys(cells):
        try:
            # What another process writes or sets aside between two looks is as it should be at the second.
            if _fault(store, key) is not None and (what := _fault(store, key)) is not None and _has_record(store, key):
                yield Problem(store.cell(key), what)
        except Unreadable as error:
            yield unread(store.cell(key), error)


def _has_record(store: Store, key: str) -> bool:
    return any(RECORD.fullmatch(path.name) for path in _entries(store.cell(key)))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _fault(store: Store, key: str) -> str | None:
    """What is wrong with a cell that has a record, if anything."""
    record = store.record(key)
    if record is None:
        return "its record is damaged, or a file is missing or of another size"
    if not _follows(key, record):
        return "its key does not follow from the inputs in its record"
    for name in record["files"]:
        try:
            store.read(key, name)
        except Unreadable:
            raise
        except UserError as error:
            return error.what
    return None


def _follows(key: str, record: dict[str, Any]) -> bool:
    """Whether a cell's key is the digest of its inputs, and they name the network that the record describes."""
    try:
        network = record.get("network")
        return digest(*record["inputs"]) == key and (network is None or digest(*network) in canonical(record["inputs"]))
    except (KeyError, TypeError, ValueError, RecursionError):  # of another shape
        return False


def _arrays(store: Store) -> Iterator[Problem]:
    for folder, read in (("subsets/", store.read_subset), ("labels/", store.labels)):
        for name in _listed(store, folder, ".npz"):
            if isinstance(name, Problem):
                yield name
            else:
                yield from _checked(store.path / name, lambda path=store.path / name, read=read: read(path.stem))


def _documents(store: Store) -> Iterator[Problem]:
    for folder in ("studies/", "failures/", "notes/", "packs/index/"):
        for name in _listed(store, folder, ".json"):
            if isinstance(name, Problem):
                yield name
            else:
                yield from _checked(store.path / name, lambda name=name: unsealed(store.blobs.read(name) or b""))


def _listed(store: Store, folder: str, suffix: str) -> Iterator[str | Problem]:
    closed: list[Unreadable] = []
    names = sorted(store.blobs.listing(folder, closed))
    yield from (unread(store.path, each) for each in closed)
    yield from (name for name in names if name.endswith(suffix) and (OWN.fullmatch(name) or _lies_in(store, name)))


def _lies_in(store: Store, name: str) -> bool:
    """Whether a file is the store's by its place: no folder above it is a link, which may lead to anybody's files."""
    return (store.path / name).parent.resolve() == (store.path.resolve() / name).parent


def _checked(path: Path, read: Callable[[], object]) -> Iterator[Problem]:
    try:
        read()
    except Unreadable as error:
        yield unread(path, error)
    except (UserError, ValueError):
        if os.path.lexists(path):  # else another process has just deleted it or set it aside
            yield Problem(path, "it is not what was written")
