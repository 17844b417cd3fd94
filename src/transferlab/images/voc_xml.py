"""Annotations in PASCAL VOC's XML: the objects of an image with their boxes.

Format: the development kit's documentation (VOC2007 and VOC2012, section "Annotation Files"). Boxes are 1-based and
include their last row and column; some have fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree
from xml.parsers import expat

from transferlab.errors import UserError

MAX_BYTES = 1 << 24  # the largest of VOC's files has 60 kB
MOST_ELEMENTS = 200_000  # of a file; VOC's have up to 1,000
MOST_DEPTH = 50


@dataclass(frozen=True)
class VocObject:
    """An annotated object; its box is xmin, ymin, xmax, ymax as in the file, 1-based and inclusive, or None."""

    name: str
    box: tuple[float, float, float, float] | None
    difficult: bool

    @property
    def flaw(self) -> str:
        """Why the box cannot be used in any image, in a few words, or ""."""
        if self.box is None:
            return "object without a box"
        left, top, right, bottom = self.box
        if left > right or top > bottom:
            return "box with swapped corners"
        return "box without area" if left == right or top == bottom else ""

    def flaw_in(self, size: tuple[int, int] | None) -> str:
        """Why the box cannot be used in an image of this width and height, or ""."""
        if self.flaw or self.box is None:
            return self.flaw
        if size is None or min(size) < 1:
            return "image of unknown size"
        left, top, right, bottom = self.box
        inside = left >= 1 and top >= 1 and right <= size[0] and bottom <= size[1]
        return "" if inside else f"box outside the image of {size[0]}x{size[1]}"


@dataclass(frozen=True)
class Annotation:
    """An image's annotation.

    Args:
        size: width and height in pixels in the file; None if it has none.
        objects: in the order of the file, in which the lists of action classification number them from 1.
        odd: optional values that are none, and so do not count, in words.
    """

    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]
    odd: tuple[str, ...] = ()


def parse(data: bytes, name: str, where: str) -> Annotation:
    """An annotation file. Document types, and so every entity, are refused; no other file is read.

    Args:
        data: the file, in UTF-8 or the encoding that it declares. name: of the file, for errors.

    Raises:
        UserError: not XML, too large or too deep, another document, an object without a name or with several boxes, a
            corner that is no number.
    """
    root = _root(data, name, where)
    odd: list[str] = []
    try:
        objects = tuple(_object(element, odd) for element in root.findall("object"))
    except ValueError as error:
        raise UserError(f"{name} is not an annotation of PASCAL VOC: {error}", where, "correct it or get it again") \
            from error  # fmt: skip
    return Annotation(_size(root.find("size"), odd), objects, tuple(odd))


def _size(element: ElementTree.Element | None, odd: list[str]) -> tuple[int, int] | None:
    if element is None:
        return None
    try:
        return int(_number(element, "width")), int(_number(element, "height"))
    except ValueError as error:
        odd.append(f"its {error}")
        return None


def _root(data: bytes, name: str, where: str) -> ElementTree.Element:
    def refuse(*_: object) -> None:
        raise UserError(f"{name} declares a document type", where, "annotations have none: remove it and its entities")

    def start(tag: str, attributes: dict[str, str]) -> None:
        counts[0] += 1
        counts[1] += 1
        if counts[0] > MOST_ELEMENTS or counts[1] > MOST_DEPTH:
            raise ValueError(
                f"it has more than {MOST_ELEMENTS:,} elements, or more than {MOST_DEPTH} within each other"
            )
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        counts[1] -= 1
        builder.end(tag)

    counts = [0, 0]  # of all elements, and of those that are open
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has {len(data):,} bytes")
        parser.Parse(data, True)
        root = builder.close()
        if root.tag != "annotation":
            raise ValueError(f"it is a document of {root.tag!r}")
    except (expat.ExpatError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise UserError(
            f"{name} is not an annotation of PASCAL VOC: {error}", where, "save it as UTF-8, or get it again"
        ) from error
    return root


def _object(element: ElementTree.Element, odd: list[str]) -> VocObject:
    name = _text(element, "name")
    if not name:
        raise ValueError("an object has no name")
    boxes = element.findall("bndbox")
    if len(boxes) > 1:
        raise ValueError(f"an object ({name[:40]}) has {len(boxes)} boxes")
    corners = None
    for box in boxes:
        corners = _number(box, "xmin"), _number(box, "ymin"), _number(box, "xmax"), _number(box, "ymax")
    difficult = _text(element, "difficult").lower() or "0"
    if difficult not in ("0", "1", "false", "true"):
        odd.append(f"difficult of an object ({name[:40]}) is {difficult[:40]!r}")
    return VocObject(name, corners, difficult in ("1", "true"))


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _number(element: ElementTree.Element, tag: str) -> float:
    text = _text(element, tag)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{tag} is {text[:40]!r}") from None
    if not abs(value) < 1e6:  # NaN too
        raise ValueError(f"{tag} is {text[:40]!r}")
    return value
