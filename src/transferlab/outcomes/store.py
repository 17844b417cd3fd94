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
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.outcomes.files import TEMPORARY, sync, told_as_users_mistake, write_atomically
from transferlab.specs import Subset

FORMAT = 1
RECORD, CHECKPOINT = "record.json", "checkpoint"


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
            UserError: no store there (without ``create``), a folder of other things, a newer format, a damaged mark.
        """
        mark = path / "lab.json"
        with told_as_users_mistake(path):
            if not mark.is_file():
                if not create:
                    raise UserError("there is no store", str(path), "name one with --store, or run a study first")
                others = path.is_dir() and any(not p.name.startswith(TEMPORARY) for p in path.iterdir())
                if others and not mark.is_file():  # else another process has just made it
                    raise UserError(
                        "this is no store, and it is not empty", str(path), "name another folder with --store"
                    )
                write_atomically(mark, json.dumps({"format": FORMAT}).encode())
        try:
            version = int(json.loads(mark.read_bytes())["format"])
        except (ValueError, KeyError, TypeError):
            version = 0
        if version > FORMAT:
            raise UserError("the store was made by a newer transferlab", str(path), "update transferlab")
        if version < FORMAT:
            raise UserError("the store's mark is damaged", str(mark), f'write {{"format": {FORMAT}}} into it')
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
        """A cell's record; None where there is none, where it is damaged or where its files do not fit it."""
        try:
            record = _read_json(self.cell(key) / RECORD)
            fits = all((self.cell(key) / name).stat().st_size == f["bytes"] for name, f in record["files"].items())
        except (FileNotFoundError, UserError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record if fits and record.get("key") == key else None

    def write_cell(self, key: str, inputs: str, record: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Keep a finished cell: its files, then its record with their sizes and hashes. What is there stays.

        Args:
            inputs: canonical text of all that the key was made from.
            record: plain JSON: metrics, seconds, versions.
        """
        folder = self.cell(key)
        if not self.has(key):
            with told_as_users_mistake(folder):
                (folder / RECORD).unlink(missing_ok=True)  # a damaged one must not meet new files that fit it
            for name, data in files.items():
                write_atomically(folder / name, data)
            facts = {name: {"bytes": len(data), "blake2b": _hash(data)} for name, data in files.items()}
            whole = {**record, "key": key, "inputs": json.loads(inputs), "files": facts}
            write_atomically(folder / RECORD, _sealed(whole))
        with told_as_users_mistake(folder):
            for leftover in (*folder.glob(f"{CHECKPOINT}*"), *folder.glob(f"{TEMPORARY}*")):
                leftover.unlink()
            (self.path / "failures" / f"{key}.json").unlink(missing_ok=True)

    def read(self, key: str, name: str) -> bytes:
        """A cell's file, checked against its hash.

        Raises:
            UserError: the cell is not there, or the bytes are not those that were written.
        """
        record = self.record(key)
        data = (self.cell(key) / name).read_bytes() if record else b""
        if record is None or _hash(data) != record["files"][name]["blake2b"]:
            raise UserError(f"{name} is not what was written", str(self.cell(key)), "run transferlab verify")
        return data

    def arrays(self, key: str, name: str = "rows.npz") -> dict[str, NDArray[Any]]:
        """The arrays of a cell's npz file."""
        return read_npz(self.read(key, name))

    def write_checkpoint(self, key: str, state: bytes) -> None:
        """Keep the state of a training in progress; gone once its record is written."""
        write_atomically(self.cell(key) / CHECKPOINT, _hash(state).encode() + state)

    def checkpoint(self, key: str) -> bytes | None:
        """What ``write_checkpoint`` kept last; None where nothing is, or where it is damaged."""
        path = self.cell(key) / CHECKPOINT
        held = path.read_bytes() if path.is_file() else b""
        return held[32:] if held[:32] == _hash(held[32:]).encode() else None

    def write_failure(self, key: str, info: Mapping[str, Any]) -> None:
        """Keep why a cell failed, and when (seconds since 1970)."""
        write_atomically(self.path / "failures" / f"{key}.json", _sealed({**info, "when": time.time()}))

    def failures(self) -> dict[str, dict[str, Any]]:
        """Key to circumstances of the cells that failed and have not succeeded since."""
        return {path.stem: _read_json(path) for path in sorted((self.path / "failures").glob("*.json"))}

    def write_subset(self, subset: Subset) -> None:
        """Keep a subset under its digest; a damaged one is made good."""
        with self.staged_subsets() as keep:
            keep(subset)

    @contextlib.contextmanager
    def staged_subsets(self) -> Generator[Callable[[Subset], None]]:
        """Keep the subsets that are given within, all of them at its end, or none where it ends with an exception.

        Until then they wait on the disk: however many there are, memory holds one.
        """
        final = self.path / "subsets"
        with told_as_users_mistake(final):
            final.mkdir(exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=final))

        def keep(subset: Subset) -> None:
            data, name = subset_bytes(subset), f"{subset.digest}.npz"
            with told_as_users_mistake(final / name):
                if not (final / name).is_file() or (final / name).read_bytes() != data:
                    (staging / name).write_bytes(data)

        try:
            yield keep
            with told_as_users_mistake(final):
                for path in staging.iterdir():
                    sync(path)
                    path.replace(final / path.name)
                sync(final)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

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
            rows = np.flatnonzero(np.unpackbits(held["mask"])) if "mask" in held else held["rows"]
            labels = held["labels"].astype(np.int32)
            subset = Subset(facts["pack"], rows.astype(np.int32), labels, tuple(facts["label_names"]), members)
        except Exception as error:  # whatever zip, npy and JSON say of damaged bytes: their digest decides
            raise problem from error
        if subset.digest != digest:
            raise problem
        return subset

    def write_labels(self, name: str, rows: NDArray[np.int32], labels: NDArray[np.int32]) -> None:
        """Keep a target's test rows and labels, int32 [e] each, so that answers need no pack."""
        write_atomically(self.path / "labels" / f"{name}.npz", npz_bytes({"rows": rows, "labels": labels}))

    def labels(self, name: str) -> dict[str, NDArray[Any]]:
        """What ``write_labels`` kept: ``rows`` and ``labels``.

        Raises:
            UserError: it is missing or damaged.
        """
        path = self.path / "labels" / f"{name}.npz"
        try:
            return read_npz(path.read_bytes())
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise _damaged(path) from error

    def write_study(self, identity: str, study: Any) -> None:
        """Keep a plan (plain JSON); the latest of one identity stays."""
        write_atomically(self.path / "studies" / f"{identity}.json", _sealed(study))

    def studies(self) -> dict[str, Any]:
        """Identity to plan, in the order in which they were last run.

        Raises:
            UserError: one is damaged; so do ``note``, ``failures`` and ``pack_index``.
        """
        paths = sorted((self.path / "studies").glob("*.json"), key=lambda p: (p.stat().st_mtime_ns, p.name))
        return {path.stem: _read_json(path) for path in paths}

    def write_note(self, identity: str, facts: Mapping[str, Any]) -> None:
        """Keep circumstances of a study's latest run that are no part of it (the command, the machine)."""
        write_atomically(self.path / "notes" / f"{identity}.json", _sealed(facts))

    def note(self, identity: str) -> dict[str, Any]:
        """The circumstances of a study's latest run; empty where none are kept."""
        path = self.path / "notes" / f"{identity}.json"
        return _read_json(path) if path.is_file() else {}

    def write_pack_index(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keep where a pack lies."""
        write_atomically(self.packs / "index" / f"{name}.json", _sealed(facts))

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
            if _hash((folder / name).read_bytes()) != facts.get("blake2b"):
                problems.append(Problem(folder, f"{name} is not what was written"))
                break
    for path in sorted((store.path / "subsets").glob("*.npz")):
        try:
            store.read_subset(path.stem)
        except UserError:
            problems.append(Problem(path, "the subset is not what was written"))
    for folder in ("studies", "failures", "notes", "packs/index"):
        for path in sorted((store.path / folder).glob("*.json")):
            try:
                _read_json(path)
            except UserError:
                problems.append(Problem(path, "it is not what was written"))
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
        sync(aside)


def subset_bytes(subset: Subset) -> bytes:
    """A subset as npz: its rows a bit for each image of the pack, its labels in the narrowest whole numbers.

    Not compressed: deflating took most of the time of planning on a million images. Earlier versions kept rows.
    """
    facts = {"pack": subset.pack, "label_names": subset.label_names, "members": subset.members}
    mask = np.zeros(int(subset.rows.max(initial=-1)) + 1, bool)
    mask[subset.rows] = True
    arrays = {
        "mask": np.packbits(mask), "labels": subset.labels.astype(np.min_scalar_type(len(subset.label_names))),
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
    }  # fmt: skip
    return npz_bytes(arrays, zipfile.ZIP_STORED)


def npz_bytes(arrays: Mapping[str, NDArray[Any]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Arrays as an npz, compressed unless told otherwise; equal arrays give equal bytes (no time stamps)."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getbuffer(), method)
    return held.getvalue()


def read_npz(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of ``npz_bytes``; nothing pickled is read."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _sealed(facts: Mapping[str, Any]) -> bytes:
    """JSON whose first field is the hash of all that follows it, so that no byte of it changes unnoticed."""
    rest = json.dumps(dict(facts), indent=1).encode()[1:]
    return _seal(rest) + rest


def _seal(rest: bytes) -> bytes:
    return b'{ "blake2b": "' + _hash(rest).encode() + b'",'


def _read_json(path: Path) -> dict[str, Any]:
    """What ``_sealed`` was given.

    Raises:
        UserError: it is damaged.
    """
    data = path.read_bytes()
    if not data.startswith(_seal(data[len(_seal(b"")) :])):
        raise _damaged(path)
    facts = cast("dict[str, Any]", json.loads(data))
    del facts["blake2b"]
    return facts


def _damaged(path: Path) -> UserError:
    return UserError(
        "a file of the store is damaged", str(path), "transferlab verify sets it aside; then run the study again"
    )
