"""``coco:PATH``: detection with COCO's annotations: one JSON file and a folder of images, or folders of splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from transferlab.errors import UserError
from transferlab.images.boxes import classes_in
from transferlab.images.coco_json import CocoSet, id_order, read_set
from transferlab.images.format import Format, Request, Text, existing
from transferlab.images.source import Item, Objects, Source, Unreadable
from transferlab.images.sources.coco_layout import Part, beside, notes_on_one, parts_of
from transferlab.images.sources.filetree import Tree, may_be_image, not_images
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.listing import digest_of_rows
from transferlab.text import number_of

NAMED = "the annotations name it"


class _Example(NamedTuple):
    key: str
    tree: Tree
    file: str  # "" if there is none, for the reason in ``lacks``
    split: str | None
    objects: Objects
    lacks: str = ""


def read(request: Request) -> Source:
    """Images with boxes; crowd regions are ignored, categories are the classes in the order of their ids.

    PATH is an annotation file or the folder of a layout in ``coco_layout``. The images of an annotation file are in the
    folder ``images=FOLDER``, else in one named after the last word of the file's name, else in ``images``, else beside the
    file. Without test annotations ``val`` is the test split. Images without annotations stay. Where files number their
    categories differently, names count.

    Raises:
        UserError: no annotations; as ``read_set``; files with different categories.
    """
    where, root, options = request.where, request.path, request.options
    notes: list[str] = []
    parts: Mapping[str | None, Part]
    if not root.is_dir():
        folder = existing(options["images"], "coco") if "images" in options else beside(root)
        parts = {None: Part(root, folder)}
        notes += notes_on_one(root, where)
    elif "images" in options:
        raise UserError("images=FOLDER needs a single annotation file", where, "name the JSON file, or leave it out")
    else:
        parts = {**parts_of(root, options.get("year", ""), where, notes)}
    sets = {split: read_set(part.file, where) for split, part in parts.items()}
    served = _served(sets, parts, notes)
    classes = _classes([sets[split] for split in served], [parts[split].file for split in served], where, notes)
    trees = {folder: tree_of(folder, where) for folder in {parts[split].folder for split in served}}
    examples: list[_Example] = []
    for split, as_split in served.items():
        file, folder = parts[split]
        found = list(_examples(sets[split], trees[folder], as_split, prefix=split or "", classes=classes))
        if not any(e.file for e in found):
            raise UserError(
                f"{folder} has none of the images of {file}", where, "name their folder with ?images=FOLDER"
            )
        examples += found
    _must_differ(examples, where)
    notes += [note for split in served for note in sets[split].notes]
    notes += _left_out(examples, trees, [part.file for part in parts.values()])
    stamps = [[e.key, e.tree.files.get(e.file), e.split, e.objects.flaws, e.objects.boxes] for e in examples]
    return Source(
        name=root.stem if root.is_file() else root.resolve().name,
        classes=classes,
        fingerprint=digest_of_rows("coco", list(classes), rows=stamps),
        items=partial(_items, examples),
        n_images=len(examples),
        multi_label=True,
        notes=tuple(notes),
        metric="AP",
    )


def _served(
    sets: Mapping[str | None, CocoSet], parts: Mapping[str | None, Part], notes: list[str]
) -> dict[str | None, str | None]:
    """Each set that is used to the split that its images become."""
    kept = list(sets)
    if "val" in sets and "test" in sets and not any(o.boxes or o.flaws for o in sets["test"].objects.values()):
        kept.remove("test")
        notes.append(f"{parts['test'].file.name} is skipped, because it has no objects")
    if "val" not in kept or "test" in kept:
        return {split: split for split in kept}
    notes.append("there are no test annotations, so the images of val are the test split")
    return {split: "test" if split == "val" else split for split in kept}


def _left_out(examples: Sequence[_Example], trees: Mapping[Path, Tree], annotations: Sequence[Path]) -> list[str]:
    """Notes on what the folders of images have besides the images that the annotations name."""
    notes: list[str] = []
    for folder, tree in trees.items():
        used = {e.file for e in examples if e.tree is tree}
        own = {file.relative_to(folder).as_posix() for file in annotations if file.is_relative_to(folder)}
        others = {name: facts for name, facts in tree.files.items() if name not in used and name not in own}
        images = [name for name in others if may_be_image(name)]
        notes += [*tree.notes, *not_images(replace(tree, files=others), images)]
        if images:
            unnamed = f"in {folder.name} that no annotation file names"
            what = number_of(len(images), f"image {unnamed} is", f"images {unnamed} are")
            notes.append(f"{what} left out, for example {images[0]}")
    return list(dict.fromkeys(notes))


def _items(examples: Sequence[_Example]) -> Iterator[Item]:
    for key, tree, file, split, objects, lacks in examples:
        present, ignored = classes_in(box for box in objects.boxes if not box.flaw)
        data = tree.content(file) if file else Unreadable(f"missing ({lacks})")
        yield Item(key, data, present, split, ignored, objects=objects)


def _classes(sets: Sequence[CocoSet], files: Sequence[Path], where: str, notes: list[str]) -> tuple[str, ...]:
    """The names of categories with an object that is not ignored, in the order of the first file's ids."""
    for one, file in zip(sets[1:], files[1:], strict=True):
        _must_fit((sets[0], one), (files[0], file), where, notes)
    objects = [objects for one in sets for objects in one.objects.values()]
    present = {name for o in objects for name in classes_in(b for b in o.boxes if not b.flaw)[0]}
    if not present:
        raise UserError(f"{files[0]} has no usable object", where, "an annotation file with objects was expected")
    names = dict.fromkeys(name for one in sets for name in _in_order(one))
    if empty := [name for name in names if name not in present]:
        what = number_of(len(empty), "category without objects is", "categories without objects are")
        notes.append(f"{what} left out, for example {empty[0]!r}")
    same = [(id_, name) for one in sets for id_, name in one.unused.items() if name in one.categories.values()]
    if same:
        notes.append(
            f"the category {same[0][0]} has no objects, and another has its name {same[0][1]!r}: it is left out"
        )
    return tuple(name for name in names if name in present)


