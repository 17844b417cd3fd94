"""Decodes a source once, in parallel, chunk by chunk, into a folder from which a killed run goes on."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.decode import BadImage, decode, quiet
from transferlab.images.source import Item, Source, Unreadable

CHUNK_IMAGES, CHUNK_BYTES = 1024, 64 << 20  # a chunk ends at whichever comes first: memory stays bounded
TASK_IMAGES = 32  # handed to a thread at once
IMAGES = "pack/images.u8"  # inside the staging folder, where it stays until the pack is published

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What decoding left: good images in the order of the source, and the bad ones with their reasons.

    Args:
        images: file of uint8 [n, s, s, 3].
        keys: n names. labels: n class ids, or tuples of them. splits: n split names or None.
        image_ids: uint64 [n]. pixel_hashes: n hashes of the decoded pixels, 16 bytes each.
        bad: (key, reason) of each image that could not be decoded.
    """

    images: Path
    keys: list[str]
    labels: list[str | tuple[str, ...]]
    splits: list[str | None]
    image_ids: NDArray[np.uint64]
    pixel_hashes: list[bytes]
    bad: list[tuple[str, str]]


@dataclass(frozen=True)
class _Done:
    """How far the journal says that decoding got."""

    items: int = 0
    images_bytes: int = 0
    rows_bytes: int = 0
    last_key: str = ""


def decode_all(source: Source, folder: Path, size_px: int, *, progress: Progress, workers: int | None) -> Decoded:
    """Decode what the folder does not hold yet.

    Args:
        folder: staging folder; images and ``rows.jsonl`` grow by chunks, ``journal.jsonl`` says which are whole.
        progress: is told images done, and images in all where known.
        workers: decoding threads, at least 1; None is one per core.

    Raises:
        UserError: the source is not what it was when decoding began.
        OSError: the folder cannot be written.
    """
    done = _last_done(folder)
    with (folder / IMAGES).open("ab") as images, (folder / "rows.jsonl").open("ab") as rows:
        images.truncate(done.images_bytes)
        rows.truncate(done.rows_bytes)
    n_threads = workers or os.cpu_count() or 1
    progress(done.items, source.n_images)
    with quiet(), ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[tuple[list[Item], list[Future[list[_Result]]]]] = deque()
        try:
            for chunk in _chunks(_remaining(source, done)):
                tasks = [chunk[i : i + TASK_IMAGES] for i in range(0, len(chunk), TASK_IMAGES)]
                waiting.append((chunk, [pool.submit(_decode_task, task, size_px) for task in tasks]))
                if len(waiting) > 1:
                    done = _keep(folder, *waiting.popleft(), done)
                    progress(done.items, source.n_images)
            while waiting:
                done = _keep(folder, *waiting.popleft(), done)
                progress(done.items, source.n_images)
        finally:
            pool.shutdown(cancel_futures=True)
    return _read(folder)


_PlainRow = tuple[str, "str | list[str]", "str | None", int, str]


@dataclass(frozen=True, eq=False)
class _Result:
    """One image: its pixels with what is kept beside them, or why it is bad."""

    pixels: NDArray[np.uint8] | None
    image_id: int
    pixel_hash: str
    reason: str


def _decode_task(items: list[Item], size_px: int) -> list[_Result]:
    return [_decode_item(item, size_px) for item in items]


def _decode_item(item: Item, size_px: int) -> _Result:
    if isinstance(item.data, Unreadable):
        return _Result(None, 0, "", item.data.reason)
    try:
        pixels = decode(item.data, size_px)
    except BadImage as error:
        return _Result(None, 0, "", str(error))
    return _Result(pixels, int(digest(item.key, item.data), 16) >> 64, digest(pixels), "")


def _remaining(source: Source, done: _Done) -> Iterator[Item]:
    for number, item in enumerate(source.items(), 1):
        if number > done.items:
            yield item
        elif number == done.items and item.key != done.last_key:
            raise UserError("the images have changed since decoding began", source.name, "delete the staging folder")


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    n_bytes = 0
    for item in items:
        chunk.append(item)
        if not isinstance(item.data, Unreadable):
            n_bytes += len(item.data) if isinstance(item.data, bytes) else item.data.nbytes
        if len(chunk) == CHUNK_IMAGES or n_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, n_bytes = [], 0
    if chunk:
        yield chunk


def _keep(folder: Path, chunk: list[Item], tasks: list[Future[list[_Result]]], done: _Done) -> _Done:
    """Write a chunk to disk: pixels and rows first, then the journal line that makes them count."""
    results = [result for task in tasks for result in task.result()]
    pixels = [result.pixels for result in results if result.pixels is not None]
    rows = [
        json.dumps([item.key, item.label, item.split, result.image_id, result.pixel_hash])
        for item, result in zip(chunk, results, strict=True)
        if result.pixels is not None
    ]
    bad = [[item.key, result.reason] for item, result in zip(chunk, results, strict=True) if result.pixels is None]
    images_bytes = _append(folder / IMAGES, b"".join(p.tobytes() for p in pixels))
    rows_bytes = _append(folder / "rows.jsonl", "".join(f"{row}\n" for row in rows).encode())
    now = _Done(done.items + len(chunk), images_bytes, rows_bytes, chunk[-1].key)
    _append(folder / "journal.jsonl", f"{json.dumps({**vars(now), 'bad': bad})}\n".encode())
    return now


def _append(path: Path, data: bytes) -> int:
    """Append, bring to the disk, and return the file's size."""
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _journal(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of the journal; a torn last line never happened, and is cut off."""
    path = folder / "journal.jsonl"
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def _last_done(folder: Path) -> _Done:
    lines = _journal(folder)
    if not lines:
        return _Done()
    facts = {key: value for key, value in lines[-1].items() if key != "bad"}
    return _Done(**facts)


def _read(folder: Path) -> Decoded:
    keys: list[str] = []
    labels: list[str | tuple[str, ...]] = []
    splits: list[str | None] = []
    ids: list[int] = []
    hashes: list[bytes] = []
    with (folder / "rows.jsonl").open(encoding="utf-8") as rows:
        for row in rows:
            key, label, split, image_id, pixel_hash = cast(_PlainRow, json.loads(row))
            keys.append(key)
            labels.append(tuple(label) if isinstance(label, list) else label)
            splits.append(split)
            ids.append(image_id)
            hashes.append(bytes.fromhex(pixel_hash))
    bad = [(key, reason) for line in _journal(folder) for key, reason in line["bad"]]
    return Decoded(folder / IMAGES, keys, labels, splits, np.array(ids, np.uint64), hashes, bad)
