"""Packs: decoded once, in parallel and in bounded memory, resumable; mapped read-only ever after.

While a pack is made its folder holds ``journal.jsonl``, a line for every finished chunk; the manifest is written last.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images import splits
from transferlab.images.decode import DECODER, BadImage, decode
from transferlab.images.source import Item, Source
from transferlab.specs import SPLITS, TRAIN, Pack
from transferlab.taxonomy.tree import flat, from_plain

VERSION = 1
CHUNK = 1024  # images in flight: at 224 px 150 MB
MANIFEST, JOURNAL = "manifest.json", "journal.jsonl"
LISTED = 20  # bad images and duplicates that are named; the rest is counted


@dataclass(frozen=True)
class _Chunk:
    """A journal line: items consumed, and of the good ones key, classes, given split and hash of pixels."""

    n_items: int
    keys: list[str]
    classes: list[list[int]]
    given: list[str | None]
    contents: list[str]
    digest: str
    bad: list[tuple[str, str]]


def write_pack(
    source: Source, out: Path, size_px: int, *, skip_bad: bool = False,
    progress: Callable[[int, int | None], None] = lambda done, of: None,
) -> Pack:  # fmt: skip
    """Decode a source into a pack, or go on with one begun before, or return the finished one.

    Args:
        out: the pack's folder; must not hold anything else.
        size_px: side of the packed images.
        skip_bad: leave out images that cannot be read, and count them; otherwise they are an error that lists them.
        progress: is told images done, and in all where known.

    Raises:
        UserError: bad images, one class only, a folder in use for something else, a full disk.
    """
    request = {"version": VERSION, "fingerprint": source.fingerprint, "size_px": size_px, "resplit": source.resplit}
    request["taxonomy"] = digest((source.taxonomy or flat(source.classes)).to_plain())
    if (out / MANIFEST).is_file():
        manifest = json.loads((out / MANIFEST).read_text())
        if manifest["request"] == request and (skip_bad or not manifest["notes"].get("skipped")):
            return open_pack(out)
        raise UserError("there is another pack already", str(out), "name another folder, or delete this one")
    try:
        chunks = _begun(out, request)
        for chunk in _decoded(source, out, size_px, chunks, progress):
            chunks.append(chunk)
        _finish(source, out, size_px, request, chunks, skip_bad=skip_bad)
    except OSError as error:
        raise UserError(
            f"the pack cannot be written: {error.strerror or error}", str(out), "make room or name another folder; "
            "what is decoded is kept"
        ) from error  # fmt: skip
    return open_pack(out)


def open_pack(path: Path) -> Pack:
    """Map a finished pack, read-only.

    Raises:
        UserError: no pack, an unfinished one, one of a newer version, or one whose files have other sizes.
    """
    if not (path / MANIFEST).is_file():
        what = "the pack is not finished" if (path / JOURNAL).is_file() else "there is no pack"
        raise UserError(what, str(path), "make it with transferlab pack SPEC OUT --size N")
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    if manifest["version"] > VERSION:
        raise UserError("the pack was made by a newer transferlab", str(path), "update transferlab")
    for name, facts in manifest["files"].items():
        if not (path / name).is_file() or (path / name).stat().st_size != facts["bytes"]:
            raise UserError(f"the pack is damaged: {name} is missing or has another size", str(path), "make it again")
    n, side = manifest["n_images"], manifest["size_px"]
    return Pack(
        name=manifest["name"],
        path=path,
        images=np.memmap(path / "images.u8", np.uint8, "r", shape=(n, side, side, 3)),
        labels=np.load(path / "labels.npy", allow_pickle=False),
        split=np.load(path / "split.npy", allow_pickle=False),
        image_ids=np.load(path / "image_ids.npy", allow_pickle=False),
        taxonomy=from_plain(json.loads((path / "taxonomy.json").read_text(encoding="utf-8"))),
        mean=np.array(manifest["mean"], np.float32),
        std=np.array(manifest["std"], np.float32),
        digest=manifest["digest"],
        notes=manifest["notes"],
    )


def keys_of(path: Path) -> list[str]:
    """The images' names inside their source, in the pack's order."""
    return [json.loads(line) for line in (path / "keys.jsonl").read_text(encoding="utf-8").splitlines()]


def _begun(out: Path, request: Mapping[str, Any]) -> list[_Chunk]:
    """What an earlier, killed attempt has finished; a journal of other images is refused, other files too."""
    journal = out / JOURNAL
    if not journal.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise UserError("the folder is not empty and holds no pack", str(out), "name a new or empty folder")
        out.mkdir(parents=True, exist_ok=True)
        (out / "images.u8").touch()
        _append(journal, json.dumps(request))
        return []
    lines = journal.read_text(encoding="utf-8").split("\n")
    whole = lines[:-1]  # a torn last line is a chunk that was not finished
    if not whole or json.loads(whole[0]) != request:
        raise UserError("a pack of other images was begun here", str(out), "name another folder, or delete this one")
    with journal.open("w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in whole))
    chunks = [_Chunk(**json.loads(line)) for line in whole[1:]]
    n_bytes = sum(len(chunk.keys) for chunk in chunks) * int(request["size_px"]) ** 2 * 3
    if (out / "images.u8").stat().st_size < n_bytes:
        raise UserError("the unfinished pack is damaged", str(out), "delete the folder and pack again")
    os.truncate(out / "images.u8", n_bytes)
    return chunks


def _decoded(
    source: Source, out: Path, size_px: int, begun: list[_Chunk], progress: Callable[[int, int | None], None]
) -> Iterator[_Chunk]:
    """Decode what is missing, chunk by chunk: pixels to disk first, then the journal's line."""
    done = sum(chunk.n_items for chunk in begun)
    index = {name: i for i, name in enumerate(source.classes)}
    items = itertools.islice(source.items(), done, None)
    with (out / "images.u8").open("ab") as pixels, ThreadPoolExecutor(_n_threads()) as pool:

        def begin() -> list[tuple[Item, Future[NDArray[np.uint8]]]]:
            return [(item, pool.submit(decode, item.data, size_px)) for item in itertools.islice(items, CHUNK)]

        batch = begin()
        while batch:
            upcoming = begin()  # the next chunk is read while this one decodes
            chunk, images = _collected(batch, index)
            pixels.write(images.tobytes())
            pixels.flush()
            os.fsync(pixels.fileno())
            _append(out / JOURNAL, json.dumps(vars(chunk)))
            done += chunk.n_items
            progress(done, source.n_images)
            yield chunk
            batch = upcoming


