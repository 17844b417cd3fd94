"""``voc:PATH?task=detection``: images with the boxes of ``Annotations``, of PASCAL VOC or of a set in its layout."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from transferlab.errors import UserError
from transferlab.images.boxes import classes_in
from transferlab.images.coco_json import Extent
from transferlab.images.source import Box, Item, Objects, Source, Unreadable
from transferlab.images.sources.filetree import Tree, may_be_image
from transferlab.images.sources.listing import class_order, digest_of_rows
from transferlab.images.sources.voc_home import (
    CLASSES,
    OF_CLASS,
    OFFICIAL,
    Home,
    as_splits,
    image_lists,
    left_out,
    named,
    odd_values,
)  # fmt: skip
from transferlab.images.voc_xml import VocObject
from transferlab.text import number_of

MANY = 10  # a folder VOC<year> with so many of VOC's classes is VOC, and any other class in it a mistake
NOTHING = Objects(None, ())


@dataclass(frozen=True)
class _Example:
    """An image's file, split and objects, and the reason why it cannot be used, if any; ``odd`` as in ``voc_xml``."""

    image: str
    split: str | None
    objects: Objects = NOTHING
    flaw: str = ""
    odd: tuple[str, ...] = ()


def read(home: Home, notes: list[str]) -> Source:
    """Every image of the lists in ``ImageSets/Main`` that ``image_lists`` finds.

    Without such lists all images are taken, and divided. Classes are those with an object that is not difficult. What
    is wrong with a single image or object (a missing file, unreadable XML, swapped corners, no area, a class that the
    lists in ``ImageSets/Main`` do not have) is reported with the images that cannot be used. What is in no list is told.

    Raises:
        UserError: a list is damaged or names an image twice; nothing is annotated; boxes are relative to the size of
            their images.
    """
    examples = [_example(home, *found) for found in _listed(home, notes)]
    extent = Extent()
    for e in examples:
        for box in e.objects.boxes:
            extent.add((box.x0 + 1, box.y0 + 1, box.x1, box.y1))  # as they are written, from 1
    extent.must_be_pixels(f"{home.prefix}Annotations", home.tree.where)
    notes += odd_values((e.image, e.odd) for e in examples)
    known = _known(home, {box.label for e in examples for box in e.objects.boxes})
    if known:
        examples = [replace(e, objects=_of_classes(e.objects, known)) for e in examples]
    examples, classes = _counting(examples, notes)
    if not classes:
        raise UserError(
            f"no object is annotated in {home.prefix}Annotations", home.tree.where, "copy the whole data set"
        )
    files = home.tree.files
    stamps = [[e.image, files.get(e.image), e.split, e.flaw, e.objects.flaws, e.objects.boxes] for e in examples]
    return Source(
        name=f"{home.name.lower()}-detection",
        classes=classes,
        fingerprint=digest_of_rows("voc", "detection", list(classes), rows=stamps),
        items=partial(_items, home.tree, examples),
        n_images=len(examples),
        multi_label=True,
        notes=tuple(notes),
        metric="mAP",
    )


def _counting(examples: Sequence[_Example], notes: list[str]) -> tuple[list[_Example], tuple[str, ...]]:
    """The examples without objects of classes whose objects are all difficult, and the other classes."""
    annotated = {box.label for e in examples for box in e.objects.boxes}
    classes = class_order(name for e in examples for name in classes_in(e.objects.boxes)[0])
    if others := sorted(annotated - set(classes)):
        notes.append(f"classes whose objects are all difficult are left out: {', '.join(others)}")
    kept = [tuple(b for b in e.objects.boxes if b.label in classes) for e in examples]
    return [replace(e, objects=replace(e.objects, boxes=k)) for e, k in zip(examples, kept, strict=True)], classes


def _items(tree: Tree, examples: Sequence[_Example]) -> Iterator[Item]:
    for e in examples:
        data = Unreadable(e.flaw) if e.flaw else tree.content(e.image)
        present, ignored = classes_in(e.objects.boxes)
        yield Item(e.image, data, present, e.split, ignored, objects=e.objects)


