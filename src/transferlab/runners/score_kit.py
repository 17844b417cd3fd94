"""Reads the text files of PASCAL VOC's development kit: a detector's output, one file a class."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.bounded import listed, read_lines
from transferlab.images.coco_json import HUGE, Extent
from transferlab.runners.score_found import Detections
from transferlab.runners.score_truth import ByName, GroundTruth, some

KIT = re.compile(r"comp._det_(.+)\.txt")  # the set of images and the class, with _ between, which both may have too
MAX_FILE_BYTES = 1 << 28


@dataclass(frozen=True)
class Kit:
    """The files of a folder, or one file.

    Args:
        set: name of the set of images. files: class to file. alone: the file was given, not its folder.
        others: number of other files in the folder.
    """

    set: str
    files: Mapping[str, Path]
    alone: bool
    others: int = 0


def kit_files(path: Path) -> list[Path]:
    """The kit's text files at a path: the file itself or those in the folder; empty for JSON.

    Raises:
        UserError: no such path; a folder without such files, a text file of another name.
    """
    where = f"--detections {path}"
    if path.is_dir():
        files = [file for file in listed(path, where, ".txt") if _readings(file)]
        if not files:
            raise UserError("there are no files comp?_det_<set>_<class>.txt here", where,
                            "give the folder of the kit's results, or a JSON file of COCO's results")  # fmt: skip
        return files
    if not path.exists():
        raise UserError("there is no such file or folder", where, "check the path")
    if _readings(path):
        return [path]
    if path.suffix.lower() == ".txt":
        raise UserError(f"{path.name} does not say its set and class", where,
                        "name it as the development kit does: comp4_det_test_car.txt")  # fmt: skip
    return []


def kit_of(path: Path, files: Sequence[Path], classes: Callable[[], Collection[str]], lists: Collection[str]) -> Kit:
    """Find out which part of the names of files is the set, and which the class.

    It is the set that all of them can have, with classes that are known; of several, the one with a list of images.

    Args:
        files: from ``kit_files``. classes: gives the known classes. lists: names of the lists of images.

    Raises:
        UserError: several sets, several files of a class, or names that can be read in two ways.
    """
    where = f"--detections {path}"
    readings = [_readings(file) for file in files]
    possible = [name for name in readings[0] if all(name in of_file for of_file in readings)]
    if not possible:
        other = next(file for file, of_file in zip(files, readings, strict=True) if not set(of_file) & set(readings[0]))
        raise UserError(f"{files[0].name} and {other.name} are of different sets", where,
                        "keep one set of images in the folder")  # fmt: skip
    if len(possible) > 1:
        possible = _likely(possible, readings, set(classes()), lists)
    if len(possible) > 1:
        shown = " or ".join(f"of the set {name!r} and the class {readings[0][name]!r}" for name in possible[:2])
        raise UserError(f"{files[0].name} may be {shown}", where,
                        "name the class as the annotations do, or the set as a list in ImageSets/Main")  # fmt: skip
    of_class: dict[str, Path] = {}
    for file, of_file in zip(files, readings, strict=True):
        first = of_class.setdefault(of_file[possible[0]], file)
        if first != file:
            raise UserError(f"{first.name} and {file.name} are of one class", where,
                            "keep one competition and one set of images in the folder")  # fmt: skip
    others = len(listed(path, where)) - len(files) if path.is_dir() else 0
    return Kit(possible[0], of_class, path.is_file(), others)


def _likely(
    possible: Sequence[str], readings: Sequence[Mapping[str, str]], known: Collection[str], lists: Collection[str]
) -> list[str]:
    """The sets under which most classes are known; of several those with a list, if any."""
    counts = [sum(of_file[name] in known for of_file in readings) for name in possible]
    likely = [name for name, count in zip(possible, counts, strict=True) if count == max(counts)]
    return [name for name in likely if name in lists] or likely


def _readings(file: Path) -> dict[str, str]:
    """Set to class, for every way to read a file's name."""
    match = KIT.fullmatch(file.name)
    words = match[1].split("_") if match else []
    pairs = [("_".join(words[:n]), "_".join(words[n:])) for n in range(1, len(words))]
    return {name: label for name, label in pairs if name and label}


def read_kit(path: Path, kit: Kit, known: GroundTruth) -> Detections:
    """Read detections.

    Raises:
        UserError: a damaged file, an image or class that the ground truth does not have, boxes relative to the size of
            their images.
    """
    where = f"--detections {path}"
    place = ByName(known, where)
    notes = [f"{kit.others} other files in {path.name} are not used"] if kit.others else []
    found = Detections(list(kit.files), alone=kit.alone, notes=notes)
    extent = Extent()
    for label, file in enumerate(kit.files.values()):
        if known.categories and found.classes[label] not in known.classes:
            raise UserError(f"{file} is of the class {found.classes[label]!r}", where,
                            f"{known.path} has {some(known.classes)}")  # fmt: skip
        for number, line in enumerate(read_lines(file, MAX_FILE_BYTES, where), 1):
            if words := line.split():
                item = f"line {number} of {file}"
                score, *box = _numbers(words[1:], line, item, where)
                extent.add(box)
                # Pixels count from 1, and the box includes its last row and column.
                found.add(place(words[0], item), label, score, (box[0] - 1, box[1] - 1, box[2], box[3]))
    extent.must_be_pixels(path, where)
    return found


def _numbers(words: Sequence[str], line: str, item: str, where: str) -> tuple[float, float, float, float, float]:
    try:
        score, *box = map(float, words)
        left, top, right, bottom = box
    except ValueError:
        score, left, top, right, bottom = (math.nan,) * 5
    if not math.isfinite(score) or not all(abs(value) < HUGE for value in (left, top, right, bottom)):
        raise UserError(
            f"{item} is {line.strip()[:200]!r}", where, "image, score, xmin, ymin, xmax, ymax were expected"
        )
    return score, left, top, right, bottom