def _in_order(one: CocoSet) -> list[str]:
    """The names of all categories in the order of their ids; that of a category with objects counts where two have one."""
    others = {id_: name for id_, name in one.unused.items() if name not in one.categories.values()}
    listed = {**others, **one.categories}
    return [listed[id_] for id_ in sorted(listed, key=id_order)]


def _must_fit(sets: tuple[CocoSet, CocoSet], files: tuple[Path, Path], where: str, notes: list[str]) -> None:
    """Refuse two files in which an id has two names, unless all names of one are in the other; remark on other ids."""
    used = [set(one.categories.values()) for one in sets]
    listed = [{*one.categories.values(), *one.unused.values()} for one in sets]
    first, second = (one.categories for one in sets)
    odd = next((id_ for id_ in first if id_ in second and first[id_] != second[id_]), None)
    if odd is not None and not (used[1] <= listed[0] or used[0] <= listed[1]):
        raise UserError(
            f"{files[0]} and {files[1]} have different categories: {odd} is {first[odd]!r} in one and {second[odd]!r} in the "
            "other", where, "give every category one id and one name in both files",
        )  # fmt: skip
    ids = [{name: id_ for id_, name in one.categories.items()} for one in sets]
    if other := [name for name in ids[0] if ids[1].get(name, ids[0][name]) != ids[0][name]]:
        notes.append(f"{files[0].name} and {files[1].name} number {len(other)} categories differently, for example "
                     f"{other[0]!r} as {ids[0][other[0]]} and {ids[1][other[0]]}; their names count")  # fmt: skip
    if new := sorted(used[1] - listed[0]):
        notes.append(
            f"{files[1].name} has {len(new)} categories that {files[0].name} does not have, for example {new[0]!r}"
        )


def _examples(
    one: CocoSet, tree: Tree, split: str | None, *, prefix: str, classes: Sequence[str]
) -> Iterator[_Example]:
    present, ends = frozenset(classes), _ends(tree)
    for image in one.images:
        named = image.file_name.removeprefix("./")
        if named not in tree.files:
            named = named.replace("\\", "/")  # written on Windows
        # Some files give a longer path than the folder has, others a shorter one.
        same = (
            [named] if named in tree.files else [*ends.get(named, ()), *(p for p in _shorter(named) if p in tree.files)]
        )
        lacks = (
            ""
            if len(same) == 1
            else "the annotations name it, and the paths of several files end so"
            if same
            else NAMED
        )
        objects = one.objects[image.id]
        kept = tuple(box for box in objects.boxes if box.label in present or box.flaw)
        kept_objects = Objects(objects.size, kept, objects.flaws)
        key = f"{prefix}/{named}" if prefix else named
        yield _Example(key, tree, "" if lacks else same[0], split, kept_objects, lacks)


def _ends(tree: Tree) -> dict[str, list[str]]:
    """The shorter forms of the paths of images, each with the first two images that have it."""
    found: dict[str, list[str]] = {}
    for name in filter(may_be_image, tree.files):
        for end in _shorter(name):
            held = found.setdefault(end, [])
            if len(held) < 2:
                held.append(name)
    return found


def _shorter(path: str) -> Iterator[str]:
    """A path without its first folder, without its first two, and so on."""
    while "/" in path:
        path = path.partition("/")[2]
        yield path


def _must_differ(examples: Sequence[_Example], where: str) -> None:
    """Raises UserError if images are in several splits."""
    splits: dict[tuple[int, str], dict[str | None, str]] = {}
    for e in examples:
        if e.file:
            splits.setdefault((id(e.tree), e.file), {})[e.split] = e.key
    if both := [named for named in splits.values() if len(named) > 1]:
        raise UserError(
            f"{number_of(len(both), 'image is', 'images are')} in the splits {' and '.join(map(str, both[0]))}, for example "
            f"{' and '.join(both[0].values())}",
            where, "give every image to one split",
        )  # fmt: skip


FORMAT = Format(
    name="coco", title="COCO", explained="objects with boxes, annotated in COCO's JSON",
    path="an annotation file, or the folder of `annotations`, `train2017` and `val2017`", tasks=("detection",), read=read,
    parameters={"images": Text(means="the folder of an annotation file's images"),
                "year": Text(means="which year of several in COCO's folder")},
)  # fmt: skip
