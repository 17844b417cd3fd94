"""Reads the ground truth for scoring detections: a folder in PASCAL VOC's layout, or COCO's JSON."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from transferlab.errors import UserError
from transferlab.images import voc_xml
from transferlab.images.bounded import listed, read_lines, read_whole
from transferlab.images.coco_json import Extent, id_order, read_set, shown
from transferlab.images.source import Box
from transferlab.images.sources.voc_boxes import box_of
from transferlab.images.sources.voc_home import odd_values
from transferlab.images.voc_xml import VocObject
from transferlab.text import number_of
from transferlab.transfer.detect.metrics import Truth

MAX_LIST_BYTES = 1 << 28  # of a list of images


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotated images.

    Args:
        path: as given by the user, for messages.
        images: names without folder and suffix, in the order of ``boxes``.
        files: the same as they are written, with folder and suffix where there are any.
        ids: from COCO's image ids to positions; empty for VOC.
        categories: from COCO's category ids to class names; empty for VOC.
        classes: class names; for VOC those with objects.
        notes: what was passed over.
    """

    path: str
    images: tuple[str, ...]
    files: tuple[str, ...]
    ids: Mapping[str, int]
    categories: Mapping[str, str]
    classes: tuple[str, ...]
    boxes: Sequence[Sequence[Box]]
    notes: tuple[str, ...] = ()

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


def read_truth(path: Path, set_: str = "") -> GroundTruth:
    """Read a VOC folder or a COCO JSON.

    Args:
        set_: a list in ``ImageSets/Main`` that says which images count; if it does not exist, ``test``; if that does not,
            all annotated images count.

    Raises:
        UserError: neither a VOC folder nor COCO's JSON, a missing or damaged file, a box with swapped corners, boxes
            relative to the size of their images.
    """
    if path.is_dir():
        return _of_voc(path, set_)
    if not path.exists():
        raise UserError("there is no such file or folder", f"--ground-truth {path}", "check the path")
    return _of_coco(path)


def lists_of(root: Path) -> frozenset[str]:
    """The names of the lists in ``ImageSets/Main`` of a VOC folder."""
    return frozenset(f.stem for f in listed(root / "ImageSets" / "Main", f"--ground-truth {root}", ".txt"))


def classes_of(root: Path) -> frozenset[str]:
    """The classes of all annotations of a VOC folder; raises UserError if one cannot be read."""
    where = f"--ground-truth {root}"
    files = listed(root / "Annotations", where, ".xml")
    return frozenset(box.label for file in files for box in _of_file(file, None, where)[0])


def stem(name: str) -> str:
    """A file's name without folders and suffix."""
    return PurePosixPath(name.replace("\\", "/")).stem


class ByName:
    """Finds images by the names that a detector writes: as the ground truth has them, or without folder and suffix."""

    def __init__(self, known: GroundTruth, where: str) -> None:
        self._known, self._where = known, where
        self._files, self._stems = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
        for i, (file, name) in enumerate(zip(known.files, known.images, strict=True)):
            self._files[file].append(i)
            self._stems[name].append(i)

    def find(self, name: str) -> list[int]:
        """The positions of all images with this name."""
        return self._files.get(name) or self._stems.get(name) or self._stems.get(stem(name)) or []

    def __call__(self, name: str, item: str) -> int:
        """The position of what ``item`` in an output calls ``name``; raises UserError unless there is one."""
        same, ids = self.find(name), self._known.ids
        if not same and name.isascii() and name.isdigit():
            number = name.lstrip("0") or "0"
            same = [ids[number]] if number in ids else []
        if len(same) != 1:
            has = f"of which the ground truth has {len(same)}" if same else "which the ground truth does not have"
            raise UserError(f"{item} is of image {shown(name)}, {has}", self._where, expected(self._known))
        return same[0]


def expected(known: GroundTruth) -> str:
    """What the ground truth has, for a remedy."""
    first = f", the first is {known.images[0]!r}" if known.images else ""
    return f"{known.path} has {number_of(len(known.images), 'image')}{first}"


def some(names: Sequence[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _of_voc(root: Path, set_: str) -> GroundTruth:
    where = f"--ground-truth {root}"
    folder = root / "Annotations"
    if not folder.is_dir():
        raise UserError("the folder has no Annotations", where, "name one with Annotations/*.xml, or COCO's JSON")
    there = lists_of(root)
    list_ = next((root / "ImageSets" / "Main" / f"{name}.txt" for name in (set_, "test") if name in there), None)
    annotated = [file.stem for file in listed(folder, where, ".xml")]
    names = _listed(list_, where) if list_ else annotated
    if not names:
        raise UserError(f"{list_ or folder} names no images", where, "copy the whole data set")
    read = [_of_file(folder / f"{name}.xml", list_, where) for name in names]
    boxes = [of_image for of_image, _ in read]
    extent = Extent()
    for box in itertools.chain(*boxes):
        extent.add((box.x0 + 1, box.y0 + 1, box.x1, box.y1))  # as they are written, from 1
    extent.must_be_pixels(folder, where)
    classes = tuple(sorted({box.label for of_image in boxes for box in of_image}))
    notes = odd_values(zip(names, (odd for _, odd in read), strict=True))
    if there and set_ and set_ not in there:
        notes.append(f"ImageSets/Main has no list {set_}: {'test' if list_ else 'every annotated image'} counts")
    if list_ and (others := len(set(annotated) - set(names))):
        notes.append(f"{others:,} annotated images are not in {list_.name} and do not count")
    return GroundTruth(str(root), tuple(names), tuple(names), {}, {}, classes, boxes, tuple(notes))


def _listed(file: Path, where: str) -> list[str]:
    names = [line.split()[0] for line in read_lines(file, MAX_LIST_BYTES, where) if line.strip()]
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{file} names {name} twice", where, "name every image once")
        seen.add(name)
    return names


def _of_file(file: Path, list_: Path | None, where: str) -> tuple[list[Box], tuple[str, ...]]:
    """The boxes of an annotation, and its optional values that are none."""
    if list_ and not file.exists():
        raise UserError(f"{file}, which {list_} names cannot be read: No such file", where, "copy the whole data set")
    data = read_whole(file, voc_xml.MAX_BYTES, where)
    found = voc_xml.parse(data, str(file), where)
    return [_checked(one, f"object {n} of {file}", where) for n, one in enumerate(found.objects, 1)], found.odd


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
    images = sorted(held.images, key=lambda image: id_order(image.id))  # as pycocotools, which so orders equal scores
    boxes = [held.objects[image.id].boxes for image in images]
    if flaw := next((flaw for image in images for flaw in held.objects[image.id].flaws), ""):
        raise UserError(f"there is an {flaw}", where, "use annotations and categories from one file")
    for image, of_image in zip(images, boxes, strict=True):
        for box in of_image:
            _must_be_in_order(box, f"an object ({box.label}) of {image.file_name}", where)
    ids = {image.id: i for i, image in enumerate(images)}
    files = tuple(image.file_name for image in images)
    # An unused category counts where its name is not that of another, so that a detector may have found it.
    named = {name: id_ for id_, name in (*held.unused.items(), *held.categories.items())}
    listed = {**held.unused, **held.categories}
    categories = {id_: listed[id_] for id_ in sorted(named.values(), key=id_order)}
    return GroundTruth(str(file), tuple(map(stem, files)), files, ids, categories, tuple(categories.values()), boxes,
                       held.notes)  # fmt: skip
