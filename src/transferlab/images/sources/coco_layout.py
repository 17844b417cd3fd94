"""Where annotation files and images of a data set in COCO's JSON are: COCO's own layout and those of common tools.

``annotations/instances_train2017.json`` or ``annotations/train.json`` with folders of images named alike, or one folder
``images``; or, as Roboflow exports it, ``train/_annotations.coco.json`` beside its images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from transferlab.errors import UserError
from transferlab.images.bounded import listed
from transferlab.images.sources.split_names import is_split, split_in, words_of

SPLITS = ("train", "val", "test")
INSIDE = "_annotations.coco.json"  # Roboflow's


class Part(NamedTuple):
    """An annotation file and the folder of its images."""

    file: Path
    folder: Path


def parts_of(root: Path, year: str, where: str, notes: list[str]) -> dict[str, Part]:
    """Split to its part, train first; notes tell which other JSON files are there.

    Raises:
        UserError: no annotations; several years, of which none is chosen; several files of one split; no images.
    """
    files = listed(root / "annotations", where, ".json") or listed(root, where, ".json")
    instances = [file for file in files if file.name.lower().startswith("instances")]
    inside = list(_inside(root, where))
    by_year: dict[str, dict[str, list[Path]]] = {}
    for file in instances or files:
        if split := split_in(file.stem):
            by_year.setdefault(_year(file.stem), {}).setdefault(split, []).append(file)
    if by_year:
        found = _of_year(by_year, year, where)
        parts = {s: Part(file, _images_of(root, file, s, where)) for s, file in found.items()}
    else:
        parts = {s: Part(f, f.parent) for s, f in _one_each(_by_split(inside), where).items() if not year}
        bare = [folder.name for folder in _split_folders(root, where) if folder not in {f.parent for f in inside}]
        if bare and parts:
            notes.append(f"folders without one annotation file are left out: {', '.join(bare)}")
    if not parts:
        raise UserError(
            f"there is no annotations/instances_train{year or '<year>'}.json", where,
            "give COCO's folder, or one annotation file with ?images=FOLDER",
        )  # fmt: skip
    used = {part.file for part in parts.values()}
    notes += _unused([file for file in (*files, *inside) if file not in used])
    return {split: parts[split] for split in SPLITS if split in parts}


def beside(file: Path) -> Path:
    """The folder of an annotation file's images if no option names it."""
    last = re.split(r"[_.]", file.stem)[-1]
    places = [place / name for place in (file.parent, file.parent.parent) for name in (last, "images")]
    return next((place for place in places if place.is_dir()), file.parent)


def notes_on_one(file: Path, where: str) -> list[str]:
    """A note on the annotation files of other splits beside a file that is given alone."""
    within = is_split(file.parent.name)
    others = (
        _inside(file.parent.parent, where)
        if within
        else (f for f in listed(file.parent, where, ".json") if split_in(f.stem))
    )
    found = [other for other in others if other != file]
    return [f"{note}; give the folder to use them as splits" for note in _unused(found)]


def _unused(files: Sequence[Path]) -> list[str]:
    names = [f"{file.parent.name}/{file.name}" for file in files]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"JSON files that are not used: {', '.join(names[:3])}{more}"] if names else []


def _inside(root: Path, where: str) -> Iterator[Path]:
    """Annotation files in folders that are named after splits."""
    for folder in _split_folders(root, where):
        files = listed(folder, where, ".json")
        named = [file for file in files if file.name == INSIDE]
        yield from named or (files if len(files) == 1 else [])


def _split_folders(root: Path, where: str) -> list[Path]:
    return [folder for folder in listed(root, where) if is_split(folder.name) and folder.is_dir()]


def _by_split(files: Sequence[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(split_in(file.parent.name) or "", []).append(file)
    return found


def _year(name: str) -> str:
    match = re.search(r"(?<!\d)\d{4}$", name)
    return match[0] if match else ""


def _of_year(by_year: dict[str, dict[str, list[Path]]], year: str, where: str) -> dict[str, Path]:
    if len(by_year) > 1 and not year:
        names = [one or "none" for one in sorted(by_year)]
        raise UserError(
            f"there are annotations of the years {', '.join(names)}", where, f"choose one with ?year={max(by_year)}"
        )
    return _one_each(by_year.get(year or next(iter(by_year)), {}), where)


def _one_each(by_split: dict[str, list[Path]], where: str) -> dict[str, Path]:
    """One file of each split, that with the plainest name; raises UserError if several are as plain."""
    found: dict[str, Path] = {}
    for split, files in by_split.items():
        ranked = sorted(files, key=_rank)
        if len(ranked) > 1 and _rank(ranked[0]) == _rank(ranked[1]):
            shown = " and ".join(f"{file.parent.name}/{file.name}" for file in ranked[:2])
            raise UserError(f"{shown} are both of the split {split}", where, "keep one of them there")
        found[split] = ranked[0]
    return found


def _rank(file: Path) -> tuple[bool, bool]:
    """Smaller for a name that is the split's and nothing else, and for train than for trainval, which has val too."""
    name = file.parent.name if file.name == INSIDE else re.sub("^instances", "", file.stem, flags=re.I)
    return not is_split(name), "trainval" in words_of(name)


def _images_of(root: Path, file: Path, split: str, where: str) -> Path:
    """The folder named as the file or its split, else ``images``; raises UserError if there is none."""
    year, last = _year(file.stem), re.split(r"[_.]", file.stem)[-1]
    for place in (root, root / "images"):
        folders = [folder for folder in listed(place, where) if folder.is_dir()]
        same = [f for f in folders if f.name in (last, f"{split}{year}")]
        alike = [f for f in folders if is_split(f.name) and split_in(f.name) == split and _year(f.name) in (year, "")]
        if found := same or alike:
            if len(found) > 1:
                names = " and ".join(folder.name for folder in found)
                raise UserError(
                    f"the folders {names} may both have the images of {file.name}", where, "keep one of them there"
                )
            return found[0]
    if (root / "images").is_dir():
        return root / "images"
    raise UserError(f"the folder {split}{year} is not there", where, "put the images beside annotations")
