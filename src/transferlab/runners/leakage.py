"""Searches the source for a target's images, and stores what it finds for reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.leakage import Found, Leakage, from_findings
from transferlab.errors import UserError
from transferlab.images.decode import decode
from transferlab.images.likeness import ALIKE, alike, name_of_findings
from transferlab.images.pack import keys
from transferlab.images.sheet import SIDE_PX, contact_sheet, save
from transferlab.images.spec import parse_spec
from transferlab.outcomes.store import Store
from transferlab.runners import packs
from transferlab.specs import TRAIN, Pack
from transferlab.transfer.targets import view
from transferlab.validate import check_size

MAX_PAIRS = 60  # drawn
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, eq=False)
class Audit:
    """The copies found between a source and a target."""

    source: Pack
    target: Pack
    found: Leakage


def check(specs: Sequence[str], size_px: int, out: Path | None) -> None:
    """Check the arguments, before a store is made or an image read.

    Raises:
        UserError: an invalid spec, a missing path, an impossible size, or a folder as ``out``.
    """
    check_size(size_px)
    if out is not None and out.is_dir():
        raise UserError("this is a folder", str(out), "name a file in it, for example pairs.png")
    for text in specs:
        parse_spec(text).check_there()


def audit(
    store: Store, source: str, targets: Sequence[str], size_px: int, packing: Progress, comparing: Progress
) -> list[Audit]:
    """Compare each target with the source's training images, and its test images with its other images.

    Args:
        packing, comparing: receive the spec or the target, images done, and all images (None where unknown).

    Raises:
        UserError: anything that is wrong with a spec's images or splits; a source without training images.
    """
    known = [packs.obtain(store, text, size_px, skip_bad=False, progress=packing)[1] for text in (source, *targets)]
    if not (known[0].split == TRAIN).any():
        raise UserError("the source has no training images", source, "add a train split, or ?resplit=yes")
    for pack in known[1:]:
        view(pack, own_classes=pack.digest == known[0].digest)  # refuses a target without splits before any work
    return [_audit(store, known[0], pack, comparing) for pack in known[1:]]


def _audit(store: Store, source: Pack, pack: Pack, comparing: Progress) -> Audit:
    own = pack.digest == source.digest
    target = view(pack, own_classes=own)
    of_source = np.setdiff1d(source.rows(TRAIN), target.test).astype(np.int32) if own else source.rows(TRAIN)
    others = np.sort(np.concatenate([target.train, target.val]))
    asked = {"test": (target.test, source, of_source), "train": (others[:0] if own else others, source, of_source),
             "within": (target.test, pack, others)}  # fmt: skip
    lists = {name: _found(pack, rows, other, among, lambda done, of, name=name: comparing(f"{pack.name}, {name}", done, of))
             for name, (rows, other, among) in asked.items()}  # fmt: skip
    findings = {"n_source": len(of_source), "alike": ALIKE, **{name: asdict(found) for name, found in lists.items()}}
    store.write_pack_index(name_of_findings(source.digest, pack.digest), findings)
    return Audit(source, pack, from_findings(pack.name, findings))


def _found(
    pack: Pack, rows: NDArray[np.int32], other: Pack, among: NDArray[np.int32], progress: Callable[[int, int], None]
) -> Found:
    found = alike((pack, rows), (other, among), progress)
    return Found(len(rows), found.n_plain, tuple(found.rows.tolist()), tuple(found.of.tolist()),
                 tuple(round(float(v), 4) for v in found.likeness), tuple(found.exact.tolist()))  # fmt: skip


def pairs(audits: Sequence[Audit]) -> list[dict[str, str | float | bool]]:
    """All pairs, with the names of the images in their sets."""
    listed: list[dict[str, str | float | bool]] = []
    for each in audits:
        own, theirs = keys(each.target.path), keys(each.source.path)
        for name, found, among in (("test", each.found.test, theirs), ("train", each.found.train, theirs),
                                   ("within", each.found.within, own)):  # fmt: skip
            listed += [{"target": each.found.target, "list": name, "image": own[row], "like": among[of],
                      "likeness": likeness, "exact": exact}
                     for row, of, likeness, exact in zip(found.rows, found.of, found.likeness, found.exact, strict=True)]  # fmt: skip
    return listed


def draw(audits: Sequence[Audit], out: Path) -> None:
    """Write a PNG of pairs side by side, most similar first; if there are many, an even selection.

    Raises:
        UserError: the file cannot be written.
    """
    groups: dict[str, list[NDArray[np.uint8]]] = {}
    for each in audits:
        lists = ((each.source, each.found.test), (each.source, each.found.train), (each.target, each.found.within))
        for other, found in lists:
            for i in found.spread(MAX_PAIRS // len(audits) // 3 + 1):
                images = (each.target.squares[found.rows[i]], other.squares[found.of[i]])
                own = " own" if found is each.found.within else ""
                caption = f"{each.found.target} {found.rows[i]}{own} {found.likeness[i]:.2f}"
                groups[caption] = [decode(np.asarray(image), SIDE_PX) for image in images]
    save(contact_sheet(groups, 2), out)
