"""The store: cells named by the hash of all that they depend on; written whole or not at all, checked when read.

    lab/lab.json                    format version
    lab/packs/<digest>/             packs; index/ says which spec gave which
    lab/subsets/<digest>.npz
    lab/studies/<identity>.json     plans
    lab/cells/<2>/<key>/            files, then record.json (written last)
    lab/failures/<key>.json         circumstances; a later success removes it
    lab/claims/<name>               an operating-system lock held while working
    lab/quarantine/                 what verify set aside
"""  # fmt: skip

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.outcomes.files import sync_folder, told_as_users_mistake, write_atomically
from transferlab.specs import Subset

FORMAT = 1
RECORD = "record.json"


@dataclass(frozen=True)
class Problem:
    """Something in the store that is not as it was written."""

    path: Path
    what: str
    remedy: str = "it is set aside, and the next run makes it again"


@dataclass(frozen=True)
class Store:
    """An opened store; see the module's docstring for its layout."""

    path: Path

    @staticmethod
    def open(path: Path, *, create: bool) -> Store:
        """Open a store, or make one.

        Raises:
            UserError: no store there (without ``create``), a folder of other things, a newer format.
        """
        mark = path / "lab.json"
        if mark.is_file():
            version = _read_json(mark).get("format", 0)
            if version > FORMAT:
                raise UserError("the store was made by a newer transferlab", str(path), "update transferlab")
            return Store(path)
        if not create:
            raise UserError("there is no store", str(path), "name one with --store, or run a study first")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError("this is no store, and it is not empty", str(path), "name another folder with --store")
        write_atomically(mark, json.dumps({"format": FORMAT}).encode())
        return Store(path)

    @property
    def packs(self) -> Path:
        return self.path / "packs"

    def cell(self, key: str) -> Path:
        """The folder of a cell, there or not."""
        return self.path / "cells" / key[:2] / key

    def has(self, key: str) -> bool:
        """Whether a cell is there: a record whose files have the sizes that it names."""
        return self.record(key) is not None

    def record(self, key: str) -> dict[str, Any] | None:
        """A cell's record; None where there is none or where its files do not fit it."""
        path = self.cell(key) / RECORD
        try:
            record = _read_json(path)
            fits = all((self.cell(key) / name).stat().st_size == f["bytes"] for name, f in record["files"].items())
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record if fits and record.get("key") == key else None

    def write_cell(self, key: str, inputs: str, record: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Keep a finished cell: its files, then its record with their sizes and hashes.

        Args:
            inputs: canonical text of all that the key was made from.
            record: plain JSON: metrics, seconds, versions.
        """
        folder = self.cell(key)
        for name, data in files.items():
            write_atomically(folder / name, data)
        facts = {name: {"bytes": len(data), "blake2b": _hash(data)} for name, data in files.items()}
        whole = {**record, "key": key, "inputs": json.loads(inputs), "files": facts}
        write_atomically(folder / RECORD, json.dumps(whole, indent=1).encode())
        for leftover in folder.glob("checkpoint*"):
            leftover.unlink()
        (self.path / "failures" / f"{key}.json").unlink(missing_ok=True)

    def read(self, key: str, name: str) -> bytes:
        """A cell's file, checked against its hash.

        Raises:
            UserError: the bytes are not those that were written.
        """
        data = (self.cell(key) / name).read_bytes()
        if _hash(data) != _read_json(self.cell(key) / RECORD)["files"][name]["blake2b"]:
            raise UserError(f"{name} has changed since it was written", str(self.cell(key)), "run transferlab verify")
        return data

    def arrays(self, key: str, name: str = "rows.npz") -> dict[str, NDArray[Any]]:
        """The arrays of a cell's npz file."""
        return read_npz(self.read(key, name))

    def keys(self) -> Iterator[str]:
        """Keys of all cells that are there, ascending."""
        for folder in sorted((self.path / "cells").glob("??/*")):
            if (folder / RECORD).is_file():
                yield folder.name

    def checkpoint(self, key: str, name: str) -> Path:
        """Where a training in progress keeps its state; gone once its record is written."""
        return self.cell(key) / f"checkpoint-{name}"

    def write_failure(self, key: str, info: Mapping[str, Any]) -> None:
        """Keep why a cell failed."""
        write_atomically(self.path / "failures" / f"{key}.json", json.dumps(dict(info), indent=1).encode())

    def failures(self) -> dict[str, dict[str, Any]]:
        """Key to circumstances of the cells that failed and have not succeeded since."""
        return {path.stem: _read_json(path) for path in sorted((self.path / "failures").glob("*.json"))}

    def write_subset(self, subset: Subset) -> None:
        """Keep a subset under its digest."""
        path = self.path / "subsets" / f"{subset.digest}.npz"
        if path.is_file():
            return
        facts = {"pack": subset.pack, "label_names": subset.label_names, "members": subset.members}
        text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        write_atomically(path, npz_bytes({"rows": subset.rows, "labels": subset.labels, "facts": text}))

    def read_subset(self, digest: str) -> Subset:
        """A subset, checked against its digest.

        Raises:
            UserError: it is missing or not what was written.
        """
        path = self.path / "subsets" / f"{digest}.npz"
        problem = UserError("a subset is missing or damaged", str(path), "run the study's command again")
        try:
            held = read_npz(path.read_bytes())
            facts = json.loads(held["facts"].tobytes())
            members = tuple(tuple(m) for m in facts["members"])
            subset = Subset(facts["pack"], held["rows"], held["labels"], tuple(facts["label_names"]), members)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise problem from error
        if subset.digest != digest:
            raise problem
        return subset

    def write_study(self, identity: str, study: Any) -> None:
        """Keep a plan (plain JSON); the latest of one identity stays."""
        write_atomically(self.path / "studies" / f"{identity}.json", json.dumps(study).encode())

    def studies(self) -> dict[str, Any]:
        """Identity to plan, in the order in which they were last run."""
        paths = sorted((self.path / "studies").glob("*.json"), key=lambda p: (p.stat().st_mtime_ns, p.name))
        return {path.stem: _read_json(path) for path in paths}

    def write_note(self, identity: str, facts: Mapping[str, Any]) -> None:
        """Keep circumstances of a study's latest run that are no part of it (the command, the machine)."""
        write_atomically(self.path / "notes" / f"{identity}.json", json.dumps(dict(facts)).encode())

    def note(self, identity: str) -> dict[str, Any]:
        """The circumstances of a study's latest run; empty where none are kept."""
        path = self.path / "notes" / f"{identity}.json"
        return _read_json(path) if path.is_file() else {}

    def write_pack_index(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keep where a pack lies."""
        write_atomically(self.packs / "index" / f"{name}.json", json.dumps(dict(facts)).encode())

    def pack_index(self, name: str) -> dict[str, Any] | None:
        """What ``write_pack_index`` kept under this name, if anything."""
        path = self.packs / "index" / f"{name}.json"
        return _read_json(path) if path.is_file() else None

    @contextlib.contextmanager
    def claim(self, name: str, *, wait: bool = False) -> Generator[bool]:
        """Hold an operating-system lock, which the kernel frees if this process dies; yields whether it was got."""
        with told_as_users_mistake(self.path):
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


def verify(store: Store) -> list[Problem]:
    """Read everything and compare it with its hash; cells without a record are unfinished, not broken."""
    problems: list[Problem] = []
    for path in sorted((store.path / "cells").glob(f"??/*/{RECORD}")):
        key, folder = path.parent.name, path.parent
        record = store.record(key)
        if record is None:
            problems.append(Problem(folder, "its record is damaged, or a file is missing or of another size"))
            continue
        for name, facts in record["files"].items():
            if _hash((folder / name).read_bytes()) != facts["blake2b"]:
                problems.append(Problem(folder, f"{name} is not what was written"))
                break
    for path in sorted((store.path / "subsets").glob("*.npz")):
        try:
            store.read_subset(path.stem)
        except UserError:
            problems.append(Problem(path, "the subset is not what was written"))
    for folder in ("studies", "failures", "notes"):
        for path in sorted((store.path / folder).glob("*.json")):
            try:
                _read_json(path)
            except ValueError:
                problems.append(Problem(path, "it is not JSON any more"))
    return problems


def quarantine(store: Store, problem: Problem) -> None:
    """Set a broken cell or file aside, so that it is made again and can still be looked at."""
    aside = store.path / "quarantine"
    with told_as_users_mistake(aside):
        aside.mkdir(exist_ok=True)
        target, number = aside / problem.path.name, 0
        while target.exists():
            number += 1
            target = aside / f"{problem.path.name}-{number}"
        problem.path.rename(target)
        sync_folder(aside)


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as a compressed npz; equal arrays give equal bytes (no time stamps)."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue(), zipfile.ZIP_DEFLATED)
    return held.getvalue()


def read_npz(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of ``npz_bytes``; nothing pickled is read."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(path.read_bytes()))
