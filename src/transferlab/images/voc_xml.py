"""Annotations in PASCAL VOC's XML: each object of an image with its box, flags and actions.

Format: the development kit's documentation (VOC2007 and VOC2012, sections "Annotation Files" and "Action
Classification Ground Truth"). Boxes are 1-based and include their last row and column; some have fractions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.parsers import expat

from transferlab.errors import UserError

MAX_BYTES = 1 << 24  # the largest of VOC's files has 60 kB


@dataclass(frozen=True)
class VocObject:
    """An annotated object.

    Args:
        box: xmin, ymin, xmax, ymax as in the file, 1-based and inclusive; None where it has none.
        pose: "Left", "Unspecified" and so on, "" where none is given.
        actions: name to whether it is done, for people of VOC 2010 to 2012.
    """

    name: str
    box: tuple[float, float, float, float] | None
    difficult: bool
    truncated: bool
    pose: str
    actions: Mapping[str, bool] = field(default_factory=dict[str, bool])


@dataclass(frozen=True)
class Annotation:
    """An image's annotation.

    Args:
        size: width and height in pixels as the file gives them; None where it does not.
        objects: in the file's order, which the lists of action classification count in from 1.
    """

    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def parse(data: bytes, name: str, where: str) -> Annotation:
    """An annotation file.

    Document types are refused, and with them every entity; nothing outside of the file is read.

    Args:
        data: the file, in UTF-8 or the encoding that it declares. name: of the file, for errors.

    Raises:
        UserError: no XML, another document, an object without a name, numbers that are none.
    """
    root = _root(data, name, where)
    try:
        size = root.find("size")
        return Annotation(
            None if size is None else (int(_number(size, "width")), int(_number(size, "height"))),
            tuple(_object(element) for element in root.findall("object")),
        )
    except (ValueError, OverflowError) as error:
        raise UserError(f"{name} is no annotation of PASCAL VOC: {error}", where, "mend it or get it again") from error


def flaws(annotation: Annotation) -> list[str]:
    """What is wrong with an annotation's boxes, a few words each: swapped corners, no area, outside of the image."""
    found: list[str] = []
    for number, one in enumerate(annotation.objects, 1):
        if flaw := flaw_of(one, annotation.size):
            found.append(f"object {number} ({one.name}) {flaw}")
    return found


def flaw_of(one: VocObject, size: tuple[int, int] | None) -> str:
    """What is wrong with an object's box in an image of this size, or ""."""
    if one.box is None:
        return "has no box"
    left, top, right, bottom = one.box
    if left > right or top > bottom:
        return f"has a box with swapped corners {_shown(one.box)}"
    if left == right or top == bottom:
        return f"has a box without area {_shown(one.box)}"
    if size is None or min(size) < 1:
        return "lies in an image of unknown size"
    if left < 1 or top < 1 or right > size[0] or bottom > size[1]:
        return f"has a box {_shown(one.box)} that leaves the image of {size[0]}x{size[1]}"
    return ""


def _root(data: bytes, name: str, where: str) -> ElementTree.Element:
    def refuse(*_: object) -> None:
        raise UserError(
            f"{name} declares a document type", where, "annotations have none: remove it, with its entities"
        )

    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has {len(data):,} bytes")
        parser.Parse(data, True)
        root = builder.close()
        if root.tag != "annotation":
            raise ValueError(f"it is a document of {root.tag!r}")
    except (expat.ExpatError, ValueError, LookupError) as error:  # LookupError: an encoding that Python does not know
        raise UserError(
            f"{name} is no annotation of PASCAL VOC: {error}", where, "save it as UTF-8, or get it again"
        ) from error
    return root


def _object(element: ElementTree.Element) -> VocObject:
    name = _text(element, "name")
    if not name:
        raise ValueError("an object has no name")
    box = element.find("bndbox")
    corners = None
    if box is not None:
        corners = _number(box, "xmin"), _number(box, "ymin"), _number(box, "xmax"), _number(box, "ymax")
    return VocObject(
        name, corners, _flag(element, "difficult"), _flag(element, "truncated"), _text(element, "pose"),
        {one.tag: _is_one(one.text or "", one.tag) for one in element.findall("actions/*")},
    )  # fmt: skip


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _number(element: ElementTree.Element, tag: str) -> float:
    text = _text(element, tag)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{tag} is {text!r}") from None
    if not abs(value) < 1e6:  # NaN too
        raise ValueError(f"{tag} is {text!r}")
    return value


def _flag(element: ElementTree.Element, tag: str) -> bool:
    return _is_one(_text(element, tag) or "0", tag)


def _is_one(text: str, tag: str) -> bool:
    if text.strip() not in ("0", "1"):
        raise ValueError(f"{tag} is {text!r}, neither 0 nor 1")
    return text.strip() == "1"


def _shown(box: tuple[float, float, float, float]) -> str:
    return " ".join(f"{value:g}" for value in box)
