"""The store: cells named by the hash of all that they depend on; written whole or not at all, checked when read.

    lab/lab.json                    format version
    lab/packs/<digest>/             packs; index/ says which spec gave which
    lab/subsets/<digest>.npz
    lab/studies/<identity>.json     plans
    lab/notes/<identity>.json       circumstances of a study's latest run
    lab/cells/<2>/<key>/            files such as rows-<hash>.npz, then record-<number of files>.json, which names them
    lab/failures/<key>.json         circumstances; a later success removes it
    lab/claims/<name>               an operating-system lock held while working
    lab/quarantine/                 what verify set aside
"""  # fmt: skip

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import plain
from transferlab.outcomes.arrays import read_npz, read_subset, subset_bytes
from transferlab.outcomes.blobs import Blobs, FolderBlobs
from transferlab.outcomes.files import TEMPORARY, explain_disk_errors
from transferlab.outcomes.sealed import checksum, sealed, unsealed
from transferlab.specs import Subset

FORMAT = 2
CHECKPOINT = "checkpoint"
# The number of files; successors of a damaged record are numbered from 2.
RECORD = re.compile(r"record-(\d+)(?:-(\d+))?\.json")


@dataclass(frozen=True)
class Store:
    """An opened store; see the module's docstring for its layout.

    Locks save double work. Without them two processes may do the same cell; the store stays right, with one record.
    """

    path: Path
    locks: bool = True

    @staticmethod
    def open(path: Path, *, create: bool, locks: bool = True) -> Store:
        """Open a store, or make one.

        Raises:
            UserError: no store there (without ``create``), a folder of other things, another format, a damaged mark.
        """
        mark = path / "lab.json"
        with explain_disk_errors(path):
            if not mark.is_file():
                if not create:
                    raise UserError("there is no store", str(path), "name one with --store, or run a study first")
                others = path.is_dir() and any(not p.name.startswith(TEMPORARY) for p in path.iterdir())
                if others and not mark.is_file():  # else another process has just made it
                    raise UserError(
                        "this is no store, and it is not empty", str(path), "name another folder with --store"
                    )
                FolderBlobs(path).publish(mark.name, json.dumps({"format": FORMAT}).encode())
        _check_format(mark)
        return Store(path, locks)

    @property
    def blobs(self) -> Blobs:
        """Everything in the store except packs and claims, under the names of the layout."""
        return FolderBlobs(self.path)

    @property
    def packs(self) -> Path:
        return self.path / "packs"

    def cell(self, key: str) -> Path:
        """The folder of a cell, there or not."""
        return self.path / _folder(key)

    def done(self) -> set[str]:
        """Keys of the finished cells, by one listing: no record is read.

        A cell is finished if its record is there with as many files as the record's name says. The number is in the name
        because a listing shows names alone, and some cells have no file: without it, a cell that has lost its weights (an
        interrupted copy, a clean-up by hand) would look like one that never had any. Damage is not seen; ``has`` reads
        the record, ``verify`` reads all.
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
        """Whether a cell is there: a record whose files have the sizes that it names."""
        return self.record(key) is not None

    def record(self, key: str) -> dict[str, Any] | None:
        """A cell's record; None where there is none, where it is damaged or where its files do not fit it."""
        return self._record(key)[1]

    def _record(self, key: str) -> tuple[str, dict[str, Any] | None]:
        """Name and content of a cell's record."""
        folder = _folder(key)
        sizes = self.blobs.listing(folder)
        for name in sorted(sizes):
            if RECORD.fullmatch(name.removeprefix(folder)):
                with contextlib.suppress(ValueError):
                    record = unsealed(self.blobs.read(name) or b"")
                    fits = all(sizes.get(folder + f["file"]) == f["bytes"] for f in record["files"].values())
                    if fits and record["key"] == key:
                        return name, record
        return "", None

    def write_cell(
        self, key: str, inputs: Sequence[object], record: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> None:
        """Keep a finished cell: its files, then its record, which names them. A cell that is there stays.

        Args:
            inputs: all that the key was made from: ``key == identity.digest(*inputs)``.
            record: plain JSON: metrics, seconds, versions. Its ``network``, where there is one, holds the inputs of a
                network key that ``inputs`` names and that has no cell of its own.
            files: contents by names such as "rows.npz".

        Raises:
            UserError: full, read-only or forbidden disk; one that does not give back what was written.
        """
        folder = _folder(key)
        names = {name: _file_name(name, data) for name, data in files.items()}
        facts = {name: {"file": names[name], "bytes": len(data)} for name, data in files.items()}
        whole = {**record, "key": key, "inputs": plain(inputs, identity_only=True), "files": facts}
        for _ in range(3):  # find, or write and find; once more where another process replaced the same damaged record
            # No record is overwritten: one that is damaged, or whose files are, gets a successor of the next free name.
            # The name is looked up first, so that a record found missing after that cannot have taken a later name.
            name = self._free_name(folder, len(files))
            published, held = self._record(key)
            if held is not None:
                break
            for file, data in files.items():
                self.blobs.write(folder + names[file], data)
            self.blobs.publish(name, sealed(whole))
        else:
            raise UserError("the disk does not give back what was written", str(self.cell(key)), "check the disk")
        # What the record does not name is of no use: checkpoints, and the files of writers that came too late. Another
        # writer that is still at work loses nothing: it will find this record when it publishes its own.
        self.blobs.clear(folder, {published, *(folder + f["file"] for f in held["files"].values())})
        self.blobs.delete(f"failures/{key}.json")

    def _free_name(self, folder: str, n_files: int) -> str:
        """Name for a record after those that are there: ``record-<n_files>.json``, then ``record-<n_files>-2.json``."""
        there = (RECORD.fullmatch(name.removeprefix(folder)) for name in self.blobs.listing(folder))
        latest = max((int(found[2] or 1) for found in there if found), default=0)
        return f"{folder}record-{n_files}{f'-{latest + 1}' if latest else ''}.json"

    def read(self, key: str, name: str) -> bytes:
        """A cell's file, checked against its hash.

        Raises:
            UserError: the cell is not there, or the bytes are not those that were written.
        """
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
        """Keep the state of a training in progress; it is deleted once the cell's record is written."""
        self.blobs.write(_folder(key) + CHECKPOINT, checksum(state).encode() + state)

    def checkpoint(self, key: str) -> bytes | None:
        """What ``write_checkpoint`` kept last; None where nothing is, or where it is damaged."""
        held = self.blobs.read(_folder(key) + CHECKPOINT) or b""
        return held[32:] if held[:32] == checksum(held[32:]).encode() else None

    def write_failure(self, key: str, info: Mapping[str, Any]) -> None:
        """Keep why a cell failed, and when (seconds since 1970)."""
        self._write_json(f"failures/{key}.json", {**info, "when": time.time()})

    def failures(self) -> dict[str, dict[str, Any]]:
        """Key to circumstances of the cells that failed and have not succeeded since."""
        return self._documents("failures/")

    def write_subset(self, subset: Subset) -> None:
        """Keep a subset under its digest; a damaged one is replaced."""
        with self.staged_subsets() as keep:
            keep(subset)

    @contextlib.contextmanager
    def staged_subsets(self) -> Generator[Callable[[Subset], None]]:
        """Keep the subsets that are given within, all of them at its end, or none where it ends with an exception."""
        with self.blobs.together() as write:

            def keep(subset: Subset) -> None:
                name, data = f"subsets/{subset.digest}.npz", subset_bytes(subset)
                if self.blobs.read(name) != data:
                    write(name, data)

            yield keep

    def read_subset(self, digest: str) -> Subset:
        """A subset, checked against its digest.

        Raises:
            UserError: it is missing or not what was written.
        """
        name = f"subsets/{digest}.npz"
        problem = UserError("a subset is missing or damaged", str(self.path / name), "run the study's command again")
        try:
            subset = read_subset(self.blobs.read(name) or b"")
        except Exception as error:  # whatever zip, npy and JSON raise for damaged bytes: their digest decides
            raise problem from error
        if subset.digest != digest:
            raise problem
        return subset

    def write_study(self, identity: str, study: Any) -> None:
        """Keep a plan (plain JSON), and when it was run (seconds since 1970); the latest of one identity stays."""
        self._write_json(f"studies/{identity}.json", {"when": time.time(), "study": study})

    def studies(self) -> dict[str, Any]:
        """Identity to plan, in the order in which they were last run.

        Raises:
            UserError: one is damaged; so do ``note``, ``failures`` and ``pack_index``.
        """
        latest = sorted(self._documents("studies/").items(), key=lambda item: item[1]["when"])
        return {identity: document["study"] for identity, document in latest}

    def write_note(self, identity: str, facts: Mapping[str, Any]) -> None:
        """Keep circumstances of a study's latest run that are no part of it (the command, the machine)."""
        self._write_json(f"notes/{identity}.json", facts)

    def note(self, identity: str) -> dict[str, Any]:
        """The circumstances of a study's latest run; empty where none are kept."""
        return self._json(f"notes/{identity}.json") or {}

    def write_pack_index(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keep where a pack lies."""
        self._write_json(f"packs/index/{name}.json", facts)

    def pack_index(self, name: str) -> dict[str, Any] | None:
        """What ``write_pack_index`` kept under this name, if anything."""
        return self._json(f"packs/index/{name}.json")

    @contextlib.contextmanager
    def claim(self, name: str, *, wait: bool = False) -> Generator[bool]:
        """Hold an operating-system lock, which the kernel frees if this process dies; yields whether it was got."""
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
        """The JSON files under a prefix, by their names without it; one that is deleted meanwhile is left out."""
        names = sorted(name for name in self.blobs.listing(prefix) if name.endswith(".json"))
        found = {PurePosixPath(name).stem: self._json(name) for name in names}
        return {name: facts for name, facts in found.items() if facts is not None}


def _check_format(mark: Path) -> None:
    try:
        version = int(json.loads(mark.read_bytes())["format"])
    except (ValueError, KeyError, TypeError):
        version = 0
    if version > FORMAT:
        raise UserError("the store was made by a newer transferlab", str(mark.parent), "update transferlab")
    if 0 < version < FORMAT:
        raise UserError(
            "the store was made by an earlier transferlab, in a format that this one does not read", str(mark.parent),
            "name another folder with --store, where the results are computed again, or install that earlier version",
        )  # fmt: skip
    if version < FORMAT:
        raise UserError("the store's mark is damaged", str(mark), f'write {{"format": {FORMAT}}} into it')


def _folder(key: str) -> str:
    return f"cells/{key[:2]}/{key}/"


def _file_name(name: str, data: bytes) -> str:
    """The name of a cell's file in the store: other bytes have another name, so that no writer replaces another's."""
    path = PurePosixPath(name)
    return f"{path.stem}-{checksum(data)}{path.suffix}"
