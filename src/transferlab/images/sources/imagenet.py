"""``imagenet:PATH``: ILSVRC-2012 (ImageNet-1k) as its archives, in its usual folders, or as Kaggle publishes it.

Layouts: torchvision's ``datasets.ImageNet`` was read; the development kit (ILSVRC2012_devkit_t12), Caffe's lists
(``val.txt``, ``synsets.txt``) and Kaggle's "ImageNet Object Localization Challenge" are from memory. Use
``hf:PATH?classes=imagenet-1k`` for the Parquet files of Hugging Face, ``wds:PATH?classes=imagenet-1k`` for WebDataset
shards.
"""

from __future__ import annotations

import io
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.images.format import Format, Request, switch
from transferlab.images.source import Source
from transferlab.images.sources import imagenet_tars
from transferlab.images.sources.filetree import Row, Tree, listed, may_be_image
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.wnids import imagenet1k_wnids

N_TRAIN, N_VAL = 1_281_167, 50_000
BASES = ("", "ILSVRC/Data/CLS-LOC/", "Data/CLS-LOC/", "CLS-LOC/")  # of train/ and val/
KIT = "ILSVRC2012_devkit_t12/data/"
LISTS = ("", KIT, "ILSVRC2012_devkit_t12/", "devkit/data/", "devkit/", "data/", "ILSVRC/")
TRUTH, META, KAGGLE, CAFFE = (
    "ILSVRC2012_validation_ground_truth.txt", "meta.mat", "LOC_val_solution.csv", "val.txt",
)  # fmt: skip
PARTIAL = ", or add partial=yes to use what is there"
SKIPPED = frozenset({"Annotations", "ImageSets", "test"})  # boxes, and images without labels

# What scipy raises on damaged files besides its own error; NotImplementedError is for files of MATLAB 7.3.
UNREADABLE = (ValueError, LookupError, TypeError, OSError, EOFError, NotImplementedError, zlib.error)


@dataclass(frozen=True)
class Truth:
    """The classes of the validation images.

    Args:
        name: the file that gives them.
        wnids: file name without its suffix to wnid.
    """

    name: str
    wnids: Mapping[str, str]


def read(request: Request) -> Source:
    """The 1000 classes by wnid, in the usual order; the splits are train and val.

    PATH has ``train/<wnid>`` and ``val``, or the two image archives. ``val`` has wnid folders or is flat, with a list
    that labels it: from the development kit (a folder, or its archive), Kaggle or Caffe. All images must be there: as
    many of each class as ``meta.mat`` says, else 1,281,167, and 50,000 or what the list names; ``partial=yes`` reads
    what is there.

    Raises:
        UserError: no such layout; classes or images are missing, empty or unknown; a list is missing or disagrees with
            the images.
    """
    return replace(_source(request), has_wnids=True)


def _source(request: Request) -> Source:
    root, partial = request.path, request.says("partial")
    tree = tree_of(root, request.where, SKIPPED)
    if imagenet_tars.KIT in tree.files:
        tree = imagenet_tars.with_kit(tree, root / imagenet_tars.KIT, {f"{KIT}{TRUTH}", f"{KIT}{META}"})
    counts = _train_counts(tree)
    base = next((b for b in BASES if any(name.startswith(f"{b}train/") for name in tree.files)), None)
    if base is None and imagenet_tars.TRAIN in tree.files:
        truth = _truth(tree)
        return imagenet_tars.read(root, tree, truth.name, truth.wnids, counts)
    if base is None:
        raise UserError(
            "there is no folder train with images", request.where, f"expected train/{imagenet1k_wnids()[0]}/*.JPEG"
        )
    train, val = _in_folders(tree, f"{base}train/"), _val(tree, f"{base}val/", partial=partial)
    notes = _complete(tree, train, counts, partial=partial)
    seen = {label for _, label, _ in train}
    kept = [row for row in val if row[1] in seen]
    if len(kept) < len(val):
        notes.append(f"{len(val) - len(kept):,} validation images of classes without training images were left out")
    classes = [wnid for wnid in imagenet1k_wnids() if wnid in seen]
    return listed(tree, "imagenet", [*train, *kept], classes=classes, notes=notes, told={name for name, _, _ in val})


