"""Finds or makes the packs of a study: a spec is packed into the store once and found there afterwards."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.pack import open_pack, remarks, write_pack
from transferlab.images.publish import VERSION
from transferlab.images.source import LateClasses, Source
from transferlab.images.spec import Spec, open_source, parse_spec
from transferlab.outcomes.files import explain_disk_errors, sync
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import Problem, unread
from transferlab.planned import SourceFacts
from transferlab.specs import TEST, TRAIN, VAL, Pack, TargetFacts


def obtain(
    store: Store, text: str, size_px: int, *, skip_bad: bool, progress: Callable[[str, int, int | None], None]
) -> tuple[SourceFacts, Pack]:
    """The pack of a spec: an external pack, one made before from the unchanged source, or a new one in the store.

    Args:
        size_px: side of square images, unless the spec has ``?size=``; for images with boxes see ``detection_px``.
        progress: receives the spec, images done, and all images (None where unknown).

    Raises:
        UserError: anything that is wrong with the spec or its images.
    """
    spec = parse_spec(text)
    pack = spec.pack()
    if pack is not None:
        store.write_pack_index(pack.digest, {"external": str(Path(spec.path).resolve())})
        return _named(text, pack), pack
    source = open_source(spec)
    size_px = int(spec.options.get("size", size_px if source.metric is None else detection_px(size_px)))
    name = digest("import", VERSION, _settled(spec), size_px, source.fingerprint, _labels(source), skip_bad)
    pack = _kept(store, name)
    if pack is None:
        with store.claim(f"import-{name}", wait=True):
            pack = _kept(store, name)  # another process may have made it in the meantime
            if pack is None:
                # Locked, it goes on from what a killed process left; without locks, each process packs for itself.
                staging = store.packs / (f"import-{name}" if store.locks else f"import-{name}-{secrets.token_hex(8)}")
                made = write_pack(
                    source, staging, size_px, skip_bad=skip_bad, progress=lambda done, of: progress(text, done, of)
                )
                facts = {"digest": made.digest, "name": made.name, "notes": dict(made.notes)}
                del made  # its files are mapped, and they move
                pack = _with_own(_moved(str(facts["digest"]), staging, store), facts)
                store.write_pack_index(name, facts)
    return _named(text, pack), pack


def _named(text: str, pack: Pack) -> SourceFacts:
    n_held_out = len(pack.rows(VAL)) or len(pack.rows(TEST))
    return SourceFacts(text, pack.digest, pack.name, len(pack.rows(TRAIN)), tuple(remarks(pack)), n_held_out)


def detection_px(size_px: int) -> int:
    """The default for the longer side of images with boxes: four times the study's size, at most 512.

    An object that spans a quarter of its image is then as large as the images that the backbone was trained on.
    """
    return max(size_px, min(4 * size_px, 512))


def _kept(store: Store, name: str) -> Pack | None:
    known = store.pack_index(name)
    path = store.packs / Path(str(known.get("digest"))).name if known else None
    with contextlib.suppress(UserError):  # a damaged one is made again
        if known and path and path.is_dir():
            return _with_own(open_pack(path), known)
    return None


def _with_own(pack: Pack, facts: Mapping[str, Any]) -> Pack:
    """The pack with the name and remarks of this import; one of the same images under another name may have made it."""
    return replace(pack, name=facts.get("name", pack.name), notes=facts.get("notes", pack.notes))


def _moved(digest_: str, staging: Path, store: Store) -> Pack:
    """Move a new pack to the name of its digest, or delete it if that pack exists already, whole, perhaps from another process.

    A folder is renamed before it is deleted, so that a kill leaves no partial pack under a name in use.
    """
    final, gone = store.packs / digest_, staging.with_name(f".{staging.name}.gone")
    with explain_disk_errors(final):
        shutil.rmtree(gone, ignore_errors=True)
        if os.path.lexists(final) and not (final.is_dir() and _opens(final)):  # damaged, or of an earlier version
            final.rename(gone)
            _remove(gone)
        try:
            staging.rename(final)
            sync(store.packs)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not final.is_dir():
                raise
            staging.rename(gone)
            _remove(gone)
    return open_pack(final)


def _remove(gone: Path) -> None:
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        gone.unlink()  # where a file or a link had the pack's name


def _opens(path: Path) -> bool:
    try:
        return open_pack(path).digest == path.name
    except UserError:
        return False


def problems(store: Store) -> Iterator[Problem]:
    """Check every pack of the store against its hashes, and its digest against what it holds."""
    try:
        paths = sorted(path for path in store.packs.iterdir() if re.fullmatch("[0-9a-f]+", path.name))
    except FileNotFoundError:
        return
    except OSError as error:
        yield unread(store.packs, error)
        return
    for path in paths:
        try:
            if open_pack(path, check=True).digest == path.name:
                continue
            what = "the pack is not what was written"
        except UserError as error:
            what = error.what
        except OSError as error:
            yield unread(path, error)
            continue
        if os.path.lexists(path):  # else another process has just set it aside
            yield Problem(path, what)


def find(store: Store, reference: SourceFacts | TargetFacts) -> Pack:
    """Open the pack that a plan names; raises UserError if it is missing or has changed."""
    external = store.pack_index(reference.digest)
    path = Path(str(external.get("external", ""))) if external else store.packs / reference.digest
    if not path.is_dir():
        raise UserError(f"the pack of {reference.spec} is missing", str(path), "run the study's command again")
    pack = open_pack(path)
    if pack.digest != reference.digest:
        raise UserError(f"the pack of {reference.spec} has changed", str(path), "run the study's command again")
    return pack


def _settled(spec: Spec) -> list[str]:
    """What identifies an import: format, full path and options."""
    path = str(Path(spec.path).resolve()) if spec.path else ""
    return [spec.format.name, path, *(f"{key}={spec.options[key]}" for key in sorted(spec.options))]


def _labels(source: Source) -> list[object]:
    """A source's classes and taxonomy, for which an option may name another file than those of the images.

    Late classes depend on the images alone, and are left out because finding them is a pass over the images.
    """
    classes = None if isinstance(source.classes, LateClasses) else list(source.classes)
    return [classes, None if source.taxonomy is None else source.taxonomy.to_plain()]
