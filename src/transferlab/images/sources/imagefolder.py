"""``imagefolder:PATH``: a folder for each class, nested or not, with or without split folders; or a zip of such a tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from transferlab.errors import UserError
from transferlab.images.format import Format, Request, Text
from transferlab.images.source import Source
from transferlab.images.sources.filetree import Row, Tree, items_of, may_be_image, not_images, visible
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.listing import class_order, digest_of_rows
from transferlab.images.sources.split_names import Given, given, names_split
from transferlab.taxonomy.readers import from_folders
from transferlab.text import number_of


def read(request: Request) -> Source:
    """Images below class folders; nested folders make the taxonomy.

    Folders of one depth that are all named after splits are the splits; see ``split_names.given``. A class is its full
    path without them: two folders of the same name under different parents are two classes. Links are followed, each
    folder once. In a zip, a single folder around everything is ignored; members are read in place.

    Raises:
        UserError: no images, images outside class folders, a damaged or encrypted zip; as ``split_names.given``.
    """
    root, where, choice = request.path, request.where, request.options.get("splits", "")
    tree = tree_of(root, where)
    names = [name for name in tree.files if may_be_image(name)]
    notes = [*tree.notes, *not_images(tree, names), *_unread_splits(tree, names)]
    if not names:
        instead = f": {'; '.join(notes)}" if notes else ""
        raise UserError(f"there are no images here{instead}", where, "put them into folders, one for each class")
    notes += _without_images(tree, names)
    found = given(names, where, choice)
    rows = [
        (name, label, split)
        for name, label, split, out in zip(names, found.folders, found.splits, found.left_out, strict=True) if not out
    ]  # fmt: skip
    if n_out := len(names) - len(rows):
        outside = f"outside the folders {choice.replace(',', ' and ')}"
        notes.append(f"{number_of(n_out, f'image {outside} was', f'images {outside} were')} left out")
    _must_have_classes(rows, found, where)
    _must_be_labelled(rows, found, where)
    classes = class_order(label for _, label, _ in rows)
    return Source(
        name=root.resolve().name if root.is_dir() else root.stem,
        classes=classes,
        fingerprint=digest_of_rows(
            "imagefolder", found.how, choice, rows=[[name, *tree.files[name]] for name in names]
        ),
        items=partial(items_of, tree, rows),
        taxonomy=from_folders(classes),
        n_images=len(rows),
        stated=found.how,
        notes=(*notes, *found.remarks),
    )


def _must_have_classes(rows: Sequence[Row], found: Given, where: str) -> None:
    loose = [(name, split) for name, label, split in rows if not label]
    if not loose:
        return
    apart = {split for _, split in loose}
    whole = sorted(name for name, split in found.stating.items() if split not in apart)
    useful = "train" in {found.stating[name] for name in whole}
    remedy = f", or leave them out: ?splits={','.join(whole)}" if useful else ""
    if len(loose) == len(rows) and not found.how:
        remedy = "; if this folder is a class, name the one around it"
    raise UserError(
        f"{number_of(len(loose), 'image is', 'images are')} outside class folders, for example {loose[0][0]!r}", where,
        f"put them into folders, one for each class{remedy}",
    )  # fmt: skip


def _must_be_labelled(rows: Sequence[Row], found: Given, where: str) -> None:
    """Refuse a split of folders none of which is a class of the training images: they hold images without labels."""
    labels: dict[str | None, set[str]] = {}
    for _, label, split in rows:
        labels.setdefault(split, set()).add(label)
    trained = labels.get("train", set[str]())
    apart = [split for split, held in labels.items() if trained and not held & trained]
    if not apart:
        return
    kept = ",".join(sorted(name for name, split in found.stating.items() if split not in apart))
    raise UserError(
        f"no folder of the {apart[0]} images, such as {min(labels[apart[0]])!r}, is a class of the training images", where,
        "name the classes of all splits alike" + (f", or leave this split out: ?splits={kept}" if kept else ""),
    )  # fmt: skip


def _unread_splits(tree: Tree, images: Sequence[str]) -> list[str]:
    """A note on lists, tables and archives that are named after splits, and that nobody reads."""
    found = sorted(name for name in set(tree.files) - set(images) if visible(name) and names_split(_stem(name)))
    if found:
        stems = {_stem(name) for name in images}  # files of these names annotate one image each
        found = [name for name in found if _stem(name) not in stems]
    if not found:
        return []
    shown = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
    return [
        f"{number_of(len(found), 'file named after a split was', 'files named after splits were')} not read ({shown}); only folders and names of images "
        "state splits"
    ]


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _without_images(tree: Tree, images: Sequence[str]) -> list[str]:
    """A note on folders of other files alone: they may be classes whose images are missing."""
    direct = {name.rpartition("/")[0] for name in images}
    with_images = direct | {folder[: match.start()] for folder in direct for match in re.finditer("/", folder)} | {""}
    folders = {name.rpartition("/")[0] for name in set(tree.files) - set(images) if visible(name)}
    if not (found := sorted(folders - with_images)):
        return []
    return [f"{number_of(len(found), 'folder has', 'folders have')} no images, for example {found[0]!r}"]


FORMAT = Format(
    name="imagefolder", title="Folder of images", explained="a folder for each class, nested or not",
    path="a folder or a zip", read=read,
    parameters={"splits": Text(means="folders that alone are splits, with commas between them, or `no`")},
)  # fmt: skip