def _listed(home: Home, notes: list[str]) -> Iterator[tuple[str, str, str | None]]:
    """Name in the lists, file and split of each image; the file is "" if it is missing."""
    tree, images = home.tree, _images(home, notes)
    annotated = {name.removesuffix(".xml") for name in home.names_in("Annotations") if name.endswith(".xml")}
    lists = image_lists(home, notes)
    there = annotated | set(images)
    ids = {split: named([row[0] for row in tree.rows(name, 1)], there) for split, name in lists.items()}
    skipped: list[str] = []
    if "test" in ids and annotated.isdisjoint(ids["test"]):
        skipped = ids.pop("test")
        notes.append(f"{lists['test']} is skipped, because none of its images is annotated")
    must_differ({lists[split]: of_split for split, of_split in ids.items()}, tree.where)
    splits: Mapping[str, str | None] = as_splits(list(ids), lists.get("val", ""), notes)
    if not ids:
        ids, splits = {"": sorted(there)}, {"": None}
        notes.append("ImageSets/Main has no lists of images, so all of them are taken")
    notes += left_out(home, {*skipped, *(i for of_split in ids.values() for i in of_split)}, "are in no list")
    for split, of_split in ids.items():
        yield from ((image_id, images.get(image_id, ""), splits[split]) for image_id in of_split)


def must_differ(lists: Mapping[str, Sequence[str]], where: str) -> None:
    """Raises UserError if an image is named twice, in one list or in two."""
    seen: dict[str, str] = {}
    for name, ids in lists.items():
        for image_id in ids:
            if image_id in seen:
                raise UserError(f"{name} names {image_id}, which {seen[image_id]} named before", where,
                                "name every image once, in one list")  # fmt: skip
            seen[image_id] = name


def _images(home: Home, notes: list[str]) -> dict[str, str]:
    """Name without suffix to file, for each image; of several files the JPEG."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in home.names_in("JPEGImages"):
        if may_be_image(name):
            found[os.path.splitext(name)[0]].append(f"{home.prefix}JPEGImages/{name}")  # noqa: PTH122
    if twice := [names for names in found.values() if len(names) > 1]:
        notes.append(
            f"{number_of(len(twice), 'image has', 'images have')} several files, of which a JPEG counts if there is one: {', '.join(twice[0][:3])}"
        )
    return {
        stem: min(names, key=lambda name: (not name.lower().endswith("jpg"), name)) for stem, names in found.items()
    }


def _example(home: Home, image_id: str, image: str, split: str | None) -> _Example:
    xml = f"{home.prefix}Annotations/{image_id}.xml"
    if not image:
        return _Example(home.image(image_id), split, flaw="missing (its name is in a list, or it is annotated)")
    if xml not in home.tree.files:
        return _Example(image, split, flaw=f"its annotation is missing ({xml})")
    try:
        annotation = home.annotation(image_id)
    except UserError as error:
        return _Example(image, split, flaw=f"its annotation cannot be used ({error.what})")
    boxes: list[Box] = []
    flaws: list[str] = []
    for number, one in enumerate(annotation.objects, 1):
        if one.box is None or one.flaw:
            flaws.append(f"{one.flaw} (object {number}, {_shown(one)}, of {xml})")
        else:
            boxes.append(box_of(one.name, one.box, difficult=one.difficult))
    size = annotation.size if annotation.size and min(annotation.size) > 0 else None
    return _Example(image, split, Objects(size, tuple(boxes), tuple(flaws)), odd=annotation.odd)


def box_of(label: str, box: tuple[float, float, float, float], *, difficult: bool) -> Box:
    """The edges of a box of VOC, which is 1-based and includes its last row and column."""
    return Box(label, box[0] - 1, box[1] - 1, box[2], box[3], difficult)


def _shown(one: VocObject) -> str:
    return one.name if one.box is None else f"{one.name} {' '.join(f'{value:g}' for value in one.box)}"


def _known(home: Home, annotated: Collection[str]) -> frozenset[str]:
    """The only classes allowed: those with lists of their own, or VOC's; empty if any class is allowed."""
    found = {hit[1] for name in home.names_in("ImageSets/Main") if (hit := OF_CLASS.fullmatch(name))}
    if found & set(annotated):
        return frozenset(found)
    official = OFFICIAL.fullmatch(home.name) and len(set(CLASSES) & set(annotated)) >= MANY
    return frozenset(CLASSES if official else ())


def _of_classes(objects: Objects, known: frozenset[str]) -> Objects:
    odd = [f"object of an unknown class ({box.label!r})" for box in objects.boxes if box.label not in known]
    kept = tuple(box for box in objects.boxes if box.label in known)
    return replace(objects, boxes=kept, flaws=(*objects.flaws, *odd)) if odd else objects
