"""``coco:PATH``: detection with COCO's annotations: one JSON file and a folder of images, or COCO's own folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.boxes import classes_in
from transferlab.images.coco_json import CocoSet, read_set
from transferlab.images.format import Format, Request, Text, existing
from transferlab.images.source import Item, Objects, Source, Unreadable
from transferlab.images.sources.filetree import Tree, may_be_image
from transferlab.images.sources.folder_or_zip import tree_of

SPLITS = ("train", "val", "test")


class _Example(NamedTuple):
    key: str
    tree: Tree
    file: str  # "" if it is missing
    split: str | None
    objects: Objects


def read(request: Request) -> Source:
    """Images with boxes; crowd regions are ignored, categories are the classes in the order of their ids.

    PATH is an annotation file or COCO's folder. The images of an annotation file are in the folder ``images=FOLDER``,
    else in one named after the last word of the file's name, else in ``images``, else beside the file. Without test
    annotations ``val`` is the test split. Images without annotations stay.

    Raises:
        UserError: no annotations; as ``read_set``; files of one year with different categories.
    """
    where, root, options = request.where, request.path, request.options
    notes: list[str] = []
    if root.is_dir():
        parts = _parts(request)
        with_test = "test" in parts or "val" not in parts
        if not with_test:
            notes.append("there are no test annotations, so the images of val are the test split")
    else:
        folder = existing(options["images"], "coco") if "images" in options else _beside(root)
        parts, with_test = {None: (root, folder)}, True
    sets = {split: read_set(file, where) for split, (file, _) in parts.items()}
    classes = _classes(list(sets.values()), [file for file, _ in parts.values()], where, notes)
    examples: list[_Example] = []
    for split, (file, folder) in parts.items():
        served = "test" if split == "val" and not with_test else split
        examples += _examples(sets[split], tree_of(folder, where), served, prefix=split or "", classes=classes)
        if not any(e.file for e in examples):
            raise UserError(
                f"{folder} has none of the images of {file}", where, "name their folder with ?images=FOLDER"
            )
    stamps = [[e.key, e.tree.files.get(e.file), e.split, e.objects.flaws, e.objects.boxes] for e in examples]
    return Source(
        name=root.stem if root.is_file() else root.resolve().name,
        classes=classes,
        fingerprint=digest("coco", list(classes), stamps),
        items=partial(_items, examples),
        n_images=len(examples),
        multi_label=True,
        notes=tuple(notes),
        metric="AP",
    )


def _items(examples: Sequence[_Example]) -> Iterator[Item]:
    for key, tree, file, split, objects in examples:
        present, ignored = classes_in(box for box in objects.boxes if not box.flaw)
        data = tree.content(file) if file else Unreadable("missing (the annotations name it)")
        yield Item(key, data, present, split, ignored, objects=objects)


def _parts(request: Request) -> dict[str | None, tuple[Path, Path]]:
    """Split to annotation file and folder of images, in COCO's layout."""
    root, where = request.path, request.where
    if "images" in request.options:
        raise UserError("images=FOLDER needs a single annotation file", where, "name the JSON file, or leave it out")
    found: dict[str, dict[str, Path]] = {}
    for file in sorted((root / "annotations").glob("instances_*.json")):
        if match := re.fullmatch(r"instances_(train|val|test)(\d*)\.json", file.name):
            found.setdefault(match[2], {})[match[1]] = file
    year = request.options.get("year", "")
    if not found or (year and year not in found):
        raise UserError(
            f"there is no annotations/instances_train{year or '<year>'}.json", where,
            "give COCO's folder, or one annotation file with ?images=FOLDER",
        )  # fmt: skip
    if len(found) > 1 and not year:
        raise UserError(
            f"there are annotations of the years {', '.join(found)}", where, f"choose one with ?year={max(found)}"
        )
    year = year or next(iter(found))
    parts: dict[str | None, tuple[Path, Path]] = {}
    for split in SPLITS:
        if split in found[year]:
            folders = [root / f"{split}{year}", root / "images" / f"{split}{year}"]
            folder = next((f for f in folders if f.is_dir()), None)
            if folder is None:
                raise UserError(f"the folder {split}{year} is not there", where, "put the images beside annotations")
            parts[split] = found[year][split], folder
    return parts


def _beside(file: Path) -> Path:
    """The folder of an annotation file's images if no option names it."""
    last = re.split(r"[_.]", file.stem)[-1]
    places = [place / name for place in (file.parent, file.parent.parent) for name in (last, "images")]
    return next((place for place in places if place.is_dir()), file.parent)


def _classes(sets: Sequence[CocoSet], files: Sequence[Path], where: str, notes: list[str]) -> tuple[str, ...]:
    """The categories with an object that is not ignored."""
    for one, file in zip(sets, files, strict=True):
        if one.categories != sets[0].categories:
            raise UserError(f"{file} and {files[0]} have different categories", where, "get files of one year")
    objects = [objects for one in sets for objects in one.objects.values()]
    present = {name for o in objects for name in classes_in(b for b in o.boxes if not b.flaw)[0]}
    if not present:
        raise UserError(f"{files[0]} has no usable object", where, "an annotation file with objects was expected")
    if empty := [name for name in sets[0].categories.values() if name not in present]:
        notes.append(f"{len(empty)} categories without objects are left out, for example {empty[0]!r}")
    return tuple(name for name in sets[0].categories.values() if name in present)


def _examples(
    one: CocoSet, tree: Tree, split: str | None, *, prefix: str, classes: Sequence[str]
) -> Iterator[_Example]:
    by_last: dict[str, list[str]] = {}
    for name in tree.files:
        if may_be_image(name):
            by_last.setdefault(name.rpartition("/")[2], []).append(name)
    for image in one.images:
        named = image.file_name.removeprefix("./")
        # Some files give a longer path than the folder has, others a shorter one.
        same = [
            name for name in by_last.get(named.rpartition("/")[2], [])
            if name == named or name.endswith(f"/{named}") or named.endswith(f"/{name}")
        ]  # fmt: skip
        file = named if named in tree.files else same[0] if len(same) == 1 else ""
        objects = one.objects[image.id]
        kept = tuple(box for box in objects.boxes if box.label in classes or box.flaw)
        kept_objects = Objects(objects.size, kept, objects.flaws)
        yield _Example(f"{prefix}/{named}" if prefix else named, tree, file, split, kept_objects)


FORMAT = Format(
    name="coco", title="COCO", explained="objects with boxes, annotated in COCO's JSON",
    path="an annotation file, or the folder of `annotations`, `train2017` and `val2017`", tasks=("detection",), read=read,
    parameters={"images": Text(means="the folder of an annotation file's images"),
                "year": Text(means="which year of several in COCO's folder")},
)  # fmt: skip
