"""A report as JSON: the facts of each section under its name. ``docs/report-json.md`` describes every key."""

from __future__ import annotations

from transferlab.report.document import Document, Number, Section
from transferlab.text import json_text as json_text_of

SCHEMA = 1  # increased whenever a key is removed or changes its meaning


def json_text(document: Document) -> str:
    """The report's text, in ASCII, so that no name can harm the terminal that shows it."""
    studies = [
        {"name": c.name, "question": c.title, "identity": c.identity, **_facts(c.sections)} for c in document.chapters
    ]
    facts = {"schema": SCHEMA, **_facts(document.overview), "studies": studies}
    return json_text_of(facts, default=_plain)


def _facts(sections: tuple[Section, ...]) -> dict[str, object]:
    return {section.name: section.data for section in sections}


def _plain(value: object) -> object:
    if isinstance(value, Number):
        return value.facts()
    raise TypeError(f"{type(value).__name__} is not plain data")
