"""Annotations in COCO's JSON: images, categories, and each image's boxes with crowd flags and areas.

Format: cocodataset.org/#format-data. A box is [x, y, width, height], its corner and size in continuous pixels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.images.json_lists import Lists
from transferlab.images.source import Box, Objects
from transferlab.text import number_of

HUGE = 1e6  # no coordinate is as large
MAX_TEXT = 4096  # characters of a name or id
MOST_FLAWS = 100_000  # objects that cannot be used
# Entries of each list: with them a file takes less than 1 GB. COCO has 120,000 images and 860,000 objects, LVIS 1.3 million.
MOST = {"images": 500_000, "annotations": 2_500_000, "categories": 100_000}
_IDLE = frozenset({"info", "licenses", "type"})  # COCO's own lists and texts, which say nothing of images


@dataclass(frozen=True)
class CocoImage:
    """An image in the file; its size is width and height, or None if they are not given."""

    id: str
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class CocoSet:
    """The content of an annotation file; ids are texts, since files write 7 and "7" for the same.

    Args:
        images: in the order of the file.
        categories: id to name of those with objects, in the order of the ids.
        objects: image id to its annotated objects, for every image.
        unused: id to name of the other categories; their names may be those of categories with objects.
        notes: what was passed over.
    """

    images: tuple[CocoImage, ...]
    categories: Mapping[str, str]
    objects: Mapping[str, Objects]
    unused: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()


def read_set(path: Path, where: str) -> CocoSet:
    """An annotation file.

    Objects that cannot be used (no box, no area, swapped corners, an unknown category) are flaws of their image. Crowd
    flags, areas and sizes of images that are none are passed over and counted. Anything else that is wrong is an error.

    Raises:
        UserError: as ``Lists``; a list is missing, an id or the name of a category with objects repeated, an image
            unknown; all boxes are relative to the size of their images.
    """
    lists = Lists(path, where)
    images: list[CocoImage] = []
    names: list[tuple[str, str, int]] = []
    odd = _Odd()
    found = _Annotations(path, where, odd)
    for key, number, one in lists.entries():
        must_be_few(key, number, path, where)
        if key == "images":
            images.append(_image(one, f"image {number} of {path}", where, odd))
        elif key == "categories":
            names.append((*_category(one, f"category {number} of {path}", where), number))
        elif key == "annotations":
            found.add(one, number)
    for key in MOST:
        if key not in lists.counts:
            raise missing_list(path, key, where)
    _must_differ([image.id for image in images], "image id {}", path, where)
    _must_differ([image.file_name for image in images], "file_name {!r}", path, where)
    categories, unused = _used(names, found.used, path, where)
    objects = {image.id: found.objects(image, categories) for image in images}
    if found.boxes or found.flaws:
        image_id = next(iter(found.boxes or found.flaws))
        raise UserError(
            f"{found.title(found.first[image_id])} is of image {image_id}, which is not in it", where,
            "get images and annotations of one file",
        )  # fmt: skip
    found.extent.must_be_pixels(path, where)
    twice = (
        [f"{number_of(found.n_twice, 'object is', 'objects are')} annotated twice in {path.name}, alike in all"]
        if found.n_twice
        else []
    )
    return CocoSet(tuple(images), categories, objects, unused, (*twice, *surplus(lists, tuple(MOST)), *odd.notes()))


def missing_list(path: Path, key: str, where: str) -> UserError:
    return UserError(
        f"{path} has no list {key!r}", where, "an annotation file of COCO has images, annotations and categories"
    )


def must_be_few(key: str, number: int, path: Path, where: str) -> None:
    """Raises UserError if the entry with this number, from 0, is beyond what a list may have."""
    if number >= MOST.get(key, number + 1):
        raise UserError(f"{path} has more than {MOST[key]:,} {key}", where, "divide the file")


def surplus(lists: Lists, used: Sequence[str]) -> list[str]:
    """A note on lists and values at the top of a file that are not used."""
    others = [name for name in (*lists.counts, *lists.others) if name not in used and name not in _IDLE]
    shown = ", ".join(name[:40] for name in others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return [f"what {lists.path.name} has besides is not used: {shown}"] if others else []


@dataclass
class Extent:
    """How many boxes a file has, and how many have all their numbers near 0 to 1, as if relative to the size of an image."""

    n: int = 0
    n_relative: int = 0

    def add(self, box: Iterable[float]) -> None:
        """Count a box: its edges, or its left upper corner with width and height."""
        self.n += 1
        self.n_relative += all(-0.5 <= value <= 1.5 for value in box)  # detectors predict beyond the edges too

    def must_be_pixels(self, path: Path | str, where: str) -> None:
        """Raises UserError if all boxes but one in a hundred seem to be relative; tiny objects may be among many."""
        if self.n and self.n_relative >= 0.99 * self.n:
            which = "all" if self.n_relative == self.n else f"{self.n_relative:,} of {self.n:,}"
            raise UserError(
                f"{which} boxes of {path} are between 0 and 1, as if relative to the size of their images", where,
                "write their coordinates in pixels",
            )  # fmt: skip


@dataclass
class _Odd:
    """Values of optional fields that are none: field to their number, and the first of them in words."""

    counts: Counter[str] = field(default_factory=Counter[str])
    first: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, key: str, value: object, title: str) -> None:
        self.counts[key] += 1
        self.first.setdefault(key, f"{shown(value)} of {title}")

    def notes(self) -> list[str]:
        return [
            f"the {key} of {n:,} entries is not what COCO's format has there and does not count, for example {self.first[key]}"
            for key, n in self.counts.items()
        ]


class _Annotations:
    """The annotations of a file, gathered by image; labels are ids of categories until these are known.

    Args:
        first: image id to its first annotation. used: id of each category with objects to its first annotation.
        n_twice: objects that ``objects`` has found to be another one again.
    """

    def __init__(self, path: Path, where: str, odd: _Odd) -> None:
        self.path, self.where, self.odd = path, where, odd
        self.boxes: dict[str, list[Box]] = {}
        self.flaws: dict[str, list[str]] = {}
        self.first: dict[str, object] = {}
        self.used: dict[str, object] = {}
        self.extent = Extent()
        self.n_twice = 0
        self._n_flaws = 0
        self._ids: dict[str, str] = {}  # equal ids are one object

    def title(self, name: object) -> str:
        return f"annotation {name} of {self.path}"

    def add(self, one: Any, number: int) -> None:
        fields = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        own = fields.get("id")
        name = own if isinstance(own, int) and abs(own) < 2**63 else number
        image_id = _ident(fields.get("image_id"))
        if image_id is None:
            title = self.title(name)
            image_id = ident(field_of(fields, "image_id", title, self.where), f"the image_id of {title}", self.where)
        self.first.setdefault(image_id, name)
        box, category = four_in(fields.get("bbox")), _ident(fields.get("category_id"))
        if box is None or category is None:
            title, key = self.title(name), "category_id" if box else "bbox"
            what = f"the {key} of {title} is {shown(fields[key])}" if key in fields else f"{title} has no {key}"
            self._flaw(image_id, f"object without a usable {'box' if key == 'bbox' else 'class'} ({what})")
            return
        category = self._ids.setdefault(category, category)
        must_be_few("categories", len(self.used) - (category in self.used), self.path, self.where)
        self.used.setdefault(category, name)
        self.extent.add(box)
        crowd, area = self._crowd(fields.get("iscrowd"), name), self._area(fields.get("area"), name)
        self.boxes.setdefault(image_id, []).append(Box(category, *edges(box), crowd, crowd, area))

    def objects(self, image: CocoImage, categories: Mapping[str, str]) -> Objects:
        """The objects of an image, which are taken away."""
        kept: list[Box] = []
        for box in self.boxes.pop(image.id, ()):
            if box.label in categories:
                kept.append(box._replace(label=categories[box.label]))
            else:
                title = self.title(self.used[box.label])
                self._flaw(image.id, f"object of an unknown class (category_id {box.label}, {title})")
        self.n_twice += len(kept) - len(set(kept))
        return Objects(image.size, tuple(kept), tuple(self.flaws.pop(image.id, ())))

    def _flaw(self, image_id: str, flaw: str) -> None:
        self._n_flaws += 1
        if self._n_flaws > MOST_FLAWS:
            raise UserError(f"more than {MOST_FLAWS:,} objects cannot be used, the last is an {flaw}", self.where,
                            "correct the file")  # fmt: skip
        self.flaws.setdefault(image_id, []).append(flaw)

    def _crowd(self, value: Any, name: object) -> bool:
        crowd = number_in(value)
        if value is not None and crowd not in (0, 1):
            self.odd.add("iscrowd", value, self.title(name))
        return crowd == 1

    def _area(self, value: Any, name: object) -> float | None:
        area = number_in(value, HUGE**2)
        if value is not None and (isinstance(value, bool) or area is None or area < 0):
            self.odd.add("area", value, self.title(name))
            return None
        return area


def field_of(one: Any, key: str, name: str, where: str) -> Any:
    """A required value of what errors call ``name``; raises UserError if it is missing."""
    if not isinstance(one, dict) or key not in one:
        raise UserError(f"{name} has no {key}", where, "expected what COCO's format has there")
    return cast("dict[str, Any]", one)[key]


def _ident(value: Any) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(int(value)) if abs(value) < 10**40 and value == int(value) else None
    text = value.strip() if isinstance(value, str) else ""
    return text if 0 < len(text) <= MAX_TEXT and _is_text(text) else None


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: JSON may have halves of characters, as "\\ud800"."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def ident(value: Any, name: str, where: str) -> str:
    """An id as a text, the same for 7, 7.0 and "7"; raises UserError if it is neither a whole number nor a text."""
    found = _ident(value)
    if found is None:
        raise UserError(f"{name} is {shown(value)}", where, "a whole number or a text was expected")
    return found


def number_in(value: Any, limit: float = HUGE) -> float | None:
    """A number that is a value or stands in its text, true and false being 1 and 0; None if it has none below the limit."""
    try:
        found = (
            float(value)
            if isinstance(value, (int, float)) or (isinstance(value, str) and len(value) < 40)
            else math.nan
        )
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < limit else None  # not NaN either


def four_in(value: Any) -> tuple[float, float, float, float] | None:
    """The numbers x, y, width, height of a box; None if they are not four numbers."""
    held = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    if len(held) != 4 or not all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < HUGE for v in held
    ):
        return None
    x, y, width, height = map(float, held)
    return x, y, width, height


def box_of(value: Any, name: str, where: str) -> tuple[float, float, float, float]:
    """The numbers x, y, width, height of a box; raises UserError if they are not four numbers."""
    found = four_in(value)
    if found is None:
        raise UserError(
            f"the bbox of {name} is {shown(value)}", where, "four numbers x, y, width, height were expected"
        )
    return found


def edges(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The edges x0, y0, x1, y1 of a box x, y, width, height."""
    x, y, width, height = box
    return x, y, x + width, y + height


