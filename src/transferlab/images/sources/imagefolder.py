"""``imagefolder:PATH``: a folder for each class, nested or not, with or without split folders; or a zip of such a tree."""

from __future__ import annotations

from functools import partial

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Format, Request, Text
from transferlab.images.source import Source
from transferlab.images.sources.filetree import items_of, may_be_image, not_images
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.listing import class_order
from transferlab.images.sources.split_names import given
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
    if not names:
        raise UserError("there are no images here", where, "put them into folders, one for each class")
    notes = [*tree.notes, *not_images(tree, names)]
    found = given(names, where, choice)
    rows = [
        (name, label, split)
        for name, label, split, out in zip(names, found.folders, found.splits, found.left_out, strict=True) if not out
    ]  # fmt: skip
    if n_out := len(names) - len(rows):
        outside = f"outside the folders {choice.replace(',', ' and ')}"
        notes.append(f"{number_of(n_out, f'image {outside} was', f'images {outside} were')} left out")
    loose = [name for name, label, _ in rows if not label]
    if loose:
        raise UserError(
            f"{number_of(len(loose), 'image is', 'images are')} outside class folders, for example {loose[0]!r}", where,
            "put them into folders, one for each class" + (", or leave them out: ?splits=train" if found.how else ""),
        )  # fmt: skip
    classes = class_order(label for _, label, _ in rows)
    return Source(
        name=root.resolve().name if root.is_dir() else root.stem,
        classes=classes,
        fingerprint=digest(
            "imagefolder", [[name, *tree.files[name]] for name in names], *filter(None, [found.how, choice])
        ),
        items=partial(items_of, tree, rows),
        taxonomy=from_folders(classes),
        n_images=len(rows),
        stated=found.how,
        notes=(*notes, *found.remarks),
    )


FORMAT = Format(
    name="imagefolder", title="Folder of images", explained="a folder for each class, nested or not",
    path="a folder or a zip", read=read,
    parameters={"splits": Text(means="folders that alone are splits, with commas between them, or `no`")},
)  # fmt: skip
