"""Finds or makes the packs of a study: a spec becomes a pack in the store once, and is found again afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.pack import open_pack, write_pack
from transferlab.images.spec import Spec, open_source, parse_spec
from transferlab.outcomes.store import Store
from transferlab.specs import Pack, PackRef


def obtain(
    store: Store, text: str, size_px: int, *, skip_bad: bool, progress: Callable[[str, int, int | None], None]
) -> tuple[PackRef, Pack]:
    """The pack of a spec: an external one, one made before from the unchanged source, or a new one in the store.

    Args:
        progress: is told the spec, images done, and images in all where known.

    Raises:
        UserError: whatever is wrong with the spec or its images.
    """
    spec = parse_spec(text)
    if spec.format == "pack":
        pack = open_pack(Path(spec.path))
        store.write_pack_index(pack.digest, {"external": str(Path(spec.path).resolve())})
        return PackRef(text, pack.digest, pack.name), pack
    source = open_source(spec)
    name = digest("import", _settled(spec), size_px, source.fingerprint, skip_bad)
    known = store.pack_index(name)
    if known is not None and (store.packs / str(known["digest"])).is_dir():
        pack = open_pack(store.packs / str(known["digest"]))
        return PackRef(text, pack.digest, pack.name), pack
    staging = store.packs / f"import-{name}"
    with store.claim(f"import-{name}", wait=True):
        if (again := store.pack_index(name)) is not None and (store.packs / str(again["digest"])).is_dir():
            pack = open_pack(store.packs / str(again["digest"]))
            return PackRef(text, pack.digest, pack.name), pack
        made = write_pack(
            source, staging, size_px, skip_bad=skip_bad, progress=lambda done, of: progress(text, done, of)
        )
        final = store.packs / made.digest
        del made  # its files are mapped; they move
        if final.is_dir():
            shutil.rmtree(staging)
        else:
            staging.rename(final)
        store.write_pack_index(name, {"digest": final.name})
    pack = open_pack(final)
    return PackRef(text, pack.digest, pack.name), pack


def find(store: Store, reference: PackRef) -> Pack:
    """Open the pack that a plan names.

    Raises:
        UserError: it is no longer there, or it has changed.
    """
    external = store.pack_index(reference.digest)
    path = Path(str(external["external"])) if external else store.packs / reference.digest
    if not path.is_dir():
        raise UserError(
            f"the pack of {reference.spec} is gone", str(path), "run the study's command again, which makes it anew"
        )
    pack = open_pack(path)
    if pack.digest != reference.digest:
        raise UserError(f"the pack of {reference.spec} has changed", str(path), "run the study's command again")
    return pack


def _settled(spec: Spec) -> list[str]:
    """What names an import: its format, its full path and its options."""
    path = str(Path(spec.path).resolve()) if spec.path else ""
    return [spec.format, path, *(f"{key}={spec.options[key]}" for key in sorted(spec.options))]
