"""A report as one self-contained HTML page without scripts; no name that it shows can do harm."""

from __future__ import annotations

import base64

import jinja2
from markupsafe import Markup

from transferlab.report.document import Block, Document, Picture, anchor_of
from transferlab.text import printable

MEDIA = {"svg": "svg+xml", "png": "png"}


def html(document: Document) -> str:
    """The page's text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("transferlab.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_inert,
    )  # fmt: skip
    environment.filters |= {"kind": _kind, "uri": _uri, "anchor": anchor_of}
    return environment.get_template("page.html").render(document=document)


def _inert(value: object) -> object:
    """A value without control and direction characters; Jinja escapes it."""
    if isinstance(value, str) and not isinstance(value, Markup):  # the output of a macro has been through here
        return printable(value)
    return value


def _kind(block: Block) -> str:
    return type(block).__name__


def _uri(picture: Picture) -> str:
    return f"data:image/{MEDIA[picture.form]};base64,{base64.b64encode(picture.data).decode()}"
