"""From decoded images to a pack: labels, splits, duplicates, the digest and the files, of which the manifest is last."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images import boxes as objects
from transferlab.images import survey
from transferlab.images.class_names import remarks_on
from transferlab.images.decode import DECODER
from transferlab.images.modes import INTEGERS
from transferlab.images.source import Source
from transferlab.images.splits import assign
from transferlab.images.staging import IMAGES, Decoded
from transferlab.sealed import sealed
from transferlab.specs import SPLITS, TRAIN, Boxes
from transferlab.taxonomy.tree import Taxonomy, flat
from transferlab.text import number_of

VERSION = 3  # of packs on disk
BLANK = 4.0  # of 255 levels: an image whose mean is as near to an end, and whose pixels deviate by less, shows nothing
EXAMPLES = 20  # bad images, and groups of duplicates, that are named; the others are counted

Labels = NDArray[np.int32] | NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Content:
    """What a pack contains besides its pixels; shapes as in specs.Pack; ``rule`` says how it was split."""

    labels: Labels
    split: NDArray[np.uint8]
    image_ids: NDArray[np.uint64]
    taxonomy: Taxonomy
    rule: str
    sizes: NDArray[np.int32] | None = None
    boxes: Boxes | None = None


def publish(source: Source, decoded: Decoded, staging: Path, out: Path, facts: dict[str, Any]) -> None:
    """Complete the pack in the staging folder, and move it to ``out``.

    Args:
        staging: has the pixels; the pack is built there, so that ``out`` appears at once or not at all.
        facts: ``size_px`` and whatever else the manifest keeps.

    Raises:
        UserError: two images with the same name, a class without images, no training images.
        OSError: the disk is full, or the folder cannot be written.
    """
    folder = staging / "pack"
    content = _content(source, decoded)
    _write_content(folder, decoded, content)
    n_images, side = len(decoded.keys), int(facts["size_px"])
    trained = content.split == TRAIN
    sizes = np.full((n_images, 2), side, np.int32) if content.sizes is None else content.sizes
    mean, std = survey.moments(decoded.sums[trained], survey.n_pixels(sizes[trained]))
    files = sorted(file for file in folder.iterdir() if file.name != "manifest.json")
    of_images = survey.file_hash(decoded.pixel_hashes)
    kept = {f.name: {"bytes": f.stat().st_size, "hash": of_images if f == staging / IMAGES else file_hash(f)}
            for f in files}  # fmt: skip
    notes = {
        "split": content.rule,
        "source": [
            *source.notes,
            *source.late_notes,
            *remarks_on(source.classes, have_wnids=source.has_wnids),
            *_untrained(source.classes, content),
            *_blank(decoded, sizes),
            *_dark(decoded),
            *_died(decoded),
            *(objects.remarks(content.boxes) if content.boxes else ()),
        ],
        "metric": source.metric,
        "skipped": by_reason(decoded.bad),
        "duplicates": duplicates(decoded, content.labels, content.split),
    }
    manifest = {
        "version": VERSION,
        "digest": digest_of(decoded.pixel_hashes, content, source.metric),
        "name": source.name,
        "n_images": n_images,
        **facts,
        "mean": mean,
        "std": std,
        "decoder": DECODER,
        "source_fingerprint": source.fingerprint,
        "notes": {name: note for name, note in notes.items() if note},
        "skipped_keys": [key for key, _ in decoded.bad],
        "files": kept,
    }
    for file in files:
        _sync(file)
    write_file(folder / "manifest.json", sealed(manifest))
    _sync(folder)
    folder.rename(out)
    _sync(out.parent)


def by_reason(bad: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The number of bad images for each reason, without the details in parentheses."""
    return dict(sorted(Counter(reason.split(" (")[0] for _, reason in bad).items()))


def duplicates(decoded: Decoded, labels: Labels, split: NDArray[np.uint8]) -> dict[str, Any]:
    """Groups of images with equal pixels; empty if there are none.

    Returns:
        the number of ``groups``, of those ``across_splits`` and with ``other_labels``; ``examples``, those two first.
    """
    order = np.lexsort(decoded.pixel_hashes.T)  # stable: rows with the same hash stay in order
    of_order = decoded.pixel_hashes[order]
    ends = np.flatnonzero((of_order[1:] != of_order[:-1]).any(axis=1)) + 1
    several = sorted((rows.tolist() for rows in np.split(order, ends) if len(rows) > 1), key=lambda rows: rows[0])
    if not several:
        return {}
    across = [len(set(split[rows].tolist())) > 1 for rows in several]
    differing = [bool((labels[rows] != labels[rows[0]]).any()) for rows in several]
    telling = sorted(range(len(several)), key=lambda i: not (across[i] or differing[i]))
    return {
        "groups": len(several),
        "across_splits": sum(across),
        "other_labels": sum(differing),
        "examples": [
            [f"{decoded.keys[row]} ({SPLITS[split[row]]})" for row in several[i][:4]] for i in telling[:EXAMPLES]
        ],
    }