def _in_folders(tree: Tree, prefix: str) -> list[Row]:
    """Images in folders whose names are wnids."""
    split = prefix.rstrip("/").rpartition("/")[2]
    names = [name for name in tree.files if name.startswith(prefix) and may_be_image(name)]
    folders = [name[len(prefix) :].rpartition("/")[0] for name in names]
    known = set(imagenet1k_wnids())
    if unknown := [name for name, folder in zip(names, folders, strict=True) if folder not in known]:
        raise UserError(
            f"{unknown[0]} is not in a folder of one of ImageNet-1k's 1000 classes", tree.where,
            f"expected folders such as {prefix}{imagenet1k_wnids()[0]}; use imagefolder:PATH for other sets",
        )  # fmt: skip
    return [(name, folder, split) for name, folder in zip(names, folders, strict=True)]


def _val(tree: Tree, prefix: str, *, partial: bool) -> list[Row]:
    """Validation images, in folders or from a list; if there are both, they must agree."""
    names = [name for name in tree.files if name.startswith(prefix) and may_be_image(name)]
    in_folders = any("/" in name[len(prefix) :] for name in names)
    lists = [n for n in (KAGGLE, META if tree.first_of(LISTS, TRUTH) else TRUTH, CAFFE) if tree.first_of(LISTS, n)]
    if not names or (in_folders and not lists):
        if len(names) != N_VAL and not partial:
            raise UserError(
                f"{prefix} holds {len(names):,} images, {N_VAL:,} were expected", tree.where, f"copy the rest{PARTIAL}"
            )
        return _in_folders(tree, prefix)
    truth = _truth(tree)
    stems = [name.rpartition("/")[2].rpartition(".")[0] for name in names]
    if unknown := [stem for stem in stems if stem not in truth.wnids]:
        raise UserError(
            f"{truth.name} has no label for {len(unknown):,} images of {prefix}, for example {unknown[0]}.JPEG",
            tree.where, f"it names {len(truth.wnids):,} images: get the list that belongs to these",
        )  # fmt: skip
    if (absent := sorted(truth.wnids.keys() - set(stems))) and not partial:
        raise UserError(
            f"{truth.name} names {len(truth.wnids):,} images and {prefix} holds {len(names):,}, without for "
            f"example {absent[0]}.JPEG", tree.where, f"copy the rest{PARTIAL}"
        )  # fmt: skip
    rows: list[Row] = [(name, truth.wnids[stem], "val") for name, stem in zip(names, stems, strict=True)]
    if in_folders and (odd := sorted(set(_in_folders(tree, prefix)) ^ set(rows))):
        raise UserError(
            f"{truth.name} does not agree with the folder of {odd[0][0]}", tree.where, "sort the images again"
        )
    return rows


def _truth(tree: Tree) -> Truth:
    """The first list there is that labels the validation images."""
    if name := tree.first_of(LISTS, KAGGLE):
        rows = [line.split(",", 1) for line in tree.lines(name)[1:]]
        return _checked(tree, name, [(row[0], (row[-1].split() or [""])[0]) for row in rows])
    if name := tree.first_of(LISTS, TRUTH):
        ids = {str(number): wnid for number, (wnid, _) in _meta(tree).items()}
        rows = tree.rows(name, 1)
        return _checked(
            tree, name, [(f"ILSVRC2012_val_{n:08d}", ids.get(row[0], row[0])) for n, row in enumerate(rows, 1)]
        )
    if name := tree.first_of(LISTS, CAFFE):
        order = tree.first_of(LISTS, "synsets.txt")
        wnids = [row[0] for row in tree.rows(order, 1)] if order else imagenet1k_wnids()
        places = {str(place): wnid for place, wnid in enumerate(wnids)}
        rows = tree.rows(name, 2)
        return _checked(
            tree, name, [(file.rpartition("/")[2].rpartition(".")[0], places.get(place, place)) for file, place in rows]
        )
    raise UserError(
        "the validation images are flat and no list labels them", tree.where,
        f"add one of these beside train and val: the development kit ({imagenet_tars.KIT}, or {TRUTH} and {META}), Kaggle's "
        f"{KAGGLE}, Caffe's {CAFFE}",
    )  # fmt: skip


