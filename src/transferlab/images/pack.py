"""The pack: a decoded image set on disk, written once and mapped read-only.

images.u8       pixels, uint8 [n, s, s, 3]; with boxes, of images of several sizes, one after another
labels.npy      int32 [n], or int8 [n, c] if images have several labels
sizes.npy       with boxes: int32 [n, 2], height and width of each image
boxes_*.npy     with boxes: the arrays of specs.Boxes
split.npy       uint8 [n]
image_ids.npy   uint64 [n]
keys.jsonl      n names, one JSON string per line
taxonomy.json
manifest.json   written last: version, digest, provenance, notes, size and hash of every file
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images import boxes, survey
from transferlab.images.decode import DECODER
from transferlab.images.modes import FLOATING
from transferlab.images.publish import EXAMPLES, VERSION, Content, by_reason, digest_of, file_hash, publish, write_file
from transferlab.images.source import LateClasses, Source
from transferlab.images.staging import Decoded, Progress, decode_all
from transferlab.sealed import unsealed
from transferlab.specs import SPLITS, TRAIN, Pack, Ragged
from transferlab.taxonomy.tree import flat, from_plain
from transferlab.text import number_of

NAMED = 12  # classes whose names a plan shows; the others are counted
MOST_MANIFEST = 1 << 28  # bytes; it names what was left out
_DISK = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR,
     errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG}
)  # fmt: skip


def write_pack(
    source: Source, out: Path, size_px: int, *, skip_bad: bool, progress: Progress, workers: int | None = None
) -> Pack:
    """Decode a source once and publish it as a pack, completely or not at all.

    The work is in ``.NAME.partial`` beside ``out`` until it is complete. After a kill at any moment the next call resumes
    there, and the pack is the same to the bit. A second call for the same source and size does nothing.

    Args:
        out: the folder to make; it may exist if it is empty.
        size_px: side of the square images; with boxes, the longest side of an image.
        skip_bad: leave out bad images and boxes and count them, instead of refusing all of them with a list.
        progress: is called with the number of images done, and that of all images or None.
        workers: decoding processes; None is one per core.

    Raises:
        UserError: bad images, a class without images, fewer than two classes, a folder with other content, a full
            disk, a folder that cannot be written. Decoded images are kept.
    """
    if not isinstance(source.classes, LateClasses):
        _must_have_classes(source)
    out = out.resolve()
    staging = out.parent / f".{out.name}.partial"
    work = digest("work", VERSION, DECODER, source.fingerprint, size_px)
    try:
        if not _is_published(out, source, work, skip_bad=skip_bad) or staging.is_dir():
            staging.mkdir(parents=True, exist_ok=True)
            with FileLock(staging / "lock", timeout=0):
                if not _is_published(out, source, work, skip_bad=skip_bad):  # perhaps meanwhile
                    _prepare(staging, work)
                    decoded = decode_all(source, staging, size_px, progress=progress, workers=workers)
                    _must_be_good(source, decoded, skip_bad=skip_bad)
                    _must_have_classes(source)
                    publish(source, decoded, staging, out, {"size_px": size_px, "request": _request(source, work)})
                shutil.rmtree(staging, ignore_errors=True)  # also after a kill just after publishing
    except Timeout as error:
        raise UserError("another process is writing this pack", str(out), "wait until it is done") from error
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise UserError(
            f"the pack cannot be written: {error.strerror}", str(out),
            "make room there or choose another folder; decoded images are kept",
        ) from error  # fmt: skip
    return open_pack(out)


def open_pack(path: Path, *, check: bool = False) -> Pack:
    """Map a pack, which is quick for any size.

    Args:
        check: read everything and compare it with the hashes in the manifest.

    Raises:
        UserError: there is no pack, or it is damaged or of another version.
    """
    try:
        return _opened(path, _manifest(path), check=check)
    except UserError:
        raise
    except Exception as error:  # numpy, JSON and the taxonomy raise many errors for damaged bytes
        if isinstance(error, (MemoryError, OSError)):
            raise
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"the pack is damaged ({what})", str(path), "pack it again") from error


def _opened(path: Path, facts: dict[str, Any], *, check: bool) -> Pack:
    for name, kept in facts["files"].items():
        file = path / Path(name).name  # names never lead outside
        if not file.is_file() or file.stat().st_size != kept["bytes"]:
            raise UserError(f"the pack is damaged: {name} is missing or has another size", str(path), "pack it again")
        if check and name != "images.u8" and file_hash(file) != kept["hash"]:
            raise _changed(name, path)
    has_boxes = "sizes.npy" in facts["files"]
    pack = Pack(
        name=facts["name"],
        path=path,
        images=_images(path, facts, has_boxes=has_boxes),
        labels=np.load(path / "labels.npy", mmap_mode="r", allow_pickle=False),
        split=np.load(path / "split.npy", mmap_mode="r", allow_pickle=False),
        image_ids=np.load(path / "image_ids.npy", mmap_mode="r", allow_pickle=False),
        taxonomy=from_plain(json.loads((path / "taxonomy.json").read_text(encoding="utf-8"))),
        mean=_read_only(facts["mean"]),
        std=_read_only(facts["std"]),
        digest=facts["digest"],
        notes=facts["notes"],
        boxes=boxes.load(path) if has_boxes else None,
    )
    if check:
        _check_pixels(pack, facts)
    return pack


def _check_pixels(pack: Pack, facts: dict[str, Any]) -> None:
    hashes, sums = survey.survey(survey.images_of(pack))
    if survey.file_hash(hashes) != facts["files"]["images.u8"]["hash"]:
        raise _changed("images.u8", pack.path)
    trained = pack.split == TRAIN
    images = pack.images
    sizes = images.sizes if isinstance(images, Ragged) else np.full((len(images), 2), images.shape[1], np.int32)
    found = survey.moments(sums[trained], survey.n_pixels(sizes[trained]))
    if not np.allclose([pack.mean, pack.std], found, rtol=1e-5):
        raise _changed("the mean or deviation", pack.path)
    sized = sizes if isinstance(images, Ragged) else None
    content = Content(pack.labels, pack.split, pack.image_ids, pack.taxonomy, "", sized, pack.boxes)
    if digest_of(hashes, content, facts["notes"].get("metric")) != pack.digest:
        raise _changed("what its digest covers", pack.path)


def _changed(name: str, path: Path) -> UserError:
    return UserError(f"the pack is damaged: {name} has changed", str(path), "pack it again")


def _images(path: Path, facts: dict[str, Any], *, has_boxes: bool) -> NDArray[np.uint8] | Ragged:
    pixels = np.memmap(path / "images.u8", np.uint8, "r")
    if has_boxes:
        return Ragged(pixels, np.load(path / "sizes.npy", mmap_mode="r", allow_pickle=False))
    side = int(facts["size_px"])
    return pixels.reshape(int(facts["n_images"]), side, side, 3)


def keys(path: Path) -> list[str]:
    """The key of each image in its source, in the order of the pack's rows."""
    with (path / "keys.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def described(pack: Pack) -> list[str]:
    """A pack in lines: the number of its classes and the sizes of its splits, the first classes, then its remarks."""
    sizes = ", ".join(f"{int((pack.split == i).sum()):,} {name}" for i, name in enumerate(SPLITS))
    return [
        f"{number_of(len(pack.taxonomy.leaves), 'class', 'classes')}, images: {sizes}",
        f"classes: {_first_classes(pack)}",
        *(r.removeprefix(f"{pack.name}: ") for r in remarks(pack)),
    ]


def _first_classes(pack: Pack) -> str:
    names = [pack.taxonomy.names[leaf].split(",")[0] or leaf for leaf in pack.taxonomy.leaves]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def remarks(pack: Pack) -> list[str]:
    """Sentences on how a pack was made: its splits, what was left out, identical images."""
    notes: dict[str, Any] = dict(pack.notes)
    sentences = [f"{pack.name}: splits {notes['split']}."] if "split" in notes else []
    sentences += [f"{pack.name}: {note}." for note in notes.get("source", [])]
    if skipped := notes.get("skipped"):
        what = "images or boxes" if pack.boxes else "images"
        sentences.append(
            f"{pack.name}: {what} left out: {', '.join(f'{n} {reason}' for reason, n in skipped.items())}."
        )
    if found := notes.get("duplicates"):
        first = " = ".join(found["examples"][0])
        sentences.append(
            f"{pack.name}: {number_of(found['groups'], 'group')} of identical images, {found['across_splits']} of them across splits and "
            f"{found['other_labels']} with different labels, for example {first}."
        )
    return sentences


def _read_only(values: list[float]) -> NDArray[np.float32]:
    array = np.array(values, np.float32)
    array.flags.writeable = False
    return array


def _manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    if not file.is_file():
        raise UserError("there is no pack here", str(path), "make one with: transferlab pack SPEC OUT --size N")
    if file.stat().st_size > MOST_MANIFEST:
        raise UserError("the pack's manifest is too large", str(file), "pack it again")
    data = file.read_bytes()
    try:
        version = json.loads(data)["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError("the pack's manifest cannot be read", str(file), "pack it again") from error
    if version != VERSION:
        raise UserError(
            f"the pack has format version {version}, this program reads version {VERSION}", str(path),
            "pack it again, or update transferlab",
        )  # fmt: skip
    try:
        return unsealed(data)
    except ValueError as error:
        raise UserError("the pack is damaged: its manifest has changed", str(path), "pack it again") from error


def _must_have_classes(source: Source) -> None:
    if len(source.classes) < 2 and source.metric is None:  # to detect one class is a task
        raise UserError("there is only one class", source.name, "give images of at least two classes")


def _request(source: Source, work: str) -> str:
    """A digest of what a pack is made from: files, size, classes, taxonomy and splits."""
    taxonomy = source.taxonomy or flat(source.classes)
    return digest("pack", work, list(source.classes), taxonomy.to_plain(), source.multi_label, source.resplit)


def _is_published(out: Path, source: Source, work: str, *, skip_bad: bool) -> bool:
    """Whether ``out`` is this very pack; raises UserError if it is something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / "manifest.json").is_file():
        raise UserError("this exists already and is not a pack", str(out), "choose a new folder")
    facts = _manifest(out)
    if facts["request"] != _request(source, work) or ("skipped" in facts["notes"] and not skip_bad):
        raise UserError("the folder contains another pack", str(out), "choose a new folder, or delete that one first")
    return True


def _prepare(staging: Path, work: str) -> None:
    """Empty the staging folder unless it contains decoded images of this very source."""
    header = staging / "work.txt"
    if header.is_file() and header.read_text() == work:
        return
    for name in ("work.txt", "journal.jsonl", "rows.jsonl"):
        (staging / name).unlink(missing_ok=True)
    if (staging / "pack").exists():
        shutil.rmtree(staging / "pack")
    (staging / "pack").mkdir()
    write_file(header, work.encode())


def _must_be_good(source: Source, decoded: Decoded, *, skip_bad: bool) -> None:
    bad = decoded.bad
    floats = sorted((found, key) for found, key in decoded.ranges.items() if found.startswith(FLOATING))
    if len(floats) > 1:
        shown = " and others ".join(f"{found} ({key})" for found, key in floats)
        raise UserError(f"some images are {shown}", source.name, "save all of them in one range, or in 8 bits")
    if not bad or skip_bad:
        return
    counts = ", ".join(f"{n} {reason}" for reason, n in by_reason(bad).items())
    n_good = len(decoded.keys)
    raise UserError(
        f"{number_of(len(bad), 'image or box', 'images or boxes')} cannot be used, besides {number_of(n_good, 'good image')} ({counts})"
        if source.metric
        else f"{len(bad)} of {len(bad) + n_good} images cannot be used ({counts})",
        f"{source.name}: {_by_file(bad)}", "repair or remove them, or add --skip-bad to leave them out",
    )  # fmt: skip


def _by_file(bad: Sequence[tuple[str, str]]) -> str:
    """The first bad images, each reason once before its images: one reason may hold for all photographs of a phone."""
    found: dict[str, list[str]] = {}
    for key, reason in bad[:EXAMPLES]:
        found.setdefault(reason, []).append(key)
    more = f"; and {len(bad) - EXAMPLES} more" if len(bad) > EXAMPLES else ""
    return "; ".join(f"{', '.join(keys)}: {reason}" for reason, keys in found.items()) + more
