"""``places365:PATH``: Places365-Standard, 1.8 million training images and 100 validation images of each of 365 scenes.

Layout: as its file lists (filelist_places365-standard.tar) and torchvision's ``datasets.Places365`` describe it. The
version sorted into folders (places365_standard) is an imagefolder.
"""

from __future__ import annotations

from transferlab.errors import UserError
from transferlab.images.format import Format, Request
from transferlab.images.source import Source
from transferlab.images.sources.filetree import Row, listed
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.scenes import list_of, scene_of
from transferlab.taxonomy.readers import from_folders

LISTS = ("", "filelist_places365-standard/", "places365_standard/", "devkit/")
ARCHIVE = "filelist_places365-standard.tar"
TRAIN = ("data_256/", "data_256_standard/", "data_large/", "data_large_standard/")
VAL = ("val_256/", "val_large/")


def read(request: Request) -> Source:
    """The splits are train and val.

    Raises:
        UserError: lists or images are missing; a class does not match its image's folder.
    """
    tree = tree_of(request.path, request.where, frozenset({"test_256", "test_large"}))
    names = list_of(tree, LISTS, "categories_places365.txt", ARCHIVE)
    classes = {place: scene_of(tree, names, line, line) for line, place in tree.rows(names, 2)}
    if sorted(classes) != sorted(map(str, range(len(classes)))):
        raise UserError(f"{names} does not number its classes from 0", tree.where, "get the list again")
    rows: list[Row] = []
    for split, word, homes in (("train", "train_standard", TRAIN), ("val", "val", VAL)):
        name = list_of(tree, LISTS, f"places365_{word}.txt", ARCHIVE)
        pairs = tree.rows(name, 2)
        files = [file.lstrip("/") for file, _ in pairs]
        home = next((p for p in homes if p + files[0] in tree.files), homes[0])
        for file, (line, place) in zip(files, pairs, strict=True):
            label = classes.get(place)
            if label is None or (split == "train" and scene_of(tree, name, line, line.rpartition("/")[0]) != label):
                raise UserError(
                    f"{name} gives {line} the class {place}", tree.where,
                    f"{names} has no such class" if label is None else f"in {names} that is {label}",
                )  # fmt: skip
            rows.append((home + file, label, split))
        tree.must_have([home + file for file in files], name)
    order = [classes[str(place)] for place in range(len(classes))]
    return listed(tree, "places365", rows, classes=order, taxonomy=from_folders(order))


FORMAT = Format(
    name="places365", title="Places365", explained="Places365-Standard, small or large images of scenes",
    path="the folder of the lists, the training and the validation images", read=read,
)  # fmt: skip
