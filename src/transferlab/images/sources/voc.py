"""``voc:PATH``: PASCAL VOC 2007 to 2012, to classify images or people's actions, or for detection.

Rules: the development kits' code (VOCinit.m; example_action.m, which counts objects from 1 and leaves out "other").
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from transferlab.definitions import Parameter
from transferlab.errors import UserError
from transferlab.images.format import Format, Request, Text
from transferlab.images.source import Crop, Item, Source, Unreadable
from transferlab.images.sources import voc_boxes
from transferlab.images.sources.filetree import Tree
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.listing import class_order, digest_of_rows
from transferlab.images.sources.voc_home import (
    CLASSES,
    OFFICIAL,
    SKIPPED,
    SPLITS,
    Home,
    as_splits,
    home_of,
    image_lists,
    left_out,
    named,
    odd_values,
)  # fmt: skip
from transferlab.text import number_of

ACTIONS = (
    "jumping", "phoning", "playinginstrument", "reading", "ridingbike", "ridinghorse", "running", "takingphoto",
    "usingcomputer", "walking",
)  # fmt: skip
MARGIN = 0.1  # of a box's longer side, on each side: what a person holds or rides is partly outside the box


@dataclass(frozen=True)
class _Example:
    """An image, or a person in one: its file, its object's number (0 for the whole image), split, classes and crop."""

    image: str
    number: int
    split: str | None
    present: tuple[str, ...]
    unscored: tuple[str, ...] = ()
    crop: Crop | None = None
    flaw: str = ""

    @property
    def key(self) -> str:
        return f"{self.image}#{self.number}" if self.number else self.image


def read(request: Request) -> Source:
    """Images with several labels each; with ``task=action`` people with their actions; with ``task=detection`` boxes.

    Labels come from the lists in ``ImageSets/Main`` (1 present, -1 absent, 0 difficult: not scored); without such lists
    they follow from the annotations by the same rule. People are the boxes that the lists in ``ImageSets/Action`` name,
    cropped to squares of 1.2 times the box's longer side that stay inside the image. Without test labels the list
    ``val`` is the test split.

    Raises:
        UserError: lists or annotations are missing, or disagree with each other or with the images; a list names a
            box that the annotation does not have.
    """
    root, task = request.path, request.options["task"]
    home = home_of(tree_of(root, request.where, SKIPPED), root.resolve().name, request.options.get("year", ""))
    notes = list(home.tree.notes)
    if task == "detection":
        return voc_boxes.read(home, notes)
    if task == "action":
        classes, examples = _of_people(home, notes)
    else:
        classes, examples = _listed(home, "Main", CLASSES, notes) or _derived(home, notes)
    stamps = [
        [e.key, *home.tree.files[e.image], e.split, e.present, e.unscored, e.flaw, *(e.crop.corners if e.crop else ())]
        for e in examples
    ]
    return Source(
        name=home.name.lower() + ("-actions" if task == "action" else ""),
        classes=classes,
        fingerprint=digest_of_rows("voc", task, list(classes), rows=stamps),
        items=partial(_items, home.tree, examples),
        n_images=len(examples),
        multi_label=True,
        notes=tuple(notes),
    )


_Labelled = tuple[tuple[str, ...], list[_Example]]  # classes and examples


def _items(tree: Tree, examples: Sequence[_Example]) -> Iterator[Item]:
    for e in examples:
        data = Unreadable(f"a person without a usable box ({e.flaw})") if e.flaw else tree.content(e.image)
        yield Item(e.key, data, e.present, e.split, e.unscored, e.crop)


