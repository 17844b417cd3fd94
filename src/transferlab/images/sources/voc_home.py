"""The folder VOC<year> of PASCAL VOC and of data sets in its layout: the places of images, annotations and lists.

Layout: the development kits' documentation (host.robots.ox.ac.uk/pascal/VOC/voc2007 and voc2012,
htmldoc/devkit_doc.html).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from transferlab.errors import UserError
from transferlab.images.sources.filetree import Tree
from transferlab.images.voc_xml import Annotation, parse

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
OFFICIAL = re.compile(r"VOC20(07|08|09|10|11|12)")  # folders that must have all of VOC's lists
SPLITS = ("train", "val", "test")
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
        name = f"{self.prefix}Annotations/{image_id}.xml"
        return parse(self.tree.data(name), name, self.tree.where)


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
