"""The pack: a decoded image set on disk, written once and mapped read-only.

images.u8       pixels, uint8 [n, s, s, 3]
labels.npy      int32 [n], or int8 [n, c] where images carry several labels
split.npy       uint8 [n];  image_ids.npy  uint64 [n];  keys.jsonl  n names, one JSON text a line
taxonomy.json   manifest.json, written last: version, digest, provenance, notes, size and hash of every file
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.decode import DECODER
from transferlab.images.source import Source
from transferlab.images.splits import assign
from transferlab.images.staging import IMAGES, Decoded, Progress, decode_all
from transferlab.specs import SPLITS, TRAIN, Pack
from transferlab.taxonomy.tree import flat, from_plain

VERSION = 1
MIN_PX, MAX_PX = 4, 1024
BLOCK = 1024  # images hashed together
EXAMPLES = 20  # bad images and groups of duplicates that are named; the rest is counted

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EIO,
         errno.ENAMETOOLONG, errno.ENOENT}  # fmt: skip


def write_pack(
    source: Source, out: Path, size_px: int, *, skip_bad: bool, progress: Progress, workers: int | None = None
) -> Pack:
    """Decode a source once and publish it as a pack, all or nothing.

    Work lies in ``.NAME.partial`` beside ``out`` until it is whole. Killed at any moment, the next call goes on from
    there, and the pack is the same to the bit. The same source at the same size into the same ``out`` is left alone.

    Args:
        out: folder to make; it may be an empty one.
        size_px: side of the square images, 4…1024.
        skip_bad: leave bad images out and count them, instead of stopping with their list once all are seen.
        progress: is told images done, and images in all where known.
        workers: decoding threads; None is one per core.

    Raises:
        UserError: bad images, a class without images, fewer than two classes, a folder that is something else, a full
            disk, a folder that cannot be written. What was decoded is kept.
    """
    if not MIN_PX <= size_px <= MAX_PX:
        raise UserError("no pack of this size", f"--size {size_px}", f"sizes go from {MIN_PX} to {MAX_PX} pixels")
    staging = out.parent / f".{out.name}.partial"
    request = _request(source, size_px)
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with FileLock(staging / "lock", timeout=0):
            if not _is_published(out, request, skip_bad=skip_bad):
                _prepare(staging, request)
                decoded = decode_all(source, staging, size_px, progress=progress, workers=workers)
                _check(source, decoded, skip_bad=skip_bad)
                _publish(source, decoded, staging, out, {"size_px": size_px, "request": request})
        shutil.rmtree(staging)
    except Timeout as error:
        raise UserError("another process is writing this pack", str(out), "wait until it is done") from error
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise UserError(
            f"the pack cannot be written: {error.strerror}", str(out), "make room there, or choose another folder"
        ) from error
    return open_pack(out)


def open_pack(path: Path, *, check: bool = False) -> Pack:
    """Map a pack; quick, whatever its size.

    Args:
        check: read everything and compare with the hashes in the manifest.

    Raises:
        UserError: no pack there, one of another version, a damaged one.
    """
    facts = _manifest(path)
    for name, kept in facts["files"].items():
        file = path / name
        if not file.is_file() or file.stat().st_size != kept["bytes"]:
            raise UserError(f"the pack is damaged: {name} is missing or cut short", str(path), "pack it again")
        if check and _file_hash(file) != kept["hash"]:
            raise UserError(f"the pack is damaged: {name} has changed", str(path), "pack it again")
    side = int(facts["size_px"])
    return Pack(
        name=facts["name"],
        path=path,
        images=np.memmap(path / "images.u8", np.uint8, "r", shape=(int(facts["n_images"]), side, side, 3)),
        labels=np.load(path / "labels.npy", mmap_mode="r", allow_pickle=False),
        split=np.load(path / "split.npy", mmap_mode="r", allow_pickle=False),
        image_ids=np.load(path / "image_ids.npy", mmap_mode="r", allow_pickle=False),
        taxonomy=from_plain(json.loads((path / "taxonomy.json").read_text(encoding="utf-8"))),
        mean=_read_only(facts["mean"]),
        std=_read_only(facts["std"]),
        digest=facts["digest"],
        notes=facts["notes"],
    )


def keys(path: Path) -> list[str]:
    """The name of each image inside its source, in the order of the pack's rows."""
    with (path / "keys.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _read_only(values: list[float]) -> NDArray[np.float32]:
    array = np.array(values, np.float32)
    array.flags.writeable = False
    return array


def _manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    if not file.is_file():
        raise UserError("there is no pack here", str(path), "make one with: transferlab pack SPEC OUT --size N")
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        version = facts["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError("the pack's manifest cannot be read", str(file), "pack it again") from error
    if version != VERSION:
        raise UserError(f"the pack has format version {version}, this program reads {VERSION}", str(path),
                        "update transferlab, or pack it again")  # fmt: skip
    return facts


def _request(source: Source, size_px: int) -> str:
    """What decoding depends on. Taxonomy and splits are settled when the pack is published."""
    return digest("pack", VERSION, DECODER, source.fingerprint, size_px)


def _is_published(out: Path, request: str, *, skip_bad: bool) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / "manifest.json").is_file():
        raise UserError("the folder exists and is no pack", str(out), "choose a new folder")
    facts = _manifest(out)
    if facts["request"] != request or ("skipped" in facts["notes"] and not skip_bad):
        raise UserError("the folder holds another pack", str(out), "choose a new folder, or delete that one first")
    return True


def _prepare(staging: Path, request: str) -> None:
    """Begin anew unless the folder holds work on this very request."""
    header = staging / "request.txt"
    if not header.is_file() or header.read_text() != request:
        for name in ("request.txt", "journal.jsonl", "rows.jsonl"):
            (staging / name).unlink(missing_ok=True)
        shutil.rmtree(staging / "pack", ignore_errors=True)
        (staging / "pack").mkdir()
        _write(header, request.encode())


def _check(source: Source, decoded: Decoded, *, skip_bad: bool) -> None:
    if decoded.bad and not skip_bad:
        shown = "; ".join(f"{key}: {reason}" for key, reason in decoded.bad[:EXAMPLES])
        more = f"; and {len(decoded.bad) - EXAMPLES} more" if len(decoded.bad) > EXAMPLES else ""
        counts = ", ".join(f"{n} {reason}" for reason, n in _by_reason(decoded.bad).items())
        raise UserError(
            f"{len(decoded.bad)} images cannot be used ({counts})",
            f"{source.name}: {shown}{more}",
            "mend or remove them, or add --skip-bad to go on without them",
        )


def _by_reason(bad: list[tuple[str, str]]) -> dict[str, int]:
    return dict(sorted(Counter(reason.split(" (")[0] for _, reason in bad).items()))


def _publish(source: Source, decoded: Decoded, staging: Path, out: Path, facts: dict[str, Any]) -> None:
    folder = staging / "pack"
    taxonomy = source.taxonomy or flat(source.classes)
    labels = _labels(source, decoded)
    classes = labels.astype(np.int64) if labels.ndim == 1 else labels.argmax(axis=1).astype(np.int64)
    split, rule = assign(decoded.keys, classes, decoded.splits, resplit=source.resplit)
    for name, array in (("labels", labels), ("split", split), ("image_ids", decoded.image_ids)):
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
    _write(folder / "keys.jsonl", "".join(f"{json.dumps(key)}\n" for key in decoded.keys).encode())
    _write(folder / "taxonomy.json", json.dumps(taxonomy.to_plain()).encode())
    pixels = np.memmap(staging / IMAGES, np.uint8, "r", shape=(len(labels), facts["size_px"], facts["size_px"], 3))
    mean, std = _moments(pixels, np.flatnonzero(split == TRAIN))
    blocks = [digest(block) for block in _blocks(pixels)]
    notes = {
        "split": rule,
        "source": list(source.notes),
        "skipped": _by_reason(decoded.bad),
        "duplicates": duplicates(decoded, labels, split),
    }
    manifest = {
        "version": VERSION,
        "digest": digest("pack", blocks, labels, split, decoded.image_ids, taxonomy.to_plain()),
        "name": source.name,
        "n_images": len(labels),
        **facts,
        "mean": mean,
        "std": std,
        "decoder": DECODER,
        "source_fingerprint": source.fingerprint,
        "notes": {name: note for name, note in notes.items() if note},
        "files": {
            file.name: {"bytes": file.stat().st_size, "hash": _file_hash(file)}
            for file in sorted(folder.iterdir()) if file.name != "manifest.json"
        },
    }  # fmt: skip
    for file in folder.iterdir():
        _sync(file)
    _write(folder / "manifest.json", json.dumps(manifest, indent=1).encode())
    _sync(folder)
    folder.rename(out)
    _sync(out.parent)


def _labels(source: Source, decoded: Decoded) -> NDArray[np.int32] | NDArray[np.int8]:
    if len(source.classes) < 2:
        raise UserError("there is only one class", source.name, "bring images of at least two classes, a folder each")
    index = {name: i for i, name in enumerate(source.classes)}
    n = len(decoded.keys)
    if source.multi_label:
        labels = np.zeros((n, len(index)), np.int8)
        for row, found in enumerate(decoded.labels):
            labels[row, [index[name] for name in found]] = 1
        counts = labels.sum(axis=0, dtype=np.int64)
    else:
        labels = np.fromiter((index[str(label)] for label in decoded.labels), np.int32, n)
        counts = np.bincount(labels, minlength=len(index))
    empty = [source.classes[i] for i in np.flatnonzero(counts == 0)]
    if empty:
        shown = ", ".join(map(repr, empty[:5]))
        raise UserError(
            f"{len(empty)} classes have no image that can be used: {shown}", source.name, "bring images or remove them"
        )
    return labels


def duplicates(decoded: Decoded, labels: NDArray[np.integer], split: NDArray[np.uint8]) -> dict[str, Any]:
    """Groups of images with equal pixels, where they cross splits or carry different labels; empty without any.

    Returns:
        ``groups`` of equal images, how many of them lie ``across_splits`` and under ``other_labels``, ``examples``.
    """
    groups: dict[bytes, list[int]] = {}
    for row, pixels in enumerate(decoded.pixel_hashes):
        groups.setdefault(pixels, []).append(row)
    several = [rows for rows in groups.values() if len(rows) > 1]
    across = [len(set(split[rows].tolist())) > 1 for rows in several]
    differing = [bool((labels[rows] != labels[rows[0]]).any()) for rows in several]
    if not several:
        return {}
    order = sorted(range(len(several)), key=lambda i: not (across[i] or differing[i]))
    shown = [[f"{decoded.keys[row]} ({SPLITS[split[row]]})" for row in several[i][:4]] for i in order[:EXAMPLES]]
    return {
        "groups": len(several), "across_splits": sum(across), "other_labels": sum(differing), "examples": shown
    }  # fmt: skip


def _blocks(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pixels), BLOCK):
        yield np.ascontiguousarray(pixels[start : start + BLOCK])


def _moments(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel over some rows, in 0…1: exact, from sums of whole numbers."""
    total, squares, n = np.zeros(3, np.int64), np.zeros(3, np.int64), 0
    for start in range(0, len(rows), BLOCK):
        block = pixels[rows[start : start + BLOCK]].reshape(-1, 3).astype(np.uint32)
        total += block.sum(axis=0, dtype=np.int64)
        squares += (block * block).sum(axis=0, dtype=np.int64)
        n += len(block)
    mean = total / (255 * n)
    variance = squares / (255 * 255 * n) - mean**2
    return mean.tolist(), np.sqrt(np.maximum(variance, 1e-6)).tolist()


def _file_hash(path: Path) -> str:
    state = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            state.update(block)
    return state.hexdigest()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
