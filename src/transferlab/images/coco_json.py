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
    """An image in the file; its size is width and height, or None if they are not given."""

    id: int
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class CocoSet:
    """The content of an annotation file.

    Args:
        images: in the order of the file.
        categories: id to name, in the order of the ids.
        objects: image id to its annotated objects, for every image.
    """

    images: tuple[CocoImage, ...]
    categories: Mapping[int, str]
    objects: Mapping[int, Objects]


def read_json(path: Path, where: str) -> Any:
    """A JSON file; polygons and masks, most of COCO's bytes, are dropped while it is read.

    Raises:
        UserError: it cannot be read, or is not JSON in UTF-8.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"), object_hook=_without_masks)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", where, "check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8", where, "a JSON file was expected: get it again") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}", where, "copy the whole file, or get it again") from error


def _without_masks(found: dict[str, Any]) -> dict[str, Any]:
    found.pop("segmentation", None)
    return found


def read_set(path: Path, where: str) -> CocoSet:
    """An annotation file.

    Objects that cannot be used (no area, swapped corners, an unknown category) are flaws of their image; anything else
    that is wrong is an error.

    Raises:
        UserError: as ``read_json``; a list is missing, an id or name repeated, a number malformed, an image unknown.
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
        name = f"annotation {one.get('id', number) if isinstance(one, dict) else number} of {path}"
        image_id, category, box = _annotation(one, name, where)
        if image_id not in boxes:
            raise UserError(
                f"{name} is of image {image_id}, which is not in it", where, "get images and annotations of one file"
            )
        if category not in categories:
            flaws.setdefault(image_id, []).append(f"object of an unknown class (category_id {category}, {name})")
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


def field_of(one: Any, key: str, name: str, where: str) -> Any:
    """A required value of what errors call ``name``; raises UserError if it is missing."""
    if not isinstance(one, dict) or key not in one:
        raise UserError(f"{name} has no {key}", where, "expected what COCO's format has there")
    return cast("dict[str, Any]", one)[key]


def whole(value: Any, name: str, where: str) -> int:
    """A value that must be a whole number; raises UserError if it is not."""
    if not _is_number(value, 2**53) or value != int(value):
        raise UserError(f"{name} is {value!r}", where, "a whole number was expected")
    return int(value)


def box_of(value: Any, name: str, where: str) -> tuple[float, float, float, float]:
    """The edges x0, y0, x1, y1 of a box [x, y, width, height]; raises UserError if these are not four numbers."""
    corners = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    if len(corners) != 4 or not all(_is_number(v) for v in corners):
        raise UserError(f"the bbox of {name} is {value!r}", where, "four numbers x, y, width, height were expected")
    x, y, width, height = map(float, corners)
    return x, y, x + width, y + height


def _is_number(value: Any, limit: float = HUGE) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < limit  # not NaN either


def _id_and_name(one: Any, key: str, title: str, where: str) -> tuple[int, str]:
    id_ = whole(field_of(one, "id", title, where), f"the id of {title}", where)
    name = field_of(one, key, title, where)
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"the {key} of {title} is {name!r}", where, "a text was expected")
    return id_, name


def _image(one: Any, name: str, where: str) -> CocoImage:
    id_, file_name = _id_and_name(one, "file_name", name, where)
    if "width" not in one or "height" not in one:
        return CocoImage(id_, file_name, None)
    size = (whole(one["width"], f"the width of {name}", where), whole(one["height"], f"the height of {name}", where))
    return CocoImage(id_, file_name, size if min(size) > 0 else None)


def _category(one: Any, name: str, where: str) -> tuple[int, str]:
    id_, category = _id_and_name(one, "name", name, where)
    return id_, category.strip()


def _annotation(one: Any, name: str, where: str) -> tuple[int, int, Box]:
    image_id, category = (
        whole(field_of(one, k, name, where), f"the {k} of {name}", where) for k in ("image_id", "category_id")
    )
    edges = box_of(field_of(one, "bbox", name, where), name, where)
    crowd, area = one.get("iscrowd", 0), one.get("area")
    if crowd not in (0, 1):
        raise UserError(f"the iscrowd of {name} is {crowd!r}", where, "0 or 1 was expected")
    if area is not None and not _is_number(area, HUGE**2):
        raise UserError(f"the area of {name} is {area!r}", where, "a number was expected")
    return image_id, category, Box("", *edges, bool(crowd), bool(crowd), None if area is None else float(area))


def _must_differ(values: Sequence[object], what: str, path: Path, where: str) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise UserError(f"{path} has the {what} {value!r} twice", where, "make each of them unique")
        seen.add(value)