def file_hash(path: Path) -> str:
    """128-bit BLAKE2b of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_file(path: Path, data: bytes) -> None:
    """Write a file and sync it to disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _content(source: Source, decoded: Decoded) -> Content:
    if len(set(decoded.keys)) < len(decoded.keys):
        key, count = Counter(decoded.keys).most_common(1)[0]
        raise UserError(f"{count} images have the name {key!r}", source.name, "give every image a unique name")
    labels = _labels(source, decoded)
    classes = labels.astype(np.int64) if labels.ndim == 1 else labels.argmax(axis=1).astype(np.int64)
    split, rule = assign(
        decoded.keys, classes, decoded.splits, resplit=source.resplit, stated=source.stated, where=source.name
    )
    _must_be_trained(labels, split, source.name)
    content = Content(labels, split, decoded.image_ids, source.taxonomy or flat(source.classes), rule)
    if source.metric is None:
        return content
    return replace(content, sizes=decoded.objects.sizes, boxes=decoded.objects.boxes(source.classes))


def _labels(source: Source, decoded: Decoded) -> Labels:
    classes = list(source.classes)
    index = {name: i for i, name in enumerate(classes)}
    n = len(decoded.keys)
    if source.multi_label:
        labels = np.zeros((n, len(index)), np.int8)
        for row, found in enumerate(decoded.labels):
            labels[row, [index[name] for name in found]] = 1
        for row, names in decoded.unscored.items():
            labels[row, [index[name] for name in names]] = -1
        counts = (labels > 0).sum(axis=0)
    else:
        labels = np.fromiter((index[str(label)] for label in decoded.labels), np.int32, n)
        counts = np.bincount(labels, minlength=len(index))
    empty = [classes[i] for i in np.flatnonzero(counts == 0).tolist()]
    if empty:
        shown = ", ".join(map(repr, empty[:5]))
        raise UserError(
            f"{number_of(len(empty), 'class has', 'classes have')} no usable image: {shown}",
            source.name,
            "add images, or remove these classes",
        )
    return labels


def _untrained(classes: Sequence[str], content: Content) -> list[str]:
    """A note if some classes have no training images, so that nothing can be learned about them."""
    untrained = sorted(set(range(len(classes))) - _shown(content.labels[content.split == TRAIN]))
    if not untrained:
        return []
    return [
        f"{number_of(len(untrained), 'class has', 'classes have')} no training images, for example {classes[untrained[0]]!r}"
    ]


def _must_be_trained(labels: Labels, split: NDArray[np.uint8], where: str) -> None:
    """Raises UserError if a split has several classes and none of the training images: their names then differ."""
    shown = [_shown(labels[split == which]) for which in range(len(SPLITS))]
    for name, classes in zip(SPLITS, shown, strict=True):
        if len(classes) > 1 and not classes & shown[TRAIN]:
            raise UserError(
                f"no class of the {name} images has training images", where,
                "give the splits the same names of classes, or leave this split out",
            )  # fmt: skip


def _shown(labels: Labels) -> set[int]:
    """The classes that occur."""
    return set((np.unique(labels) if labels.ndim == 1 else np.flatnonzero((labels > 0).any(axis=0))).tolist())


def _blank(decoded: Decoded, sizes: NDArray[np.int32]) -> list[str]:
    """Notes on images that came out black, white or of nearly one grey level at either end."""
    n_pixels = sizes.astype(np.int64).prod(axis=1)[:, None]
    mean = decoded.sums[:, :3] / n_pixels
    deviation = np.sqrt(np.maximum(decoded.sums[:, 3:] / n_pixels - mean**2, 0)).max(axis=1)
    notes: list[str] = []
    for word, rows in (("black", mean.max(axis=1) < BLANK), ("white", mean.min(axis=1) > 255 - BLANK)):
        if found := np.flatnonzero(rows & (deviation < BLANK)).tolist():
            notes.append(
                f"{number_of(len(found), 'image is', 'images are')} {word} or nearly so, for example {decoded.keys[found[0]]}"
            )
    return notes


def _dark(decoded: Decoded) -> list[str]:
    """A note on images of 16 bits that use only some of them, in the whole set."""
    most = {
        int(found.removeprefix(INTEGERS)): key for found, key in decoded.ranges.items() if found.startswith(INTEGERS)
    }
    if not most or max(most) == 65_535:
        return []
    return [f"no image of 16 bits has a value above {max(most):,} of 65,535, so that they come out dark, for example "
            f"{most[max(most)]}; multiply their values by {65_535 // max(most)}"]  # fmt: skip


def _died(decoded: Decoded) -> list[str]:
    ended = Counter(decoded.ended)
    return [
        f"a decoding process ended ({end}) and was started again, {number_of(n, 'time')}" for end, n in ended.items()
    ]


def _write_content(folder: Path, decoded: Decoded, content: Content) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "labels": content.labels, "split": content.split, "image_ids": content.image_ids
    }  # fmt: skip
    if content.sizes is not None and content.boxes is not None:
        arrays["sizes"] = content.sizes
        objects.save(folder, content.boxes)
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
    with (folder / "keys.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(key)}\n" for key in decoded.keys)
    write_file(folder / "taxonomy.json", json.dumps(content.taxonomy.to_plain()).encode())


def digest_of(pixel_hashes: NDArray[np.uint64], content: Content, metric: str | None) -> str:
    """The digest of pixels, labels, splits, ids and taxonomy, with boxes also of sizes, boxes and metric.

    Neither path nor name nor the division of the work is part of it.
    """
    rest = (pixel_hashes, content.labels, content.split, content.image_ids, content.taxonomy.to_plain())
    if content.boxes is None:
        return digest("pack", *rest)
    arrays = [getattr(content.boxes, name) for name in objects.ARRAYS]
    return digest("detection pack", *rest, content.sizes, *arrays, metric)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