def _collected(
    batch: list[tuple[Item, Future[NDArray[np.uint8]]]], index: Mapping[str, int]
) -> tuple[_Chunk, NDArray[np.uint8]]:
    chunk = _Chunk(len(batch), [], [], [], [], "", [])
    images: list[NDArray[np.uint8]] = []
    for item, future in batch:
        try:
            image = future.result()
        except BadImage as bad:
            chunk.bad.append((item.key, str(bad)))
            continue
        images.append(image)
        chunk.keys.append(item.key)
        chunk.classes.append([index[name] for name in ([item.label] if isinstance(item.label, str) else item.label)])
        chunk.given.append(item.split)
        chunk.contents.append(digest(image)[:16])
    stacked = np.stack(images) if images else np.zeros((0,), np.uint8)
    return _Chunk(**{**vars(chunk), "digest": digest(stacked)}), stacked


def _finish(
    source: Source, out: Path, size_px: int, request: Mapping[str, Any], chunks: list[_Chunk], *, skip_bad: bool
) -> None:
    """Check the whole, then write labels, splits, ids, taxonomy and, last, the manifest."""
    bad = [tuple(entry) for chunk in chunks for entry in chunk.bad]
    if bad and not skip_bad:
        shown = "; ".join(f"{key}: {reason}" for key, reason in bad[:LISTED])
        more = f"; and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
        raise UserError(
            f"{len(bad)} images cannot be used: {shown}{more}", source.name,
            "mend or remove them, or go on without them with --skip-bad; the decoded ones are kept",
        )  # fmt: skip
    keys = [key for chunk in chunks for key in chunk.keys]
    classes = [found for chunk in chunks for found in chunk.classes]
    contents = [found for chunk in chunks for found in chunk.contents]
    taxonomy = source.taxonomy or flat(source.classes)
    labels = _labels(source, classes)
    _must_be_usable(source, keys, labels)
    first = np.array([found[0] if found else 0 for found in classes])
    split, rule = splits.assign(keys, first, [s for c in chunks for s in c.given], resplit=source.resplit)
    ids = np.array([int(digest(key, content)[:16], 16) for key, content in zip(keys, contents, strict=True)], np.uint64)
    if len(np.unique(ids)) < len(ids):
        raise UserError("two images have one name and one content", source.name, "give every image a name of its own")
    images = np.memmap(out / "images.u8", np.uint8, "r", shape=(len(keys), size_px, size_px, 3))
    mean, std = _moments(images, np.flatnonzero(split == TRAIN) if (split == TRAIN).any() else np.arange(len(keys)))
    notes: dict[str, Any] = {"split": rule}
    if source.notes:
        notes["source"] = list(source.notes)
    if bad:
        notes["skipped"] = dict(Counter(reason for _, reason in bad).most_common())
    if duplicates := _duplicates(contents, classes, split, keys):
        notes["duplicates"] = duplicates
    for name, array in (("labels", labels), ("split", split), ("image_ids", ids)):
        np.save(out / f"{name}.npy", array, allow_pickle=False)
    (out / "taxonomy.json").write_text(json.dumps(taxonomy.to_plain()), encoding="utf-8")
    (out / "keys.jsonl").write_text("".join(json.dumps(key) + "\n" for key in keys), encoding="utf-8")
    manifest = {
        "version": VERSION, "name": source.name, "n_images": len(keys), "size_px": size_px,
        "digest": digest([c.digest for c in chunks], labels, split, ids, taxonomy.to_plain()),
        "mean": [float(v) for v in mean], "std": [float(v) for v in std], "decoder": DECODER,
        "request": dict(request), "notes": notes,
        "files": {p.name: {"bytes": p.stat().st_size} for p in sorted(out.iterdir()) if p.name != JOURNAL},
    }  # fmt: skip
    _write_last(out / MANIFEST, json.dumps(manifest, indent=1))
    (out / JOURNAL).unlink()


