"""From decoded images to a whole pack: labels, splits, duplicates, the digest, and the files, the manifest last."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.decode import DECODER
from transferlab.images.source import Source
from transferlab.images.splits import assign
from transferlab.images.staging import IMAGES, Decoded
from transferlab.specs import SPLITS, TRAIN
from transferlab.taxonomy.tree import Taxonomy, flat

VERSION = 1
BLOCK = 1024  # images hashed together
EXAMPLES = 20  # bad images and groups of duplicates that are named; the rest is counted

Labels = NDArray[np.int32] | NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class _Content:
    """What a pack holds beside its pixels; shapes as in specs.Pack."""

    labels: Labels
    split: NDArray[np.uint8]
    image_ids: NDArray[np.uint64]
    taxonomy: Taxonomy
    rule: str


def publish(source: Source, decoded: Decoded, staging: Path, out: Path, facts: dict[str, Any]) -> None:
    """Write what belongs to the pixels beside them, and move the whole to ``out``.

    Args:
        staging: holds the pixels; the pack is built in it, so that ``out`` appears at once or not at all.
        facts: ``size_px`` and whatever else the manifest is to keep.

    Raises:
        UserError: two images of one name, a class without images, no training images.
        OSError: the disk is full, or the folder cannot be written.
    """
    folder = staging / "pack"
    content = _content(source, decoded)
    _write_content(folder, decoded, content)
    side = int(facts["size_px"])
    pixels = np.memmap(staging / IMAGES, np.uint8, "r", shape=(len(decoded.keys), side, side, 3))
    mean, std = moments(pixels, np.flatnonzero(content.split == TRAIN))
    notes = {
        "split": content.rule,
        "source": [*source.notes, *_untrained(source.classes, content)],
        "skipped": by_reason(decoded.bad),
        "duplicates": duplicates(decoded, content.labels, content.split),
    }
    files = sorted(file for file in folder.iterdir() if file.name != "manifest.json")
    manifest = {
        "version": VERSION,
        "digest": _digest(pixels, content),
        "name": source.name,
        "n_images": len(pixels),
        **facts,
        "mean": mean,
        "std": std,
        "decoder": DECODER,
        "source_fingerprint": source.fingerprint,
        "notes": {name: note for name, note in notes.items() if note},
        "skipped_keys": [key for key, _ in decoded.bad],
        "files": {file.name: {"bytes": file.stat().st_size, "hash": file_hash(file)} for file in files},
    }
    for file in files:
        _sync(file)
    write_file(folder / "manifest.json", json.dumps(manifest, indent=1).encode())
    _sync(folder)
    folder.rename(out)
    _sync(out.parent)


def by_reason(bad: Sequence[tuple[str, str]]) -> dict[str, int]:
    """How many images are bad for each reason, particulars in brackets left out."""
    return dict(sorted(Counter(reason.split(" (")[0] for _, reason in bad).items()))


def duplicates(decoded: Decoded, labels: Labels, split: NDArray[np.uint8]) -> dict[str, Any]:
    """Groups of images with equal pixels; empty if there are none.

    Returns:
        ``groups``: how many, and how many of them lie ``across_splits`` or carry ``other_labels``; ``examples``, those
        first.
    """
    groups: dict[bytes, list[int]] = {}
    for row, pixels in enumerate(decoded.pixel_hashes):
        groups.setdefault(pixels, []).append(row)
    several = [rows for rows in groups.values() if len(rows) > 1]
    if not several:
        return {}
    across = [len(set(split[rows].tolist())) > 1 for rows in several]
    differing = [bool((labels[rows] != labels[rows[0]]).any()) for rows in several]
    order = sorted(range(len(several)), key=lambda i: not (across[i] or differing[i]))
    return {
        "groups": len(several),
        "across_splits": sum(across),
        "other_labels": sum(differing),
        "examples": [
            [f"{decoded.keys[row]} ({SPLITS[split[row]]})" for row in several[i][:4]] for i in order[:EXAMPLES]
        ],
    }


def moments(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over some rows, in 0…1, from exact sums of whole numbers.

    Args:
        pixels: uint8 [n, s, s, 3]. rows: int64 [m], at least one.
    """
    total, squares, n = np.zeros(3, np.int64), np.zeros(3, np.int64), 0
    for start in range(0, len(rows), BLOCK):
        block = pixels[rows[start : start + BLOCK]].reshape(-1, 3).astype(np.uint32)
        total += block.sum(axis=0, dtype=np.int64)
        squares += (block * block).sum(axis=0, dtype=np.int64)
        n += len(block)
    mean = total / (255 * n)
    variance = squares / (255 * 255 * n) - mean**2
    return mean.tolist(), np.sqrt(np.maximum(variance, 1e-6)).tolist()  # a set of one colour can still be divided by


