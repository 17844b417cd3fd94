"""``imagefolder:PATH``: folders of images, flat or nested, with or without split folders; or a zip of such a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source
from transferlab.images.sources.filetree import Tree, may_be_image, tree_of
from transferlab.images.sources.listing import SPLIT_NAMES, class_order, existing
from transferlab.taxonomy.readers import from_folders


def read(path: str, options: Mapping[str, str]) -> Source:
    """Images below class folders: the folders are the classes, and nested ones the taxonomy.

    A top level of only train, val (valid, validation) and test folders gives the splits. A class is its full path:
    two folders of one name under different parents stay two classes. Hidden files, and files that by their names are
    no images, are passed over. Links are followed, each folder once. In a zip, one folder around everything is its
    packaging; members are read in place.

    Raises:
        UserError: no such path, no images, images outside of class folders, a damaged or encrypted zip.
    """
    root, where = existing(path, "imagefolder"), f"imagefolder:{path}"
    tree = tree_of(root, where)
    names = [name for name in tree.files if may_be_image(name)]
    if not names:
        raise UserError("there are no images here", where, "put them into folders, one for each class")
    if n_other := len(tree.files) - len(names):
        tree.notes.append(f"{n_other} files that are no images were passed over")
    has_splits = all("/" in name and name.split("/")[0].lower() in SPLIT_NAMES for name in names)
    places = [_placed(name, has_splits=has_splits) for name in names]
    loose = [name for name, (_, label) in zip(names, places, strict=True) if not label]
    if loose:
        raise UserError(
            f"{len(loose)} images lie outside of class folders, for example {loose[0]!r}", where,
            "put them into folders, one for each class",
        )  # fmt: skip
    classes = class_order(label for _, label in places)
    return Source(
        name=root.resolve().name if root.is_dir() else root.stem,
        classes=classes,
        fingerprint=digest("imagefolder", [[name, *facts] for name, facts in tree.files.items()]),
        items=partial(_items, tree, names, places),
        taxonomy=from_folders(classes),
        n_images=len(names),
        notes=tuple(tree.notes),
    )


def _items(tree: Tree, names: list[str], places: list[tuple[str | None, str]]) -> Iterator[Item]:
    for name, (split, label) in zip(names, places, strict=True):
        yield Item(name, tree.content(name), label, split)


def _placed(name: str, *, has_splits: bool) -> tuple[str | None, str]:
    """Split and class of a file."""
    folder = name.rpartition("/")[0]
    if not has_splits:
        return None, folder
    top, _, rest = folder.partition("/")
    return SPLIT_NAMES[top.lower()], rest
