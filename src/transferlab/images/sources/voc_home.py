"""The folder VOC<year> of PASCAL VOC and of data sets in its layout: the places of images, annotations and lists.

Layout: the development kits' documentation (host.robots.ox.ac.uk/pascal/VOC/voc2007 and voc2012,
htmldoc/devkit_doc.html).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from transferlab.errors import UserError
from transferlab.images.sources.filetree import Tree, is_housekeeping, may_be_image
from transferlab.images.sources.listing import IMAGE_SUFFIXES
from transferlab.images.sources.split_names import is_split, split_in
from transferlab.images.voc_xml import MAX_BYTES, Annotation, parse

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
OFFICIAL = re.compile(r"VOC20(07|08|09|10|11|12)")  # folders that must have all of VOC's lists
SPLITS = ("train", "val", "test")
OF_CLASS = re.compile(r"(.+)_(train|val|trainval|test)\.txt")  # a list of one class, whose name may have _ too
SKIPPED = frozenset({"SegmentationClass", "SegmentationObject", "Layout", "Segmentation"})


@dataclass(frozen=True)
class Home:
    """The folder VOC<year> in its tree.

    Args:
        prefix: what its files' names begin with, "" or up to a "/".
        name: the folder's own name.
    """

    tree: Tree
    prefix: str
    name: str

    def image(self, image_id: str) -> str:
        return f"{self.prefix}JPEGImages/{image_id}.jpg"

    def annotation(self, image_id: str) -> Annotation:
        """Raises UserError if it is missing, cannot be read, or is none."""
        name = f"{self.prefix}Annotations/{image_id}.xml"
        size, *_ = self.tree.files.get(name, (0,))
        if size > MAX_BYTES:
            raise UserError(f"{name} has {size:,} bytes", self.tree.where, "no annotation is as large: get it again")
        return parse(self.tree.data(name), name, self.tree.where)

    def names_in(self, folder: str) -> list[str]:
        """The files below a folder, by their names there."""
        prefix = f"{self.prefix}{folder}/"
        return [name[len(prefix) :] for name in self.tree.files if name.startswith(prefix)]


def home_of(tree: Tree, root_name: str, year: str) -> Home:
    """The folder VOC<year> in a tree, of any year if that is ""; raises UserError unless there is exactly one."""
    found = sorted({name[: name.index("JPEGImages/")] for name in tree.files if "JPEGImages/" in f"/{name}"})
    if year:
        found = [home for home in found if f"/{home}".endswith(f"/VOC{year}/")]
    if not found:
        raise UserError(
            f"there is no folder VOC{year or '<year>'}/JPEGImages", tree.where, "give VOCdevkit or VOC<year>"
        )
    if len(found) > 1:
        raise UserError(
            f"{len(found)} folders contain JPEGImages: {', '.join(found)}", tree.where,
            "choose one with ?year=2007, and put training and test data of one year into one folder",
        )  # fmt: skip
    return Home(tree, found[0], found[0].rstrip("/").rpartition("/")[2] or root_name)


def as_splits(splits: Sequence[str], val: str, notes: list[str]) -> dict[str, str]:
    """The split that each list becomes: without a test list, val is the test split, which every target needs."""
    if "test" in splits or "val" not in splits:
        return {split: split for split in splits}
    notes.append(f"there are no test labels, so the images of {val} are the test split")
    return {"train": "train", "val": "test"}


def image_lists(home: Home, notes: list[str]) -> dict[str, str]:
    """Split to its list of images in ``ImageSets/Main``; ``trainval`` stands for train where it is the only one.

    Names may be any words for splits. Other lists, except those of classes, are told.

    Raises:
        UserError: two lists are of one split.
    """
    folder = f"{home.prefix}ImageSets/Main/"
    found: dict[str, str] = {}
    others: list[str] = []
    for name in sorted(home.names_in("ImageSets/Main"), key=lambda name: (name not in _PLAIN, name)):
        split = split_in(name.removesuffix(".txt")) if name.lower().endswith(".txt") and is_split(name[:-4]) else None
        if not split or name.lower() == "trainval.txt":
            if not OF_CLASS.fullmatch(name) and name.lower() != "trainval.txt" and not is_housekeeping(name.lower()):
                others.append(name)
        elif split not in found:
            found[split] = f"{folder}{name}"
        elif found[split].removeprefix(folder) in _PLAIN:
            others.append(name)
        else:
            raise UserError(f"{found[split]} and {folder}{name} are both of the split {split}", home.tree.where,
                            "keep one of them there")  # fmt: skip
    if others:
        notes.append(f"ImageSets/Main has lists that are not used: {_shown(others)}")
    if not {"train", "val"} & set(found) and f"{folder}trainval.txt" in home.tree.files:
        return {"train": f"{folder}trainval.txt", **found}
    return {split: found[split] for split in SPLITS if split in found}


_PLAIN = frozenset(f"{split}.txt" for split in SPLITS)


def named(ids: Iterable[str], there: Collection[str]) -> list[str]:
    """Images of a list by the names that they have there: lists may give them with folder and suffix."""
    found: list[str] = []
    for name in ids:
        stem, suffix = os.path.splitext(name.replace("\\", "/").rpartition("/")[2])  # noqa: PTH122
        is_file = suffix.lower() in IMAGE_SUFFIXES or suffix.lower() == ".xml"
        short = stem if is_file else f"{stem}{suffix}"
        found.append(short if name not in there and short in there else name)
    return found


def left_out(home: Home, used: Collection[str], what: str) -> list[str]:
    """Notes on what is in ``JPEGImages`` and ``Annotations`` and not used.

    Args:
        used: names of images without suffix. what: why others are left out.
    """
    files = home.names_in("JPEGImages"), home.names_in("Annotations")
    images = {os.path.splitext(name)[0] for name in files[0] if may_be_image(name)}  # noqa: PTH122
    annotated = {name.removesuffix(".xml") for name in files[1] if name.endswith(".xml")}
    odd = [name for name in files[0] if not may_be_image(name)] + [n for n in files[1] if not n.endswith(".xml")]
    notes: list[str] = []
    if more := sorted(images - set(used)):
        notes.append(f"{len(more):,} images {what} and are left out: {_shown(more)}")
    if more := sorted(annotated - images - set(used)):
        notes.append(f"{len(more):,} annotations without an image {what} and are left out: {_shown(more)}")
    if odd:
        notes.append(f"{len(odd):,} files in JPEGImages and Annotations are neither images nor XML: {_shown(odd)}")
    return notes


def odd_values(found: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """A note on optional values in annotations that are none; given are images and such values in words."""
    odd = [f"{values[0]} ({image})" for image, values in found if values]
    return [f"{len(odd):,} annotations have optional values that do not count: {odd[0]}"] if odd else []


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