def _checked(tree: Tree, name: str, pairs: Sequence[tuple[str, str]]) -> Truth:
    known = set(imagenet1k_wnids())
    for file, wnid in pairs:
        if wnid not in known:
            raise UserError(
                f"{name} gives {file} the label {wnid!r}", tree.where, "expected one of ImageNet-1k's 1000 classes"
            )
    if len(truth := dict(pairs)) < len(pairs):
        raise UserError(f"{name} names an image twice", tree.where, "get the list again")
    return Truth(name, truth)


def _meta(tree: Tree) -> dict[int, tuple[str, int]]:
    """ILSVRC2012_ID, 1 to 1000, to wnid and number of training images; the ids are not in the order of the wnids."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    name = tree.first_of(LISTS, META)
    if name is None:
        raise UserError(
            f"{META} is not there", tree.where, f"{TRUTH} uses its class numbers: copy the whole development kit"
        )
    try:
        synsets = cast("Any", loadmat)(io.BytesIO(tree.data(name)), squeeze_me=True)["synsets"]
        columns = [synsets[key].tolist() for key in ("ILSVRC2012_ID", "WNID", "num_train_images")]
        found = {int(n): (str(wnid), int(count)) for n, wnid, count in zip(*columns, strict=True) if int(n) <= 1000}
    except (*UNREADABLE, MatReadError) as error:
        raise UserError(f"{name} cannot be read: {error}", tree.where, "get the development kit again") from error
    if sorted(wnid for wnid, _ in found.values()) != list(imagenet1k_wnids()):
        raise UserError(
            f"{name} does not name the 1000 classes of ImageNet-1k with the IDs 1 to 1000", tree.where,
            "get the development kit of ILSVRC-2012",
        )  # fmt: skip
    return found


def _train_counts(tree: Tree) -> dict[str, int]:
    """How many training images each class must have; empty if no file says so."""
    return dict(_meta(tree).values()) if tree.first_of(LISTS, META) else {}


def _complete(tree: Tree, train: list[Row], counts: Mapping[str, int], *, partial: bool) -> list[str]:
    """Notes on what a partial copy lacks; an error if the copy must be complete."""
    found = Counter(label for _, label, _ in train)
    lacking = [wnid for wnid in imagenet1k_wnids() if not found[wnid]]
    faults: list[str] = []
    if lacking:
        faults.append(
            f"train has images of {1000 - len(lacking)} of 1,000 classes, but for example none of {lacking[0]}"
        )
    short = [wnid for wnid in counts if found[wnid] != counts[wnid] and found[wnid]]
    if short:
        faults.append(
            f"train/{short[0]} holds {found[short[0]]:,} images, {counts[short[0]]:,} were expected by {META}"
            + (f" (and {len(short) - 1:,} other classes differ)" if len(short) > 1 else "")
        )
    if not counts and len(train) != N_TRAIN:
        faults.append(f"train holds {len(train):,} images, {N_TRAIN:,} were expected")
    if faults and not partial:
        raise UserError("; ".join(faults), tree.where, f"copy the rest{PARTIAL}")
    return faults


FORMAT = Format(
    name="imagenet", title="ImageNet-1k", explained="ILSVRC-2012: its archives, its usual folders, or Kaggle's",
    path="the folder of the archives, of `train` and `val`, or of Kaggle's `ILSVRC`; or Kaggle's zip", read=read,
    parameters={"partial": switch("read an incomplete copy, and say what is missing")},
)  # fmt: skip
