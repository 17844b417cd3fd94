"""Reads the ground truth for scoring detections: a folder in PASCAL VOC's layout, or COCO's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from transferlab.errors import UserError
from transferlab.images.coco_json import read_set
from transferlab.images.source import Box
from transferlab.images.sources.voc_boxes import box_of
from transferlab.images.voc_xml import VocObject, parse
from transferlab.transfer.detect.metrics import Truth


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotated images.

    Args:
        path: as given by the user, for messages.
        images: names without folder and suffix, in the order of ``boxes``.
        ids: from COCO's image ids to positions; empty for VOC.
        categories: from COCO's category ids to class names; empty for VOC.
        classes: class names; for VOC those with objects.
    """

    path: str
    images: tuple[str, ...]
    ids: Mapping[int, int]
    categories: Mapping[int, str]
    classes: tuple[str, ...]
    boxes: Sequence[Sequence[Box]]

    def truth(self, classes: Sequence[str]) -> Truth:
        """The objects of these classes, labelled by position in ``classes``."""
        index = {name: c for c, name in enumerate(classes)}
        chosen = [(i, box) for i, of_image in enumerate(self.boxes) for box in of_image if box.label in index]
        edges = np.array([box[1:5] for _, box in chosen], np.float64).reshape(-1, 4)
        sides = edges[:, 2:] - edges[:, :2]
        areas = [own if box.area is None else box.area for own, (_, box) in zip(sides.prod(1), chosen, strict=True)]
        return Truth(
            len(self.images), len(classes), np.array([i for i, _ in chosen], np.int32),
            np.array([index[box.label] for _, box in chosen], np.int32), edges,
            np.array([box.ignored for _, box in chosen], bool), np.array(areas, np.float64),
        )  # fmt: skip


def read_truth(path: Path, sets: Sequence[str]) -> GroundTruth:
    """Read a VOC folder or a COCO JSON.

    Args:
        sets: names of lists in ``ImageSets/Main``; the first that exists defines which images count. If none exists, all
            annotated images count.

    Raises:
        UserError: neither a VOC folder nor COCO's JSON, a missing or damaged file, a box with swapped corners.
    """
    if path.is_dir():
        return _of_voc(path, sets)
    if not path.is_file():
        raise UserError("there is no such file or folder", f"--ground-truth {path}", "check the path")
    return _of_coco(path)


def stem(name: str) -> str:
    """A file's name without folders and suffix."""
    return PurePosixPath(name).stem


def _of_voc(root: Path, sets: Sequence[str]) -> GroundTruth:
    where = f"--ground-truth {root}"
    folder = root / "Annotations"
    if not folder.is_dir():
        raise UserError("the folder has no Annotations", where, "name one with Annotations/*.xml, or COCO's JSON")
    lists = [root / "ImageSets" / "Main" / f"{name}.txt" for name in sets]
    listed = next((file for file in lists if file.is_file()), None)
    names = _listed(listed, where) if listed else sorted(file.stem for file in folder.glob("*.xml"))
    if not names:
        raise UserError(f"{listed or folder} names no images", where, "copy the whole data set")
    boxes = [_of_file(folder / f"{name}.xml", listed, where) for name in names]
    classes = tuple(sorted({box.label for of_image in boxes for box in of_image}))
    return GroundTruth(str(root), tuple(names), {}, {}, classes, boxes)


def _listed(file: Path, where: str) -> list[str]:
    try:
        names = [line.split()[0] for line in file.read_bytes().decode("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}", where, "expected image names in UTF-8") from error
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UserError(f"{file} names {twice} twice", where, "name every image once")
    return names


def _of_file(file: Path, listed: Path | None, where: str) -> list[Box]:
    try:
        data = file.read_bytes()
    except OSError as error:
        item = f", which {listed} names" if listed else ""
        raise UserError(f"{file}{item} cannot be read: {error.strerror}", where, "copy the whole data set") from error
    objects = parse(data, str(file), where).objects
    return [_checked(one, f"object {number} of {file}", where) for number, one in enumerate(objects, 1)]


def _checked(one: VocObject, item: str, where: str) -> Box:
    """An object's box. As in the kit, a box without width or height is one pixel wide."""
    if one.box is None:
        raise UserError(f"{item} has no box", where, "correct the file")
    box = box_of(one.name, one.box, difficult=one.difficult)
    _must_be_in_order(box, item, where)
    return box


def _must_be_in_order(box: Box, item: str, where: str) -> None:
    if box.x1 < box.x0 or box.y1 < box.y0:
        raise UserError(f"{item} has a box with swapped corners", where, "correct the file")


def _of_coco(file: Path) -> GroundTruth:
    where = f"--ground-truth {file}"
    held = read_set(file, where)
    boxes = [held.objects[image.id].boxes for image in held.images]
    if flaw := next((flaw for image in held.images for flaw in held.objects[image.id].flaws), ""):
        raise UserError(f"there is an {flaw}", where, "use annotations and categories from one file")
    for image, of_image in zip(held.images, boxes, strict=True):
        for box in of_image:
            _must_be_in_order(box, f"an object ({box.label}) of {image.file_name}", where)
    ids = {image.id: i for i, image in enumerate(held.images)}
    names = tuple(stem(image.file_name) for image in held.images)
    return GroundTruth(str(file), names, ids, held.categories, tuple(held.categories.values()), boxes)
