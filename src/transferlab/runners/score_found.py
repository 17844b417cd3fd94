"""Reads a detector's output: COCO's results in JSON, or the text files of PASCAL VOC's development kit."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from transferlab.errors import UserError
from transferlab.images.coco_json import box_of, field_of, read_json, whole
from transferlab.runners.score_truth import GroundTruth, stem
from transferlab.transfer.detect.metrics import Found

KIT = re.compile(r"comp._det_([^_]+)_(.+)\.txt")  # the set of images and the class


@dataclass(frozen=True)
class Detection:
    """A detection: position of its image, class name, score, edges in pixels."""

    image: int
    label: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Detections:
    """A detector's output, in the order of its files.

    Args:
        classes: names of all classes in the output, also those without detections.
        alone: the output is one file of one class, which cannot be scored for others.
    """

    all: Sequence[Detection]
    classes: tuple[str, ...]
    alone: bool = False

    def found(self, classes: Sequence[str]) -> Found:
        """The detections of these classes, labelled by position in ``classes``."""
        index = {name: c for c, name in enumerate(classes)}
        chosen = [one for one in self.all if one.label in index]
        return Found(
            np.array([one.image for one in chosen], np.int32), np.array([index[one.label] for one in chosen], np.int32),
            np.array([one.score for one in chosen], np.float64),
            np.array([one.box for one in chosen], np.float64).reshape(-1, 4),
        )  # fmt: skip


def kit_files(path: Path) -> list[Path]:
    """The kit's text files at a path: the file itself or those in the folder; empty for JSON.

    Raises:
        UserError: no such path; a folder without such files, or with several of one class.
    """
    where = f"--detections {path}"
    if path.is_file():
        if KIT.fullmatch(path.name):
            return [path]
        if path.suffix.lower() == ".txt":
            raise UserError(f"{path.name} does not say its set and class", where,
                            "name it as the development kit does: comp4_det_test_car.txt")  # fmt: skip
        return []
    if not path.is_dir():
        raise UserError("there is no such file or folder", where, "check the path")
    files = sorted(file for file in path.iterdir() if file.is_file() and KIT.fullmatch(file.name))
    if not files:
        raise UserError("there are no files comp?_det_<set>_<class>.txt here", where,
                        "give the folder of the kit's results, or a JSON file of COCO's results")  # fmt: skip
    of_class: dict[str, Path] = {}
    for file in files:
        label = _set_and_class(file)[1]
        if label in of_class:
            raise UserError(f"{of_class[label].name} and {file.name} are of one class", where,
                            "keep one competition and one set of images in the folder")  # fmt: skip
        of_class[label] = file
    return files


def sets_of(files: Sequence[Path]) -> list[str]:
    """The sets of images that the kit's files name."""
    return list(dict.fromkeys(_set_and_class(file)[0] for file in files))


def read_found(path: Path, files: Sequence[Path], known: GroundTruth) -> Detections:
    """Read detections.

    Args:
        files: from ``kit_files``.

    Raises:
        UserError: a damaged file, or an image or class that the ground truth does not have.
    """
    if not files:
        return _from_json(path, known)
    where = f"--detections {path}"
    place = _by_name(known, where)
    found = [one for file in files for one in _lines(file, known, place, where)]
    return Detections(found, tuple(_set_and_class(file)[1] for file in files), alone=path.is_file())


def _set_and_class(file: Path) -> tuple[str, str]:
    name = KIT.fullmatch(file.name)
    assert name, "one of kit_files"
    return name[1], name[2]


def _lines(file: Path, known: GroundTruth, place: Callable[[str, str], int], where: str) -> list[Detection]:
    """Read lines of image, score, xmin, ymin, xmax, ymax; pixels count from 1, and the box includes its last row and column."""
    label = _set_and_class(file)[1]
    if known.categories and label not in known.classes:
        raise UserError(f"{file} is of the class {label!r}", where, f"{known.path} has {_some(known.classes)}")
    try:
        lines = file.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}", where, "a text in UTF-8 was expected") from error
    found: list[Detection] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        item = f"line {number} of {file}"
        try:
            score, left, top, right, bottom = map(float, words[1:])
        except ValueError:
            score, left, top, right, bottom = (math.nan,) * 5
        if not all(map(math.isfinite, (score, left, top, right, bottom))):
            raise UserError(f"{item} is {line.strip()!r}", where, "image, score, xmin, ymin, xmax, ymax were expected")
        found.append(Detection(place(words[0], item), label, score, (left - 1, top - 1, right, bottom)))
    return found


