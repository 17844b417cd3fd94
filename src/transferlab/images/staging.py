"""Decodes a source once, in parallel and in chunks, into a staging folder from which a killed run resumes."""

from __future__ import annotations

import json
import os
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.images.boxes import Gathered
from transferlab.images.decoders import Decoders, Result, decode_items, merged
from transferlab.images.source import Item, OnDisk, Source, Unreadable
from transferlab.sealed import checksum

CHUNK_IMAGES, CHUNK_BYTES = 1024, 64 << 20  # a chunk ends at whichever limit comes first, so that memory stays bounded
TASK_IMAGES, TASK_BYTES = 128, 1 << 20  # one task of a process, by the same rule: some 10 ms of work
IMAGES = "pack/images.u8"  # inside the staging folder, where it stays until the pack is published

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True, eq=False)
class Decoded:
    """The result of decoding: good images in the order of the source, and the bad ones with their reasons.

    Args:
        images: file of uint8 [n, s, s, 3], or of images of several sizes.
        keys: n names. labels: n class ids, or tuples of them. splits: n split names or None.
        unscored: row to the class ids that are not scored there, if any.
        image_ids: uint64 [n]. pixel_hashes: uint64 [n, 2], sums: int64 [n, 6], of the decoded pixels; see ``survey``.
        bad: (key, reason) of each image that could not be decoded, and of each object that cannot be used.
        objects: sizes and boxes of the images; empty without boxes.
        ranges: as of a ``Result``. ended: how decoding processes died, of this run.
    """

    images: Path
    keys: list[str]
    labels: list[str | tuple[str, ...]]
    splits: list[str | None]
    image_ids: NDArray[np.uint64]
    pixel_hashes: NDArray[np.uint64]
    sums: NDArray[np.int64]
    bad: list[tuple[str, str]]
    unscored: dict[int, tuple[str, ...]] = field(default_factory=dict[int, "tuple[str, ...]"])
    objects: Gathered = field(default_factory=Gathered)
    ranges: dict[str, str] = field(default_factory=dict[str, str])
    ended: Sequence[str] = ()


@dataclass(frozen=True)
class _Done:
    """How far decoding got, as the journal says."""

    items: int = 0
    images_bytes: int = 0
    rows_bytes: int = 0
    last_key: str = ""


def decode_all(source: Source, folder: Path, size_px: int, *, progress: Progress, workers: int | None) -> Decoded:
    """Decode what the folder does not contain yet.

    Args:
        folder: staging folder; images and ``rows.jsonl`` grow in chunks, ``journal.jsonl`` says which are complete.
        progress: is called with the number of images done, and that of all images or None.
        workers: decoding processes, at least 1; None is one per core.

    Raises:
        UserError: the source has changed since decoding began.
        OSError: the folder cannot be written.
    """
    with (folder / IMAGES).open("ab") as images, (folder / "rows.jsonl").open("ab") as rows:
        done = _last_done(folder)
        images.truncate(done.images_bytes)
        rows.truncate(done.rows_bytes)
    # One process per core: with one more, 8,000 photographs of 224 px took 13.8 s instead of 13.6 on two cores.
    n_processes = workers or os.cpu_count() or 1
    here = partial(decode_items, size_px=size_px, turn=FileLock(folder / "turn"))
    progress(done.items, source.n_images)
    waiting: deque[tuple[list[Item], list[Callable[[], Result]]]] = deque()
    with Decoders(size_px, folder / "turn") as decoders, ThreadPoolExecutor(n_processes) as pool:
        try:
            for chunk in _parted(_remaining(source, done), CHUNK_IMAGES, CHUNK_BYTES, size_px):
                tasks = list(_parted(chunk, TASK_IMAGES, TASK_BYTES, size_px))
                if len(tasks) == 1:  # a small source, or the end of one: not worth a process
                    waiting.append((chunk, [partial(here, chunk)]))
                else:
                    waiting.append((chunk, [pool.submit(decoders.decode, task).result for task in tasks]))
                if len(waiting) > 1:
                    done = _keep(folder, *waiting.popleft(), done)
                    progress(done.items, source.n_images)
            while waiting:
                done = _keep(folder, *waiting.popleft(), done)
                progress(done.items, source.n_images)
        finally:
            pool.shutdown(cancel_futures=True)
    return replace(_read(folder), ended=decoders.ends)


_PlainRow = tuple[str, "str | list[str]", "str | None", int, str, list[int], *tuple[Any, ...]]


def _remaining(source: Source, done: _Done) -> Iterator[Item]:
    for number, item in enumerate(source.items(), 1):
        if number > done.items:
            yield item
        elif number == done.items and item.key != done.last_key:
            raise UserError("the images have changed since decoding began", source.name, "delete the staging folder")


