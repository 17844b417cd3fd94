"""Checks every file of a store except its packs (see runners/packs), and sets damaged ones aside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transferlab.errors import UserError
from transferlab.identity import canonical, digest
from transferlab.outcomes.sealed import unsealed
from transferlab.outcomes.store import RECORD, Store


@dataclass(frozen=True)
class Problem:
    """A damaged file or cell's folder of the store."""

    path: Path
    what: str


def verify(store: Store) -> list[Problem]:
    """Compare all files with their hashes, and each cell's key with its inputs; cells without a record are unfinished."""
    names = sorted(store.blobs.listing("cells/"))
    keys = dict.fromkeys(name.split("/")[-2] for name in names if RECORD.fullmatch(name.rpartition("/")[2]))
    cells = [Problem(store.cell(key), what) for key in keys if (what := _fault(store, key)) is not None]
    return [*cells, *_arrays(store), *_documents(store)]


def quarantine(store: Store, problem: Problem) -> None:
    """Move a damaged cell or file to quarantine, where it can be inspected; the next run makes it again."""
    name = problem.path.relative_to(store.path).as_posix()
    taken = {other.split("/")[1] for other in store.blobs.listing("quarantine/")}
    aside, number = problem.path.name, 0
    while aside in taken:
        number += 1
        aside = f"{problem.path.name}-{number}"
    store.blobs.move(name, f"quarantine/{aside}")


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
        except UserError as error:
            return error.what
    return None


def _follows(key: str, record: dict[str, Any]) -> bool:
    """Whether a cell's key is the digest of its inputs, and they name the network that the record describes."""
    network = record.get("network")
    return digest(*record["inputs"]) == key and (network is None or digest(*network) in canonical(record["inputs"]))


def _arrays(store: Store) -> Iterator[Problem]:
    for folder, read in (("subsets/", store.read_subset), ("labels/", store.labels)):
        for name in sorted(store.blobs.listing(folder)):
            path = store.path / name
            if path.suffix == ".npz":
                try:
                    read(path.stem)
                except UserError:
                    yield Problem(path, "it is not what was written")


def _documents(store: Store) -> Iterator[Problem]:
    for folder in ("studies/", "failures/", "notes/", "packs/index/"):
        for name in sorted(store.blobs.listing(folder)):
            if name.endswith(".json"):
                try:
                    unsealed(store.blobs.read(name) or b"")
                except ValueError:
                    yield Problem(store.path / name, "it is not what was written")
