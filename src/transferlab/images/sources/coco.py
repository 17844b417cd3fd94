"""``coco:PATH``: detection by COCO's annotations, one JSON file with a folder of images, or COCO's own folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.boxes import classes_in
from transferlab.images.coco_json import CocoSet, read_set
from transferlab.images.source import Item, Objects, Source, Unreadable
from transferlab.images.sources.filetree import Tree, may_be_image, tree_of
from transferlab.images.sources.listing import existing

SPLITS = ("train", "val", "test")


class _Example(NamedTuple):
    key: str
    tree: Tree
    file: str  # "" if it is not there
    split: str | None
    objects: Objects


def read(path: str, options: Mapping[str, str]) -> Source:
    """Images with boxes; crowd regions are ignored ones, categories are the classes in the order of their ids.

    PATH is an annotation file, with ``images`` the folder of its images (else the folder named like the file's last word,
    ``images``, or the file's own), or COCO's folder: ``annotations/instances_train2017.json`` and ``train2017``, of which
    ``year`` chooses one of several. Without test annotations ``val`` is the test split. Images without annotations stay.

    Raises:
        UserError: no annotations; whatever ``read_set`` finds wrong; files of one year with other categories.
    """
    where, root = f"coco:{path}", existing(path, "coco")
    notes: list[str] = []
    if root.is_dir():
        parts = _parts(root, options, where)
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
                f"none of the images of {file} lies in {folder}", where, "name their folder with ?images=FOLDER"
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


def _parts(root: Path, options: Mapping[str, str], where: str) -> dict[str | None, tuple[Path, Path]]:
    """Split to annotation file and folder of images, in COCO's layout."""
    if "images" in options:
        raise UserError("images=FOLDER goes with one annotation file", where, "name the JSON file, or leave it out")
    found: dict[str, dict[str, Path]] = {}
    for file in sorted((root / "annotations").glob("instances_*.json")):
        if told := re.fullmatch(r"instances_(train|val|test)(\d*)\.json", file.name):
            found.setdefault(told[2], {})[told[1]] = file
    year = options.get("year", "")
    if not found or (year and year not in found):
        raise UserError(
            f"there is no annotations/instances_train{year or '<year>'}.json", where,
            "give COCO's folder, or one annotation file with ?images=FOLDER",
        )  # fmt: skip
    if len(found) > 1 and not year:
        raise UserError(f"there are annotations of {', '.join(found)}", where, f"choose one with ?year={max(found)}")
    year = year or next(iter(found))
    parts: dict[str | None, tuple[Path, Path]] = {}
    for split in SPLITS:
        if split in found[year]:
            folders = [root / f"{split}{year}", root / "images" / f"{split}{year}"]
            folder = next((f for f in folders if f.is_dir()), None)
            if folder is None:
                raise UserError(f"the folder {split}{year} is not there", where, "lay the images beside annotations")
            parts[split] = found[year][split], folder
    return parts


def _beside(file: Path) -> Path:
    """The folder of an annotation file's images where none is named."""
    last = re.split(r"[_.]", file.stem)[-1]
    places = [place / name for place in (file.parent, file.parent.parent) for name in (last, "images")]
    return next((place for place in places if place.is_dir()), file.parent)


def _classes(sets: Sequence[CocoSet], files: Sequence[Path], where: str, notes: list[str]) -> tuple[str, ...]:
    """The categories of which an object counts."""
    for one, file in zip(sets, files, strict=True):
        if one.categories != sets[0].categories:
            raise UserError(f"{file} and {files[0]} have different categories", where, "get files of one year")
    objects = [objects for one in sets for objects in one.objects.values()]
    present = {name for o in objects for name in classes_in(b for b in o.boxes if not b.flaw)[0]}
    if not present:
        raise UserError(
            f"{files[0]} has no object that can be used", where, "an annotation file with objects was expected"
        )
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
        # Some files name images from the folder above theirs on, others lie in folders that the file does not name.
        same = [
            name for name in by_last.get(named.rpartition("/")[2], [])
            if name == named or name.endswith(f"/{named}") or named.endswith(f"/{name}")
        ]  # fmt: skip
        file = named if named in tree.files else same[0] if len(same) == 1 else ""
        objects = one.objects[image.id]
        kept = tuple(box for box in objects.boxes if box.label in classes or box.flaw)
        told = Objects(objects.size, kept, objects.flaws)
        yield _Example(f"{prefix}/{named}" if prefix else named, tree, file, split, told)
