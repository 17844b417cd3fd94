from __future__ import annotations

import pytest

from transferlab.errors import UserError
from transferlab.images.voc_xml import Annotation, VocObject, parse

BOX = "<bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
SIZE = "<size><width>30</width><height>40</height><depth>3</depth></size>"


def document(*objects: str, size: str = SIZE) -> bytes:
    inner = "".join(f"<object>{one}</object>" for one in objects)
    return f"<annotation>{size}{inner}</annotation>".encode()


def read(data: bytes) -> Annotation:
    return parse(data, "Annotations/1.xml", "voc:here")


def test_every_field_of_an_object_is_read() -> None:
    found = read(document(
        f"<name>person</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>{BOX}"
        "<part><name>head</name><bndbox><xmin>7</xmin><ymin>7</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
        "<actions><jumping>1</jumping><other>0</other></actions>",
        f"<name>dog</name><difficult>1</difficult>{BOX}",
    ))  # fmt: skip
    assert found == Annotation((30, 40), (
        VocObject("person", (1, 2.5, 30, 40), False), VocObject("dog", (1, 2.5, 30, 40), True),
    ))  # fmt: skip
    assert not any(one.flaw_in(found.size) for one in found.objects)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_declared_encodings_are_read(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?><annotation><object><name>Kätzchen</name>{BOX}"
    (one,) = read(f"{text}</object></annotation>".encode(encoding)).objects
    assert one.name == "Kätzchen"


LAUGHS = "<!DOCTYPE a [<!ENTITY b 'ha'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><annotation>&c;</annotation>"
OUTSIDE = (
    "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><annotation><object><name>&x;</name></object></annotation>"
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (LAUGHS.encode(), "declares a document type"),
        (OUTSIDE.encode(), "declares a document type"),
        (b"<!DOCTYPE annotation SYSTEM 'http://localhost/x.dtd'><annotation/>", "declares a document type"),
        ("<annotation><object><name>Kätzchen</name></object></annotation>".encode("latin-1"), "invalid token.*UTF-8"),
        (b"<?xml version='1.0' encoding='no-such'?><annotation/>", "is not an annotation of PASCAL VOC"),
        (b"<annotation><object>", "is not an annotation of PASCAL VOC: (no element|unclosed)"),
        (b"", "no element found"),
        (b"\0" * 100, "is not an annotation"),
        (b"<html/>", "it is a document of 'html'"),
        (b"<annotation>" + b" " * (1 << 24) + b"</annotation>", "it has 16,777,241 bytes"),
        (document("<name> </name>"), "an object has no name"),
        (document("<name>dog</name><bndbox><xmin>1</xmin></bndbox>"), "ymin is ''"),
        (document(f"<name>dog</name>{BOX.replace('30', 'nan')}"), "xmax is 'nan'"),
        (document(f"<name>dog</name>{BOX}{BOX}"), r"an object \(dog\) has 2 boxes"),
        (b"<annotation>" + b"<a>" * 100 + b"</a>" * 100 + b"</annotation>", "more than 50 within each other"),
        (b"<annotation>" + b"<a/>" * 200_000 + b"</annotation>", "it has more than 200,000 elements"),
    ],
)  # fmt: skip
def test_hostile_and_damaged_files_are_told_by_name(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"Annotations/1.xml .*{message}"):
        read(data)


@pytest.mark.parametrize(
    ("box", "size", "flaw"),
    [
        ((30, 2, 1, 40), SIZE, "swapped corners"),
        ((1, 40, 30, 2), SIZE, "swapped corners"),
        ((5, 2, 5, 40), SIZE, "box without area"),
        ((0, 2, 30, 40), SIZE, "outside the image of 30x40"),
        ((1, 2, 31, 40), SIZE, "outside the image of 30x40"),
        ((1, 2, 30, 40), "", "unknown size"),
        ((1, 2, 30, 40), "<size><width>0</width><height>0</height></size>", "unknown size"),
        (None, SIZE, "without a box"),
    ],
)  # fmt: skip
def test_boxes_that_cannot_be_are_reported(box: tuple[int, ...] | None, size: str, flaw: str) -> None:
    corners = "".join(
        f"<{tag}>{v}</{tag}>" for tag, v in zip(("xmin", "ymin", "xmax", "ymax"), box or (), strict=False)
    )
    found = read(document(f"<name>dog</name>{f'<bndbox>{corners}</bndbox>' if box else ''}", size=size))
    assert flaw in found.objects[0].flaw_in(found.size)


@pytest.mark.parametrize(
    ("text", "difficult"), [("1", True), ("0", False), ("", False), ("True", True), ("false", False)]
)
def test_difficult_is_said_in_numbers_or_words(text: str, difficult: bool) -> None:
    found = read(document(f"<name>dog</name>{BOX}<difficult>{text}</difficult>"))
    assert found.objects[0].difficult == difficult and not found.odd


def test_optional_values_that_are_none_do_not_count_and_are_told() -> None:
    found = read(
        document(f"<name>dog</name>{BOX}<difficult>maybe</difficult>", size="<size><width>wide</width></size>")
    )
    assert not found.objects[0].difficult and found.size is None
    assert found.odd == ("difficult of an object (dog) is 'maybe'", "its width is 'wide'")
    assert read(document(size="<size><width/><height/><depth/></size>")).size is None