def shown(value: object) -> str:
    """A value for a message, cut if it is long."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return text if len(text) <= 80 else f"{text[:77]}..."


def id_order(id_: str) -> tuple[bool, int, str]:
    """Numbers before texts, each in their order."""
    number = id_.removeprefix("-")
    is_number = number.isascii() and number.isdigit() and len(number) < 20
    return not is_number, int(id_) if is_number else 0, id_


def id_and_name(one: Any, key: str, title: str, where: str) -> tuple[str, str]:
    """The id of an entry and a text of it, such as its name; raises UserError if it has none."""
    id_ = ident(field_of(one, "id", title, where), f"the id of {title}", where)
    name = field_of(one, key, title, where)
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_TEXT or not _is_text(name):
        raise UserError(
            f"the {key} of {title} is {shown(name)}", where, f"a text of up to {MAX_TEXT:,} characters was expected"
        )
    return id_, name


def _image(one: Any, name: str, where: str, odd: _Odd) -> CocoImage:
    id_, file_name = id_and_name(one, "file_name", name, where)
    size = [_side(one, key, name, odd) for key in ("width", "height")]
    return CocoImage(id_, file_name, (size[0], size[1]) if size[0] and size[1] else None)


def _category(one: Any, title: str, where: str) -> tuple[str, str]:
    """Id and name of a category; the name is "" if it is none, which matters only where there are objects."""
    id_ = ident(field_of(one, "id", title, where), f"the id of {title}", where)
    return id_, _ident(cast("dict[str, Any]", one).get("name")) or ""


def _side(one: dict[str, Any], key: str, name: str, odd: _Odd) -> int:
    """Width or height of an image; 0 if it is not stated."""
    value = one.get(key)
    number = number_in(value)
    if value is not None and (isinstance(value, bool) or number is None or number < 0 or number != int(number)):
        odd.add(key, value, name)
        return 0
    return int(number or 0)


def _used(
    names: Sequence[tuple[str, str, int]], used: Mapping[str, object], path: Path, where: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Id to name of the categories with objects, and of the others, both in the order of the ids."""
    found: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for id_, name, number in sorted(names, key=lambda one: id_order(one[0])):
        if not name:
            if id_ in used:
                raise UserError(f"category {number} of {path} has no name", where, "give it one: it has objects")
            continue
        if found[id_ in used].setdefault(id_, name) != name and id_ in used:
            raise UserError(f"{path} has the category id {id_} twice, for {found[True][id_]!r} and {name!r}", where,
                            "give every category an id of its own")  # fmt: skip
    _must_differ(list(found[True].values()), "category name {!r}", path, where)
    return found[True], found[False]


def _must_differ(values: Iterable[str], what: str, path: Path, where: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise UserError(f"{path} has the {what.format(value)} twice", where, "make each of them unique")
        seen.add(value)