def _listed(home: Home, kind: str, official: tuple[str, ...], notes: list[str]) -> _Labelled | None:
    """Labels from the lists, one of each class and split; None if there are no lists."""
    folder = f"{home.prefix}ImageSets/{kind}/"
    found: dict[str, set[str]] = {}
    for name in home.tree.files:
        if name.startswith(folder) and (match := re.fullmatch(r"(.+)_(train|val|test)\.txt", name[len(folder) :])):
            found.setdefault(match[2], set()).add(match[1])
    names = class_order(name for of_split in found.values() for name in of_split if name != "other")
    if not names:
        return None
    if kind == "Action" or OFFICIAL.fullmatch(home.name):
        names = official
    splits = [split for split in SPLITS if split in found]
    if "train" not in splits:
        raise UserError(f"{folder}{names[0]}_train.txt is not there", home.tree.where, "copy all of ImageSets")
    as_split = as_splits(splits, f"{folder}*_val.txt", notes)
    examples: list[_Example] = []
    named_in: dict[str, list[str]] = {}
    for split in splits:
        flags = {name: _flags(home.tree, f"{folder}{name}_{split}.txt", kind) for name in names}
        _must_agree(home, {f"{folder}{name}_{split}.txt": of_class for name, of_class in flags.items()})
        named_in[f"{names[0]}_{split}.txt"] = [" ".join(filter(None, (i, str(n or "")))) for i, n in flags[names[0]]]
        for key in flags[names[0]]:
            present, unscored = (tuple(name for name in names if flags[name][key] == flag) for flag in (1, 0))
            examples.append(_Example(home.image(key[0]), key[1], as_split[split], present, unscored))
    voc_boxes.must_differ(named_in, home.tree.where)
    notes.append(f"labels come from the lists in ImageSets/{kind}")
    used = {e.image.removeprefix(home.image("").removesuffix(".jpg")).removesuffix(".jpg") for e in examples}
    notes += left_out(home, used, f"are in no list of {kind}")
    if kind == "Main":
        notes += _against_annotations(home, names, examples)
    return names, examples


def _against_annotations(home: Home, names: Sequence[str], examples: Sequence[_Example]) -> list[str]:
    """A note on images of which the lists say something else than the annotations, if any."""
    known, annotated, odd = set(names), set(home.names_in("Annotations")), list[str]()
    for e in examples:
        image_id = e.image.rpartition("/")[2].removesuffix(".jpg")
        if f"{image_id}.xml" not in annotated:
            continue
        with contextlib.suppress(UserError):  # classification needs no annotation, so a damaged one is no obstacle
            objects = home.annotation(image_id).objects
            present = {one.name for one in objects if not one.difficult} & known
            if present != set(e.present):
                odd.append(f"{image_id}: {_told(e.present)} in the lists, {_told(present)} in its annotation")
    what = number_of(len(odd), "image is labelled", "images are labelled")
    return [f"{what} otherwise by Annotations, and the lists count, for example {odd[0]}"] if odd else []


def _told(classes: Collection[str]) -> str:
    return " and ".join(sorted(classes)) or "no class"


def _flags(tree: Tree, name: str, kind: str) -> dict[tuple[str, int], int]:
    """Image and number of its object to 1, 0 or -1."""
    flags: dict[tuple[str, int], int] = {}
    for line, (image_id, *number, flag) in enumerate(tree.rows(name, 3 if kind == "Action" else 2), 1):
        if flag not in ("1", "0", "-1") or not all(n.isascii() and n.isdigit() and int(n) > 0 for n in number):
            raise UserError(
                f"line {line} of {name} is {' '.join((image_id, *number, flag))!r}", tree.where,
                "expected an image, for actions the number of its object, and 1, 0 or -1",
            )  # fmt: skip
        key = image_id, int(number[0]) if number else 0
        if key in flags:
            raise UserError(f"line {line} of {name} repeats {image_id}", tree.where, "get the list again")
        flags[key] = int(flag)
    return flags


def _must_agree(home: Home, lists: Mapping[str, Mapping[tuple[str, int], int]]) -> None:
    """Raises UserError unless all lists of a split name the same examples, whose images are there."""
    first, *others = lists
    for name in others:
        if odd := sorted(set(lists[name]) ^ set(lists[first])):
            raise UserError(
                f"{name} and {first} do not name the same images, for example {odd[0][0]}", home.tree.where,
                "get the lists again",
            )  # fmt: skip
    home.tree.must_have(list(dict.fromkeys(home.image(image_id) for image_id, _ in lists[first])), first)


