"""The store of results. Cells are named by the hash of everything they depend on, written atomically, checked when read.

Its files are listed in docs/architecture.md.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import plain
from transferlab.outcomes.arrays import labels_digest, npz_bytes, read_npz, read_subset, subset_bytes
from transferlab.outcomes.blobs import Blobs, FolderBlobs
from transferlab.outcomes.files import TEMPORARY, Unreadable, explain_disk_errors
from transferlab.sealed import checksum, sealed, unsealed
from transferlab.specs import Subset

FORMAT = 2
CHECKPOINT = "checkpoint"
T = TypeVar("T")
# The number of files, and for replacements of a damaged record a number from 2.
RECORD = re.compile(r"record-(\d+)(?:-(\d+))?\.json")


@dataclass(frozen=True)
class Store:
    """An opened store.

    Locks avoid double work. Without them two processes may compute the same cell; the store stays correct, with one record.
    """

    path: Path
    blobs: Blobs  # everything in the store except packs and claims, under the names of the layout
    locks: bool = True

    @staticmethod
    def open(path: Path, *, create: bool, locks: bool = True) -> Store:
        """Open a store, or create one; a lost lab.json is written again.

        Raises:
            UserError: no store (without ``create``), a folder with other files, another format, or a damaged lab.json.
        """
        mark, blobs = path / "lab.json", FolderBlobs(path)
        with explain_disk_errors(path):
            if not mark.is_file() and _is_store(blobs):
                _mend(mark, blobs)
            elif not mark.is_file():
                if not create:
                    raise UserError("there is no store", str(path), "name one with --store, or run a study first")
                others = path.is_dir() and any(not p.name.startswith(TEMPORARY) for p in path.iterdir())
                if others and not mark.is_file():  # else another process has just created it
                    raise UserError("the folder is not empty and not a store", str(path), "name another with --store")
                blobs.publish(mark.name, _mark())
        if mark.is_file():
            _check_format(mark, blobs)
        return Store(path, blobs, locks)

    @property
    def packs(self) -> Path:
        return self.path / "packs"

    def cell(self, key: str) -> Path:
        """The folder of a cell, whether it exists or not."""
        return self.path / _folder(key)

    def done(self) -> set[str]:
        """Keys of the finished cells, from one listing without reading records.

        A cell is finished if it has a record and as many files as the record's name says. Without that number, a cell that
        lost its weights (by an interrupted copy, say) would look like one without files. Damage is not noticed here: ``has``
        reads the record, ``verify`` reads everything.
        """
        files: Counter[str] = Counter()
        records: dict[str, int] = {}
        for name in self.blobs.listing("cells/"):
            folder, _, file = name.rpartition("/")
            if record := RECORD.fullmatch(file):
                records[folder] = int(record[1])
            elif file != CHECKPOINT:
                files[folder] += 1
        return {folder.rpartition("/")[2] for folder, n_files in records.items() if files[folder] >= n_files}

    def has(self, key: str) -> bool:
        """Whether a cell is complete: its record is undamaged, and its files have the recorded sizes."""
        return self.record(key) is not None

    def record(self, key: str) -> dict[str, Any] | None:
        """A cell's record; None if it is missing or damaged, or if its files do not fit."""
        return self._record(key)[1]

    def _record(self, key: str) -> tuple[str, dict[str, Any] | None]:
        """Name and content of a cell's record."""
        folder = _folder(key)
        sizes = self.blobs.listing(folder)
        for name in sorted(sizes):
            if RECORD.fullmatch(name.removeprefix(folder)):
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # the last: of another shape
                    record = unsealed(self.blobs.read(name) or b"")
                    fits = all(sizes.get(folder + f["file"]) == f["bytes"] for f in record["files"].values())
                    if fits and record["key"] == key and _has_shape(record):
                        return name, record
        return "", None

    def write_cell(
        self, key: str, inputs: Sequence[object], record: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> None:
        """Write a finished cell: its files, then its record, which names them. An existing cell is kept.

        Args:
            inputs: everything that the key is made from: ``key == identity.digest(*inputs)``.
            record: plain JSON: metrics, seconds, versions. ``network``, if present, holds the inputs of a network key that
                ``inputs`` names and that has no cell of its own.
            files: contents by names such as "rows.npz".

        Raises:
            UserError: the disk is full, read-only or forbidden, or does not return what was written.
        """
        folder = _folder(key)
        names = {name: _file_name(name, data) for name, data in files.items()}
        facts = {name: {"file": names[name], "bytes": len(data)} for name, data in files.items()}
        whole = {**record, "key": key, "inputs": plain(inputs, identity_only=True), "files": facts}
        for _ in range(3):  # write, then find; once more if another process replaced the same damaged record
            # No record is overwritten; the replacement of a damaged one gets the next free name. The name is chosen before
            # the search, so that a record written in between cannot have a later name.
            name = self._free_name(folder, len(files))
            published, held = self._record(key)
            if held is not None:
                break
            for file, data in files.items():
                self.blobs.write(folder + names[file], data)
            self.blobs.publish(name, sealed(whole))
        else:
            raise UserError("the disk does not give back what was written", str(self.cell(key)), "check the disk")
        # Files that the record does not name are useless: checkpoints, and those of slower writers, which will find this
        # record when they publish their own.
        self.blobs.clear(folder, {published, *(folder + f["file"] for f in held["files"].values())})
        self.blobs.delete(f"failures/{key}.json")

    def _free_name(self, folder: str, n_files: int) -> str:
        """The next name for a record: ``record-<n_files>.json``, then ``record-<n_files>-2.json``, and so on."""
        there = (RECORD.fullmatch(name.removeprefix(folder)) for name in self.blobs.listing(folder))
        latest = max((int(found[2] or 1) for found in there if found), default=0)
        return f"{folder}record-{n_files}{f'-{latest + 1}' if latest else ''}.json"

    def read(self, key: str, name: str) -> bytes:
        """A cell's file; raises UserError if the cell is missing, or the bytes do not have their hash."""
        record = self.record(key)
        file = record["files"][name]["file"] if record else ""
        data = self.blobs.read(_folder(key) + file) if record else None
        if data is None or _file_name(name, data) != file:
            raise UserError(f"{name} is not what was written", str(self.cell(key)), "run transferlab verify")
        return data

    def arrays(self, key: str, name: str = "rows.npz") -> dict[str, NDArray[Any]]:
        """The arrays of a cell's npz file."""
        return read_npz(self.read(key, name))

    def write_checkpoint(self, key: str, state: bytes) -> None:
        """Store the state of a training; it is deleted when the cell's record is written."""
        self.blobs.write(_folder(key) + CHECKPOINT, checksum(state).encode() + state)

    def has_checkpoint(self, key: str) -> bool:
        """Whether a state is stored, damaged or not."""
        return _folder(key) + CHECKPOINT in self.blobs.listing(_folder(key))

    def discard_checkpoint(self, key: str) -> None:
        """Delete the state stored last by ``write_checkpoint``."""
        self.blobs.delete(_folder(key) + CHECKPOINT)

    def checkpoint(self, key: str) -> bytes | None:
        """The state stored last by ``write_checkpoint``; None if it is missing or damaged."""
        held = self.blobs.read(_folder(key) + CHECKPOINT) or b""
        return held[32:] if held[:32] == checksum(held[32:]).encode() else None

    def write_failure(self, key: str, info: Mapping[str, Any]) -> None:
        """Store why a cell failed, with the time (seconds since 1970)."""
        self._write_json(f"failures/{key}.json", {**info, "when": time.time()})

    def failures(self) -> dict[str, dict[str, Any]]:
        """What ``write_failure`` stored, by the keys of cells that have not succeeded since."""
        return self._documents("failures/")

    def write_subset(self, subset: Subset) -> None:
        """Store a subset under its digest; a damaged one is replaced."""
        with self.staged_subsets() as keep:
            keep(subset)

    @contextlib.contextmanager
    def staged_subsets(self) -> Generator[Callable[[Subset], None]]:
        """Yield a function that stores subsets; they appear at the end of the context, or not at all after an exception."""
        with self.blobs.together() as write:

            def keep(subset: Subset) -> None:
                name, data = f"subsets/{subset.digest}.npz", subset_bytes(subset)
                if self.blobs.read(name) != data:
                    write(name, data)

            yield keep

    def read_subset(self, digest: str) -> Subset:
        """A subset, checked against its digest; raises UserError if it is missing or damaged."""
        return self._checked("subsets", digest, "a subset is", read_subset, lambda subset: subset.digest)

    def write_labels(self, rows: NDArray[Any], labels: NDArray[Any]) -> None:
        """Store a target's test rows and labels, integers [e], with several labels each [e, c], under their digest, so that answers need no pack."""
        data = npz_bytes({"rows": rows.astype(np.int32), "labels": labels.astype(np.int32)})
        name = f"labels/{labels_digest(rows, labels)}.npz"
        if self.blobs.read(name) != data:
            self.blobs.write(name, data)

    def labels(self, digest: str) -> dict[str, NDArray[Any]]:
        """``rows`` and ``labels`` as stored by ``write_labels``, int32; raises UserError as ``read_subset``."""
        return self._checked(
            "labels", digest, "a target's test labels are", read_npz,
            lambda held: labels_digest(held["rows"], held["labels"]),
        )  # fmt: skip

    def _checked(self, folder: str, digest: str, what: str, read: Callable[[bytes], T], of: Callable[[T], str]) -> T:
        name = f"{folder}/{digest}.npz"
        try:
            held = read(self.blobs.read(name) or b"")
            if of(held) != digest:
                raise ValueError("the digest is another one")
        except Unreadable:
            raise
        except Exception as error:  # zip, npy and JSON raise many errors for damaged bytes
            raise UserError(
                f"{what} missing or damaged", str(self.path / name), "run the study's command again"
            ) from error
        return held

    def write_study(self, identity: str, study: Any) -> None:
        """Store a plan (plain JSON) with the time (seconds since 1970), in place of one with the same identity."""
        self._write_json(f"studies/{identity}.json", {"when": time.time(), "study": study})

    def studies(self) -> dict[str, Any]:
        """Plans by identity, in the order in which they were last run.

        Raises:
            UserError: a file is damaged; also raised by ``note``, ``failures`` and ``pack_index``.
        """
        found = {identity: self.dated_study(identity) for identity in self.identities()}
        return {identity: study for identity, (_, study) in sorted(found.items(), key=lambda item: item[1][0])}

    def identities(self) -> list[str]:
        """The identities of all plans, in the order of their names."""
        names = sorted(
            name for name in self.blobs.listing("studies/") if name.endswith(".json") and name.count("/") == 1
        )
        return [PurePosixPath(name).stem for name in names]

    def study(self, identity: str) -> Any:
        """One plan; raises UserError if it is missing or damaged."""
        return self.dated_study(identity)[1]

    def dated_study(self, identity: str) -> tuple[float, Any]:
        """When a plan was last run, in seconds since 1970, and the plan; raises UserError as ``study``."""
        found = self._json(name := f"studies/{identity}.json")
        if found is None or "study" not in found or not isinstance(found.get("when"), (int, float)):
            raise UserError("a plan is missing or damaged", str(self.path / name), "run the study's command again")
        return found["when"], found["study"]

    def write_note(self, identity: str, facts: Mapping[str, Any]) -> None:
        """Store facts about a study's latest run that are not part of the study, such as the command."""
        self._write_json(f"notes/{identity}.json", facts)

    def note(self, identity: str) -> dict[str, Any]:
        """What ``write_note`` stored last; empty if nothing."""
        return self._json(f"notes/{identity}.json") or {}

    def write_pack_index(self, name: str, facts: Mapping[str, Any]) -> None:
        """Store where a pack is, or another fact that saves work."""
        self._write_json(f"packs/index/{name}.json", facts)

    def pack_index(self, name: str) -> dict[str, Any] | None:
        """What ``write_pack_index`` stored under this name, if anything."""
        return self._json(f"packs/index/{name}.json")

    @contextlib.contextmanager
    def claim(self, name: str, *, wait: bool = False) -> Generator[bool]:
        """Hold an operating-system lock, released by the kernel if the process dies; yields whether it was acquired."""
        if not self.locks:
            yield True
            return
        with explain_disk_errors(self.path):
            (self.path / "claims").mkdir(exist_ok=True)
            lock = FileLock(self.path / "claims" / name)
            try:
                lock.acquire(timeout=-1 if wait else 0)
            except Timeout:
                lock = None
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.release()

    def _write_json(self, name: str, facts: Mapping[str, Any]) -> None:
        self.blobs.write(name, sealed(facts))

    def _json(self, name: str) -> dict[str, Any] | None:
        data = self.blobs.read(name)
        try:
            return None if data is None else unsealed(data)
        except ValueError as error:
            raise UserError(
                "a file of the store is damaged", str(self.path / name),
                "transferlab verify sets it aside; then run the study again",
            ) from error  # fmt: skip

    def _documents(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The JSON files under a prefix by their names without it, except those deleted during the call."""
        names = sorted(name for name in self.blobs.listing(prefix) if name.endswith(".json"))
        found = {PurePosixPath(name).stem: self._json(name) for name in names}
        return {name: facts for name, facts in found.items() if facts is not None}


def _is_store(blobs: FolderBlobs) -> bool:
    """Whether a folder without lab.json has a plan or a record of this format, whose hash fits."""
    plans = (name for name in blobs.listing("studies/") if name.endswith(".json"))
    records = (name for name in blobs.listing("cells/") if RECORD.fullmatch(name.rpartition("/")[2]))
    for name in (*plans, *records):
        with contextlib.suppress(ValueError):
            unsealed(blobs.read(name) or b"")
            return True
    return False


def _mend(mark: Path, blobs: FolderBlobs) -> None:
    """Write a lost lab.json again; where nothing can be written, the store is read without it."""
    with contextlib.suppress(UserError):
        blobs.publish(mark.name, _mark())


def _mark() -> bytes:
    return json.dumps({"format": FORMAT}).encode()


def _check_format(mark: Path, blobs: FolderBlobs) -> None:
    try:
        version = int(json.loads(blobs.read(mark.name) or b"")["format"])
    except (ValueError, KeyError, TypeError, RecursionError):
        version = 0
    if version > FORMAT:
        raise UserError("the store was made by a newer transferlab", str(mark.parent), "update transferlab")
    if 0 < version < FORMAT:
        raise UserError(
            "the store was made by an earlier transferlab, in a format that this one does not read", str(mark.parent),
            "name another folder with --store, where the results are computed again, or install that earlier version",
        )  # fmt: skip
    if version < FORMAT:
        raise UserError("the store's lab.json is damaged", str(mark), f'write {{"format": {FORMAT}}} into it')


def _has_shape(record: dict[str, Any]) -> bool:
    """Whether a record's files lie in its cell's own folder, and its metrics have names."""
    return all("/" not in f["file"] for f in record["files"].values()) and isinstance(record.get("metrics", {}), dict)


def _folder(key: str) -> str:
    return f"cells/{key[:2]}/{key}/"


def _file_name(name: str, data: bytes) -> str:
    """The name of a cell's file in the store, with its hash, so that no writer replaces different bytes."""
    path = PurePosixPath(name)
    return f"{path.stem}-{checksum(data)}{path.suffix}"
