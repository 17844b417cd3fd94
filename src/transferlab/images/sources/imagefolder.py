"""``imagefolder:PATH``: a folder for each class, nested or not, with or without split folders; or a zip of such a tree."""

from __future__ import annotations

from functools import partial

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Format, Request
from transferlab.images.source import Source
from transferlab.images.sources.filetree import items_of, may_be_image, tree_of
from transferlab.images.sources.listing import SPLIT_NAMES, class_order
from transferlab.taxonomy.readers import from_folders


def read(request: Request) -> Source:
    """Images below class folders; nested folders make the taxonomy.

    If the top level has only the folders train, val (valid, validation) and test, these are the splits. A class is its
    full path: two folders of the same name under different parents are two classes. Hidden files, and files whose
    names show that they are not images, are skipped. Links are followed, each folder once. In a zip, a single folder
    around everything is ignored; members are read in place.

    Raises:
        UserError: no images, images outside class folders, a damaged or encrypted zip.
    """
    root, where = request.path, request.where
    tree = tree_of(root, where)
    names = [name for name in tree.files if may_be_image(name)]
    if not names:
        raise UserError("there are no images here", where, "put them into folders, one for each class")
    if n_other := len(tree.files) - len(names):
        tree.notes.append(f"{n_other} files that are not images were skipped")
    has_splits = all("/" in name and name.split("/")[0].lower() in SPLIT_NAMES for name in names)
    rows = [(name, *_label_and_split(name, has_splits=has_splits)) for name in names]
    loose = [name for name, label, _ in rows if not label]
    if loose:
        raise UserError(
            f"{len(loose)} images are outside class folders, for example {loose[0]!r}", where,
            "put them into folders, one for each class",
        )  # fmt: skip
    classes = class_order(label for _, label, _ in rows)
    return Source(
        name=root.resolve().name if root.is_dir() else root.stem,
        classes=classes,
        fingerprint=digest("imagefolder", [[name, *facts] for name, facts in tree.files.items()]),
        items=partial(items_of, tree, rows),
        taxonomy=from_folders(classes),
        n_images=len(names),
        notes=tuple(tree.notes),
    )


def _label_and_split(name: str, *, has_splits: bool) -> tuple[str, str | None]:
    folder = name.rpartition("/")[0]
    if not has_splits:
        return folder, None
    top, _, rest = folder.partition("/")
    return rest, SPLIT_NAMES[top.lower()]


FORMAT = Format(
    name="imagefolder", title="Folder of images", explained="a folder for each class, nested or not",
    path="a folder or a zip", read=read,
)  # fmt: skip