def _derived(home: Home, notes: list[str]) -> _Labelled:
    """Labels from the annotations: a class is present if one of its objects is not difficult."""
    tree = home.tree
    notes.append("labels come from Annotations, because ImageSets/Main has no lists of classes")
    lists = image_lists(home, notes)
    annotated = [name.removesuffix(".xml") for name in home.names_in("Annotations") if name.endswith(".xml")]
    ids = {split: named([row[0] for row in tree.rows(name, 1)], annotated) for split, name in lists.items()}
    skipped: list[str] = []
    if "test" in ids and set(annotated).isdisjoint(ids["test"]):
        skipped = ids.pop("test")
        notes.append(f"{lists['test']} is skipped, because none of its images is annotated")
    for split, of_split in ids.items():
        tree.must_have([home.image(i) for i in of_split], lists[split])
    voc_boxes.must_differ({lists[split]: of_split for split, of_split in ids.items()}, tree.where)
    as_split: Mapping[str, str | None] = as_splits(list(ids), lists.get("val", ""), notes)
    if not ids:
        ids, as_split = {"": annotated}, {"": None}
        tree.must_have([home.image(i) for i in annotated], f"{home.prefix}Annotations")
    why = "are in no list" if lists else "have no annotation"
    notes += left_out(home, {*skipped, *(i for of_split in ids.values() for i in of_split)}, why)
    examples: list[_Example] = []
    odd: list[tuple[str, Sequence[str]]] = []
    for split, of_split in ids.items():
        for image_id in of_split:
            annotation = home.annotation(image_id)
            odd.append((home.image(image_id), annotation.odd))
            present = {one.name for one in annotation.objects if not one.difficult}
            unscored = {one.name for one in annotation.objects} - present
            examples.append(
                _Example(home.image(image_id), 0, as_split[split], tuple(sorted(present)), tuple(sorted(unscored)))
            )
    notes += odd_values(odd)
    classes = class_order(name for example in examples for name in example.present)
    return classes, [replace(e, unscored=tuple(n for n in e.unscored if n in classes)) for e in examples]


def _of_people(home: Home, notes: list[str]) -> _Labelled:
    found = _listed(home, "Action", ACTIONS, notes)
    if found is None:
        raise UserError(
            f"{home.prefix}ImageSets/Action/jumping_train.txt is not there", home.tree.where,
            "actions need the lists of VOC 2010 to 2012 in ImageSets/Action",
        )  # fmt: skip
    notes.append("each image is a person: a square of 1.2 times the longer side of the given box, inside the image")
    return found[0], [_located(home, example) for example in found[1]]


def _located(home: Home, example: _Example) -> _Example:
    """A person with its crop, or with the flaw of its box."""
    image_id = example.image.rpartition("/")[2].removesuffix(".jpg")
    annotation = home.annotation(image_id)
    where = f"object {example.number} of {home.prefix}Annotations/{image_id}.xml"
    if example.number > len(annotation.objects) or annotation.objects[example.number - 1].name != "person":
        raise UserError(f"{where} is not a person", home.tree.where, "get annotations and lists of one year")
    one = annotation.objects[example.number - 1]
    if flaw := one.flaw_in(annotation.size):
        return replace(example, flaw=f"{flaw}, {where}")
    assert one.box is not None and annotation.size is not None, "otherwise there would be a flaw"
    return replace(example, crop=_crop(one.box, annotation.size))


def _crop(box: tuple[float, float, float, float], size: tuple[int, int]) -> Crop:
    """A square around a box and its margin, moved and if necessary reduced so that it stays inside the image."""
    left, top, right, bottom = box[0] - 1, box[1] - 1, box[2], box[3]
    side = min((1 + 2 * MARGIN) * max(right - left, bottom - top), *size)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    return Crop(min(max(x, 0), size[0] - side), min(max(y, 0), size[1] - side), side, size)


FORMAT = Format(
    name="voc", title="PASCAL VOC", explained="PASCAL VOC 2007 to 2012, or your own data set in its layout",
    path="`VOCdevkit`, `VOC<year>`, or the folder of `JPEGImages`", tasks=("labels", "detection"), read=read,
    parameters={"task": Parameter(means="what the images are for", default="classification",
                                  words=("classification", "action", "detection")),
                "year": Text(means="which year of several in `VOCdevkit`")},
)  # fmt: skip