def _parted(items: Iterable[Item], n_images: int, n_bytes: int, size_px: int) -> Iterator[list[Item]]:
    """Items in order, in lists that end at so many images or bytes (read and written), whichever comes first."""
    part: list[Item] = []
    weight = 0
    for item in items:
        part.append(item)
        weight += _n_bytes(item) + 3 * size_px * size_px
        if len(part) == n_images or weight >= n_bytes:
            yield part
            part, weight = [], 0
    if part:
        yield part


def _n_bytes(item: Item) -> int:
    data = item.data
    if isinstance(data, bytes):
        return len(data)
    if isinstance(data, OnDisk):
        return data.n_bytes
    return 0 if isinstance(data, Unreadable) else data.nbytes


def _keep(folder: Path, chunk: list[Item], results: list[Callable[[], Result]], done: _Done) -> _Done:
    """Write a chunk to disk: first pixels and rows, then the journal line that makes them valid."""
    bad: list[tuple[str, str]] = []
    ranges: list[dict[str, str]] = []
    with (folder / IMAGES).open("ab") as images, (folder / "rows.jsonl").open("ab") as rows:
        for wait in results:
            result = wait()
            images.writelines(result.pixels)
            rows.write(result.rows)
            bad += result.bad
            ranges.append(result.ranges)
        images_bytes, rows_bytes = _synced(images), _synced(rows)
    now = _Done(done.items + len(chunk), images_bytes, rows_bytes, chunk[-1].key)
    with (folder / "journal.jsonl").open("ab") as journal:
        line = json.dumps({**vars(now), "bad": bad, "ranges": merged(ranges)}).encode()
        journal.write(b"%s %s\n" % (checksum(line).encode(), line))
        _synced(journal)
    return now


def _synced(file: IO[bytes]) -> int:
    """Sync a file to disk, and return its size in bytes."""
    file.flush()
    os.fsync(file.fileno())
    return file.tell()


def _journal(folder: Path) -> list[dict[str, Any]]:
    """The lines of the journal, up to the first that is incomplete, damaged, or tells of more than the files hold."""
    path = folder / "journal.jsonl"
    if not path.exists():
        return []
    held = {"images_bytes": (folder / IMAGES).stat().st_size, "rows_bytes": (folder / "rows.jsonl").stat().st_size}
    lines, n_bytes = list[dict[str, Any]](), 0
    with path.open("r+b") as file:
        for text in file:
            seal, _, line = text.removesuffix(b"\n").partition(b" ")
            if not text.endswith(b"\n") or seal != checksum(line).encode():
                break
            facts = json.loads(line)
            if any(facts[name] > n for name, n in held.items()):
                break
            lines.append(facts)
            n_bytes += len(text)
        file.truncate(n_bytes)
    return lines


def _last_done(folder: Path) -> _Done:
    lines = _journal(folder)
    return (
        _Done(**{key: value for key, value in lines[-1].items() if key not in ("bad", "ranges")}) if lines else _Done()
    )


def _read(folder: Path) -> Decoded:
    keys: list[str] = []
    labels: list[str | tuple[str, ...]] = []
    splits: list[str | None] = []
    unscored: dict[int, tuple[str, ...]] = {}
    ids, hashes, sums, objects = array("Q"), bytearray(), array("q"), Gathered()
    same: dict[Any, Any] = {}  # equal labels and splits share one object: a million images then take 100 MB, not 400
    with (folder / "rows.jsonl").open(encoding="utf-8") as rows:
        for row in rows:
            key, label, split, image_id, pixel_hash, pixel_sums, *more = cast(_PlainRow, json.loads(row))
            if more and more[0]:
                unscored[len(keys)] = tuple(more[0])
            if len(more) > 1:
                objects.add(*more[1])
            found = tuple(label) if isinstance(label, list) else label
            keys.append(key)
            labels.append(same.setdefault(found, found))
            splits.append(same.setdefault(split, split))
            ids.append(image_id)
            hashes += bytes.fromhex(pixel_hash)
            sums.extend(pixel_sums)
    journal = _journal(folder)
    bad = [(key, reason) for line in journal for key, reason in line["bad"]]
    ranges = merged(line.get("ranges", {}) for line in journal)
    return Decoded(
        folder / IMAGES, keys, labels, splits, np.array(ids, np.uint64), np.frombuffer(hashes, np.uint64).reshape(-1, 2),
        np.array(sums, np.int64).reshape(-1, 6), bad, unscored, objects, ranges,
    )  # fmt: skip