def _labels(source: Source, classes: list[list[int]]) -> NDArray[np.int32] | NDArray[np.int8]:
    if not source.multi_label:
        return np.array([found[0] for found in classes], np.int32)
    labels = np.zeros((len(classes), len(source.classes)), np.int8)
    for row, found in enumerate(classes):
        labels[row, found] = 1
    return labels


def _must_be_usable(source: Source, keys: list[str], labels: NDArray[np.int32] | NDArray[np.int8]) -> None:
    if not keys:
        raise UserError("there are no images", source.name, "check the path")
    if len(source.classes) < 2:
        raise UserError("there is only one class", source.name, "bring at least two classes, a folder each")
    counts = np.bincount(labels, minlength=len(source.classes)) if labels.ndim == 1 else (labels > 0).sum(0)
    empty = [source.classes[i] for i in np.flatnonzero(counts == 0)]
    if empty:
        raise UserError(
            f"{len(empty)} classes have no image that can be used, for example {empty[0]!r}", source.name,
            "remove them or bring images",
        )  # fmt: skip
    repeated = [key for key, n in Counter(keys).items() if n > 1]
    if repeated:
        raise UserError(
            f"the image {repeated[0]!r} occurs {Counter(keys)[repeated[0]]} times", source.name, "rename it"
        )


def _moments(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of the channels over rows, in 0…1; from counts of the 256 values, hence exact."""
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, len(rows), 4096):
        part = images[rows[start : start + 4096]]
        for channel in range(3):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ values
    return mean, np.sqrt(np.maximum(shares @ values**2 - mean**2, 1e-6))


def _duplicates(
    contents: list[str], classes: list[list[int]], split: NDArray[np.uint8], keys: list[str]
) -> dict[str, Any]:
    """Groups of images with equal pixels that stand in several splits or under several labels."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, content in enumerate(contents):
        groups[content].append(row)
    several = [rows for rows in groups.values() if len(rows) > 1]
    across = [rows for rows in several if len({int(split[r]) for r in rows}) > 1]
    clashing = [rows for rows in several if len({tuple(classes[r]) for r in rows}) > 1]
    suspect = [rows for rows in several if rows in across or rows in clashing]
    if not several:
        return {}
    shown = [[f"{keys[r]} ({SPLITS[split[r]]})" for r in rows[:4]] for rows in suspect[:LISTED]]
    counts = {"groups": len(several), "across_splits": len(across), "other_labels": len(clashing)}
    return {**counts, "examples": shown}


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def _write_last(path: Path, text: str) -> None:
    for file in path.parent.iterdir():
        with file.open("rb+") as written:
            os.fsync(written.fileno())
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _n_threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