def file_hash(path: Path) -> str:
    """128-bit BLAKE2b of a file."""
    state = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            state.update(block)
    return state.hexdigest()


def write_file(path: Path, data: bytes) -> None:
    """Write a file and bring it to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _content(source: Source, decoded: Decoded) -> _Content:
    if len(set(decoded.keys)) < len(decoded.keys):
        key, count = Counter(decoded.keys).most_common(1)[0]
        raise UserError(f"{count} images have the name {key!r}", source.name, "give every image a name of its own")
    labels = _labels(source, decoded)
    classes = labels.astype(np.int64) if labels.ndim == 1 else labels.argmax(axis=1).astype(np.int64)
    split, rule = assign(decoded.keys, classes, decoded.splits, resplit=source.resplit)
    return _Content(labels, split, decoded.image_ids, source.taxonomy or flat(source.classes), rule)


def _labels(source: Source, decoded: Decoded) -> Labels:
    classes = list(source.classes)
    index = {name: i for i, name in enumerate(classes)}
    n = len(decoded.keys)
    if source.multi_label:
        labels = np.zeros((n, len(index)), np.int8)
        for row, found in enumerate(decoded.labels):
            labels[row, [index[name] for name in found]] = 1
        counts = labels.sum(axis=0, dtype=np.int64)
    else:
        labels = np.fromiter((index[str(label)] for label in decoded.labels), np.int32, n)
        counts = np.bincount(labels, minlength=len(index))
    empty = [classes[i] for i in np.flatnonzero(counts == 0).tolist()]
    if empty:
        shown = ", ".join(map(repr, empty[:5]))
        raise UserError(
            f"{len(empty)} classes have no image that can be used: {shown}", source.name, "bring images or remove them"
        )
    return labels


def _untrained(classes: Sequence[str], content: _Content) -> list[str]:
    """A sentence if some classes have no training images: nothing can be learned about them."""
    of_train = content.labels[content.split == TRAIN]
    seen = np.unique(of_train) if of_train.ndim == 1 else np.flatnonzero((of_train > 0).any(axis=0))
    untrained = sorted(set(range(len(classes))) - set(seen.tolist()))
    if not untrained:
        return []
    return [f"{len(untrained)} classes have no training images, for example {classes[untrained[0]]!r}"]


def _write_content(folder: Path, decoded: Decoded, content: _Content) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "labels": content.labels, "split": content.split, "image_ids": content.image_ids
    }  # fmt: skip
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
    write_file(folder / "keys.jsonl", "".join(f"{json.dumps(key)}\n" for key in decoded.keys).encode())
    write_file(folder / "taxonomy.json", json.dumps(content.taxonomy.to_plain()).encode())


def _digest(pixels: NDArray[np.uint8], content: _Content) -> str:
    """Over pixels, labels, splits, ids and taxonomy; neither path nor name nor how the work was divided."""
    blocks = [digest(block) for block in _blocks(pixels)]
    return digest("pack", blocks, content.labels, content.split, content.image_ids, content.taxonomy.to_plain())


def _blocks(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pixels), BLOCK):
        yield pixels[start : start + BLOCK]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
