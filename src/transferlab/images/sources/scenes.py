"""``sun397:PATH`` and ``places365:PATH``: scenes, named by paths such as ``/a/apartment_building/outdoor``.

Layouts: SUN397.tar.gz and Partitions.zip of the SUN database (vision.princeton.edu/projects/2010/SUN); Places365-Standard
as its file lists (filelist_places365-standard.tar) and torchvision's ``datasets.Places365`` describe it. A class is its
path without the leading letter; classes below one folder, such as ``bow_window/indoor`` and ``bow_window/outdoor``, are
a group of the taxonomy. The coarser hierarchies of both sets come as spreadsheets and are not read:
``?taxonomy=FILE`` takes them as a table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.filetree import Row, Tree, listed, tree_of
from transferlab.images.sources.listing import class_order, existing
from transferlab.taxonomy.readers import from_folders

SUN_LISTS = ("", "Partitions/", "SUN397/", "SUN397/Partitions/")
SUN_IMAGES = ("", "SUN397/")
PLACES_LISTS = ("", "filelist_places365-standard/", "places365_standard/", "devkit/")
PLACES_TRAIN = ("data_256/", "data_256_standard/", "data_large/", "data_large_standard/")
PLACES_VAL = ("val_256/", "val_large/")


def read_sun397(path: str, options: Mapping[str, str]) -> Source:
    """One of the ten official partitions, 1 unless ``partition`` says otherwise: 50 + 50 images of each class.

    Validation is drawn from the training images. ``imagefolder:PATH`` reads all 108,754 images without partition.

    Raises:
        UserError: lists or images that are missing; lists that do not name each class equally often.
    """
    tree = tree_of(existing(path, "sun397"), f"sun397:{path}")
    number = options.get("partition", "1")
    if not re.fullmatch(r"[1-9]|10", number):
        raise UserError(f"there is no partition {number}", tree.where, "partitions go from 1 to 10")
    rows: list[Row] = []
    names = _list(tree, SUN_LISTS, "ClassName.txt", "Partitions.zip")
    classes = class_order(_scene(tree, names, line, line) for line in tree.lines(names))
    for split, word in (("train", "Training"), ("test", "Testing")):
        name = _list(tree, SUN_LISTS, f"{word}_{int(number):02d}.txt", "Partitions.zip")
        lines = tree.lines(name)
        home = next((p for p in SUN_IMAGES if p + lines[0].lstrip("/") in tree.files), SUN_IMAGES[-1])
        of_split: list[Row] = [
            (home + line.lstrip("/"), _scene(tree, name, line, line.rpartition("/")[0]), split) for line in lines
        ]
        counts = Counter(label for _, label, _ in of_split)
        if unknown := sorted(set(counts) - set(classes)):
            raise UserError(
                f"{name} has images of {unknown[0]}, which {names} does not name", tree.where, "get both again"
            )
        usual = max(counts.values())
        if short := [label for label in classes if counts[label] != usual]:
            raise UserError(
                f"{name} names {counts[short[0]]} images of {short[0]} and {usual} of others", tree.where,
                "get the list again: partitions have as many of each class",
            )  # fmt: skip
        tree.must_have([file for file, _, _ in of_split], name)
        rows += of_split
    return listed(tree, "sun397", rows, classes=classes, taxonomy=from_folders(classes),
                  notes=[f"official partition {number}"])  # fmt: skip


def read_places365(path: str, options: Mapping[str, str]) -> Source:
    """Places365-Standard: 1.8 million training images and 100 validation images of each of 365 classes.

    PATH holds the lists, the training images as ``data_256`` or ``data_large`` and the validation images as
    ``val_256`` or ``val_large``. The version sorted into folders (places365_standard) is an imagefolder.

    Raises:
        UserError: lists or images that are missing, a class that does not fit its image's folder.
    """
    tree = tree_of(existing(path, "places365"), f"places365:{path}", frozenset({"test_256", "test_large"}))
    names = _list(tree, PLACES_LISTS, "categories_places365.txt", "filelist_places365-standard.tar")
    classes = {place: _scene(tree, names, line, line) for line, place in tree.rows(names, 2)}
    if sorted(classes) != sorted(map(str, range(len(classes)))):
        raise UserError(f"{names} does not number its classes from 0 on", tree.where, "get the list again")
    rows: list[Row] = []
    for split, word, homes in (("train", "train_standard", PLACES_TRAIN), ("val", "val", PLACES_VAL)):
        name = _list(tree, PLACES_LISTS, f"places365_{word}.txt", "filelist_places365-standard.tar")
        pairs = tree.rows(name, 2)
        files = [file.lstrip("/") for file, _ in pairs]
        home = next((p for p in homes if p + files[0] in tree.files), homes[0])
        for file, (line, place) in zip(files, pairs, strict=True):
            label = classes.get(place)
            if label is None or (split == "train" and _scene(tree, name, line, line.rpartition("/")[0]) != label):
                raise UserError(
                    f"{name} gives {line} the class {place}", tree.where, f"{names} says {label or 'nothing of it'}"
                )
            rows.append((home + file, label, split))
        tree.must_have([home + file for file in files], name)
    order = [classes[str(place)] for place in range(len(classes))]
    return listed(tree, "places365", rows, classes=order, taxonomy=from_folders(order))


def _list(tree: Tree, places: tuple[str, ...], name: str, archive: str) -> str:
    found = tree.first_of(places, name)
    if found is None:
        raise UserError(f"{name} is not there", tree.where, f"it comes in {archive}: lay it beside the images")
    return found


def _scene(tree: Tree, name: str, line: str, path: str) -> str:
    """The class of a path such as ``/a/apartment_building/outdoor``, which a line of a list holds."""
    told = re.fullmatch(r"/[a-z]/([^/ ]+(?:/[^/ ]+)*)", path)
    if told is None:
        raise UserError(
            f"{name} has the line {line!r}", tree.where, "lines such as /a/abbey or /a/abbey/FILE were expected"
        )
    return told[1]
