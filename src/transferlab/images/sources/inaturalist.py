"""``inaturalist:PATH``: the iNaturalist competition sets of 2017, 2018, 2019 and 2021, with their taxonomies.

Layouts: github.com/visipedia/inat_comp (README.md of each year) and torchvision's ``datasets.INaturalist``. Until 2019 the
classes are in ``train<year>.json`` and ``val<year>.json``, in COCO's format; the names of 2018 and 2019 are in
``categories.json``, published later. In 2021 every folder is named after its class and all ranks above it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from transferlab.errors import UserError
from transferlab.images.format import Format, Request
from transferlab.images.source import Source
from transferlab.images.sources.filetree import Row, Tree, listed, may_be_image
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.listing import class_order
from transferlab.taxonomy.readers import from_folders

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
FOLDERS = {"train": "train", "train_mini": "train", "val": "val",
           "2021_train": "train", "2021_train_mini": "train", "2021_valid": "val"}  # of torchvision  # fmt: skip
LIST = re.compile(r"(?:.*/)?(train|val)(?:_mini)?(?:20\d\d)?\.json")


def read(request: Request) -> Source:
    """A class is its path through the ranks, "Animalia/Annelida/…/Lumbricus/Lumbricus terrestris".

    Categories without ranks, as in 2017, are children of their super category.

    Raises:
        UserError: no known layout; lists are damaged, contradict each other, or name images that are missing.
    """
    tree = tree_of(request.path, request.where, frozenset({"test", "public_test"}))
    rows = _by_folders(tree) or _by_lists(tree)
    classes = class_order(label for _, label, _ in rows)
    return listed(tree, "inaturalist", rows, classes=classes, taxonomy=from_folders(classes))


def _by_folders(tree: Tree) -> list[Row]:
    """Rows in the layout of 2021; none in another."""
    rows: list[Row] = []
    odd: list[str] = []
    numbers: dict[str, set[str]] = {}
    for name in tree.files:
        top, _, rest = name.partition("/")
        folder, _, file = rest.partition("/")
        if top not in FOLDERS or not file or not may_be_image(name):
            continue
        number, *ranks = folder.split("_", 7)
        if len(ranks) != 7 or not number.isdigit():
            odd.append(f"{top}/{folder}")
            continue
        numbers.setdefault(top, set()).add(number)
        rows.append((name, "/".join((*ranks[:6], f"{ranks[5]} {ranks[6]}")), FOLDERS[top]))
    if rows and odd:
        raise UserError(
            f"the folder {odd[0]} is not named after a class", tree.where,
            "expected a number, six ranks and an epithet with _ between them",
        )  # fmt: skip
    _must_match(tree.where, numbers)
    return rows


def _must_match(where: str, numbers: Mapping[str, set[str]]) -> None:
    """Raises UserError unless there is at most one folder for each split, all with the same classes."""
    tops = sorted(numbers)
    if len({FOLDERS[top] for top in tops}) < len(tops):
        raise UserError(f"there are {' and '.join(tops)}", where, "keep one of them: the mini set is part of the other")
    for one, other in pairwise(tops):
        for with_it, without in ((one, other), (other, one)):
            if lacking := sorted(numbers[with_it] - numbers[without]):
                raise UserError(
                    f"the folder {without} has no images of class {lacking[0]}, which {with_it} has", where,
                    "copy all of its folders",
                )  # fmt: skip


def _by_lists(tree: Tree) -> list[Row]:
    lists = [(match[1], name) for name in tree.files if (match := LIST.fullmatch(name)) is not None]
    found = dict(lists)
    if len(found) < len(lists):
        raise UserError(
            f"there are the lists {', '.join(name for _, name in lists)}", tree.where, "keep those of one year"
        )
    if "train" not in found:
        raise UserError(
            "there is neither a folder such as train/00000_Animalia_… nor a list such as train2019.json", tree.where,
            "put the lists of the year beside its images",
        )  # fmt: skip
    named = next((name for name in tree.files if name.rpartition("/")[2] == "categories.json"), None)
    rows: list[Row] = []
    for split, name in sorted(found.items()):
        held = _json(tree, name)
        try:
            categories = held["categories"] if named is None else _json(tree, named)
            classes = _classes(categories, named or name, tree.where)
            files = {int(image["id"]): str(image["file_name"]) for image in held["images"]}
            labels = {int(one["image_id"]): int(one["category_id"]) for one in held["annotations"]}
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{name} lacks {error}", tree.where, "expected images, annotations, categories") from error
        if odd := files.keys() ^ labels.keys():
            raise UserError(f"{name} has no image or no label with the id {min(odd)}", tree.where, "get the list again")
        if unknown := sorted(set(labels.values()) - classes.keys()):
            raise UserError(
                f"{name} uses category {unknown[0]}, which {named or name} does not name", tree.where, "get both again"
            )
        tree.must_have(list(files.values()), name)
        rows += [(file, classes[labels[image_id]], split) for image_id, file in files.items()]
    return rows


def _classes(categories: list[dict[str, Any]], name: str, where: str) -> dict[int, str]:
    """Category id to its path."""
    classes: dict[int, str] = {}
    for category in categories:
        above = [str(category[rank]) for rank in RANKS if category.get(rank)]
        path = above if len(above) == len(RANKS) else [str(category["supercategory"])]
        classes[int(category["id"])] = "/".join((*path, str(category["name"])))
    if len(set(classes.values())) < len(categories):
        raise UserError(f"{name} names a category twice", where, "get the list again")
    return classes


def _json(tree: Tree, name: str) -> Any:
    try:
        return json.loads(tree.data(name))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is not JSON: {error}", tree.where, "get the list again") from error


FORMAT = Format(
    name="inaturalist", title="iNaturalist", explained="the competition sets of 2017, 2018, 2019 and 2021",
    path="the folder of `train` (or `train_mini`) and `val`, or of the lists and the images of an earlier year", read=read,
)  # fmt: skip
