"""Annotations in COCO's JSON: images, categories, and each image's boxes with crowd flags and areas.

Format: cocodataset.org/#format-data. A box is [x, y, width, height], its corner and size in continuous pixels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.images.source import Box, Objects

HUGE = 1e6  # no coordinate is as large


@dataclass(frozen=True)
class CocoImage:
    """An image of the file; its size is width and height, or None where they are not given."""

    id: int
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class CocoSet:
    """A file's content.

    Args:
        images: in the file's order.
        categories: id to name, in the order of the ids.
        objects: image id to what is annotated there, for every image.
    """

    images: tuple[CocoImage, ...]
    categories: Mapping[int, str]
    objects: Mapping[int, Objects]


def read_json(path: Path, where: str) -> Any:
    """A JSON file; polygons and masks, most of COCO's bytes, are dropped as they are read.

    Raises:
        UserError: it cannot be read, or is no JSON in UTF-8.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"), object_hook=_without_masks)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", where, "check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8", where, "a JSON file was expected: get it again") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {error}", where, "copy the whole file, or get it again") from error


def _without_masks(found: dict[str, Any]) -> dict[str, Any]:
    found.pop("segmentation", None)
    return found


def read_set(path: Path, where: str) -> CocoSet:
    """An annotation file.

    Objects that cannot be used are told with their image (no area, swapped corners, a category that is not in the file);
    all else that is wrong is an error of the file.

    Raises:
        UserError: as ``read_json``; a list that is missing, an id or name twice, an annotation of an unknown image,
            numbers that are none.
    """
    held = read_json(path, where)
    images = tuple(
        _image(one, f"image {n} of {path}", where) for n, one in enumerate(_list(held, "images", path, where))
    )
    names = [_category(one, f"category {n} of {path}", where)
             for n, one in enumerate(_list(held, "categories", path, where))]  # fmt: skip
    _must_differ([image.id for image in images], "image id", path, where)
    _must_differ([id_ for id_, _ in names], "category id", path, where)
    _must_differ([name for _, name in names], "category name", path, where)
    categories = dict(sorted(names))
    boxes: dict[int, list[Box]] = {image.id: [] for image in images}
    flaws: dict[int, list[str]] = {}
    for number, one in enumerate(_list(held, "annotations", path, where)):
        told = f"annotation {one.get('id', number) if isinstance(one, dict) else number} of {path}"
        image_id, category, box = _annotation(one, told, where)
        if image_id not in boxes:
            raise UserError(
                f"{told} is of image {image_id}, which is not in it", where, "get images and annotations of one file"
            )
        if category not in categories:
            flaws.setdefault(image_id, []).append(f"object of an unknown class (category_id {category}, {told})")
            continue
        boxes[image_id].append(box._replace(label=categories[category]))
    objects = {i.id: Objects(i.size, tuple(boxes[i.id]), tuple(flaws.get(i.id, ()))) for i in images}
    return CocoSet(images, categories, objects)


def _list(held: Any, key: str, path: Path, where: str) -> list[Any]:
    found: Any = cast("dict[str, Any]", held).get(key) if isinstance(held, dict) else None
    if not isinstance(found, list):
        raise UserError(
            f"{path} has no list {key!r}", where, "an annotation file of COCO has images, annotations and categories"
        )
    return cast("list[Any]", found)


def field_of(one: Any, key: str, told: str, where: str) -> Any:
    """A value that must be there.

    Raises:
        UserError: it is not.
    """
    if not isinstance(one, dict) or key not in one:
        raise UserError(f"{told} has no {key}", where, "expected what COCO's format has there")
    return cast("dict[str, Any]", one)[key]


def whole(value: Any, told: str, where: str) -> int:
    """A whole number.

    Raises:
        UserError: it is none.
    """
    if not _is_number(value, 2**53) or value != int(value):
        raise UserError(f"{told} is {value!r}", where, "a whole number was expected")
    return int(value)


def box_of(value: Any, told: str, where: str) -> tuple[float, float, float, float]:
    """Left, top, right and lower edge of a box [x, y, width, height].

    Raises:
        UserError: it is none.
    """
    corners = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    if len(corners) != 4 or not all(_is_number(v) for v in corners):
        raise UserError(f"the bbox of {told} is {value!r}", where, "four numbers x, y, width, height were expected")
    x, y, width, height = map(float, corners)
    return x, y, x + width, y + height


def _is_number(value: Any, limit: float = HUGE) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < limit  # not NaN either


def _image(one: Any, told: str, where: str) -> CocoImage:
    id_ = whole(field_of(one, "id", told, where), f"the id of {told}", where)
    name = field_of(one, "file_name", told, where)
    if not isinstance(name, str) or not name:
        raise UserError(f"the file_name of {told} is {name!r}", where, "a text was expected")
    if "width" not in one or "height" not in one:
        return CocoImage(id_, name, None)
    size = (whole(one["width"], f"the width of {told}", where), whole(one["height"], f"the height of {told}", where))
    return CocoImage(id_, name, size if min(size) > 0 else None)


def _category(one: Any, told: str, where: str) -> tuple[int, str]:
    id_ = whole(field_of(one, "id", told, where), f"the id of {told}", where)
    name = field_of(one, "name", told, where)
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"the name of {told} is {name!r}", where, "a text was expected")
    return id_, name.strip()


def _annotation(one: Any, told: str, where: str) -> tuple[int, int, Box]:
    image_id = whole(field_of(one, "image_id", told, where), f"the image_id of {told}", where)
    category = whole(field_of(one, "category_id", told, where), f"the category_id of {told}", where)
    edges = box_of(field_of(one, "bbox", told, where), told, where)
    crowd = one.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise UserError(f"the iscrowd of {told} is {crowd!r}", where, "0 or 1 was expected")
    area = one.get("area")
    if area is not None and not _is_number(area, HUGE**2):
        raise UserError(f"the area of {told} is {area!r}", where, "a number was expected")
    return image_id, category, Box("", *edges, bool(crowd), bool(crowd), None if area is None else float(area))


def _must_differ(values: Sequence[object], what: str, path: Path, where: str) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise UserError(f"{path} has the {what} {value!r} twice", where, "give each one of its own")
        seen.add(value)
