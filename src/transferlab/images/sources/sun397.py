"""``sun397:PATH``: one of the ten official partitions of SUN-397, 397 scenes.

Layout: SUN397.tar.gz and Partitions.zip of the SUN database (vision.princeton.edu/projects/2010/SUN).
"""

from __future__ import annotations

from collections import Counter

from transferlab.definitions import Parameter
from transferlab.errors import UserError
from transferlab.images.format import Format, Request
from transferlab.images.source import Source
from transferlab.images.sources.filetree import Row, listed
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.listing import class_order
from transferlab.images.sources.scenes import list_of, scene_of
from transferlab.taxonomy.readers import from_folders

LISTS = ("", "Partitions/", "SUN397/", "SUN397/Partitions/")
IMAGES = ("", "SUN397/")


def read(request: Request) -> Source:
    """50 training and 50 test images of each class; validation images are drawn from the training images.

    Raises:
        UserError: lists or images are missing; a list does not name each class equally often.
    """
    tree = tree_of(request.path, request.where)
    number = int(request.options["partition"])
    rows: list[Row] = []
    names = list_of(tree, LISTS, "ClassName.txt", "Partitions.zip")
    classes = class_order(scene_of(tree, names, line, line) for line in tree.lines(names))
    for split, word in (("train", "Training"), ("test", "Testing")):
        name = list_of(tree, LISTS, f"{word}_{number:02d}.txt", "Partitions.zip")
        lines = tree.lines(name)
        home = next((p for p in IMAGES if p + lines[0].lstrip("/") in tree.files), IMAGES[-1])
        of_split: list[Row] = [
            (home + line.lstrip("/"), scene_of(tree, name, line, line.rpartition("/")[0]), split) for line in lines
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
                "get the list again: partitions have equally many images of each class",
            )  # fmt: skip
        tree.must_have([file for file, _, _ in of_split], name)
        if twice := {file for file, _, _ in rows} & {file for file, _, _ in of_split}:
            raise UserError(
                f"{name} names {min(twice)}, which the training list named before", tree.where, "get both again"
            )
        rows += of_split
    notes = [f"official partition {number}"]
    return listed(tree, "sun397", rows, classes=classes, taxonomy=from_folders(classes), notes=notes)


FORMAT = Format(
    name="sun397", title="SUN-397", explained="scenes, in one of ten official partitions",
    path="the folder of `SUN397` and the lists, in `Partitions` or beside it", read=read,
    parameters={"partition": Parameter(means="the official partition", whole=True, low=1, high=10, default=1)},
)  # fmt: skip