def _by_name(known: GroundTruth, where: str) -> Callable[[str, str], int]:
    """A function from an image's name in a detector's output to its position."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(known.images):
        by_name[name].append(i)

    def place(name: str, item: str) -> int:
        same = by_name.get(name) or by_name.get(stem(name), [])
        if not same and name.isascii() and name.isdigit() and int(name) in known.ids:
            same = [known.ids[int(name)]]
        if len(same) != 1:
            has = f"of which the ground truth has {len(same)}" if same else "which the ground truth does not have"
            raise UserError(f"{item} is of image {name!r}, {has}", where, _expected(known))
        return same[0]

    return place


def _expected(known: GroundTruth) -> str:
    first = f", the first is {known.images[0]!r}" if known.images else ""
    return f"{known.path} has {len(known.images):,} images{first}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _from_json(path: Path, known: GroundTruth) -> Detections:
    """Read a list of {image_id, category_id, bbox, score}, or a dictionary with such a list as ``annotations``."""
    where = f"--detections {path}"
    held = read_json(path, where)
    results: Any = cast("dict[str, Any]", held).get("annotations") if isinstance(held, dict) else held
    if not isinstance(results, list):
        raise UserError(f"{path} is neither a list of results nor has it a list 'annotations'", where,
                        "COCO's results are a list of {image_id, category_id, bbox, score}")  # fmt: skip
    image_names = _names(held, "images", "file_name", path, where)
    class_names = _names(held, "categories", "name", path, where)
    place, label = _place(known, image_names, where), _label(known, class_names, path, where)
    found: list[Detection] = []
    for number, one in enumerate(cast("list[Any]", results)):
        item = f"result {number} of {path}"
        score = field_of(one, "score", item, where)
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not abs(score) < math.inf:
            raise UserError(f"the score of {item} is {score!r}", where, "a number was expected")
        box = box_of(field_of(one, "bbox", item, where), item, where)
        image = place(field_of(one, "image_id", item, where), item)
        found.append(Detection(image, label(field_of(one, "category_id", item, where), item), float(score), box))
    return Detections(found, tuple(sorted({one.label for one in found})))


def _names(held: Any, key: str, name: str, path: Path, where: str) -> dict[int, str]:
    """Names of ids that a results dictionary defines itself; empty if it defines none."""
    listed = cast("dict[str, Any]", held).get(key) if isinstance(held, dict) else None
    if not isinstance(listed, list):
        return {}
    found: dict[int, str] = {}
    for number, one in enumerate(cast("list[Any]", listed)):
        item = f"number {number} of {key} in {path}"
        id_ = whole(field_of(one, "id", item, where), f"the id of {item}", where)
        found[id_] = str(field_of(one, name, item, where))
    return found


def _place(known: GroundTruth, names: Mapping[int, str], where: str) -> Callable[[Any, str], int]:
    """A function from an image_id (COCO's number or a name; for VOC also the name as a number) to a position."""
    by_name = _by_name(known, where)
    as_number: dict[int, list[int]] = defaultdict(list)
    for i, name in enumerate(known.images):
        digits = name.replace("_", "")
        if not known.ids and digits.isascii() and digits.isdigit():
            as_number[int(digits)].append(i)

    def place(id_: Any, item: str) -> int:
        if isinstance(id_, str):
            return by_name(id_, item)
        number = whole(id_, f"the image_id of {item}", where)
        if number in known.ids:
            return known.ids[number]
        if not known.ids and number in names:
            return by_name(names[number], item)
        if len(as_number.get(number, ())) == 1:
            return as_number[number][0]
        raise UserError(f"{item} is of image {number}, which the ground truth does not have", where, _expected(known))

    return place


def _label(known: GroundTruth, names: Mapping[int, str], path: Path, where: str) -> Callable[[Any, str], str]:
    """A function from a category_id (COCO's number or a name) to a class; for VOC the results must define numbers."""
    for id_, name in names.items():
        if known.categories and known.categories.get(id_, name) != name:
            raise UserError(f"{path} calls category {id_} {name!r}", where,
                            f"in {known.path} it is {known.categories[id_]!r}: use the same categories")  # fmt: skip

    def label(id_: Any, item: str) -> str:
        if isinstance(id_, str) and (not known.categories or id_ in known.classes):
            return id_
        if isinstance(id_, str):
            raise UserError(f"the category_id of {item} is {id_!r}", where, f"{known.path} has {_some(known.classes)}")
        number = whole(id_, f"the category_id of {item}", where)
        found = (known.categories or names).get(number)
        if found is None:
            has = f"{known.path} has {_some([f'{i} {name}' for i, name in known.categories.items()])}"
            raise UserError(f"{item} is of category {number}, which has no name", where, has if known.categories else
                            "with annotations of VOC, write class names as category_id, or add a list 'categories'")  # fmt: skip
        return found

    return label
