"""A report as JSON: the facts of each section under its name. ``docs/report-json.md`` describes every key."""

from __future__ import annotations

import json

from transferlab.report.document import Document, Number, Section

SCHEMA = 1  # increased whenever a key is removed or changes its meaning


def json_text(document: Document) -> str:
    """The report's text, in ASCII, so that no name can harm the terminal that shows it."""
    studies = [{"name": c.name, "question": c.title, **_facts(c.sections)} for c in document.chapters]
    facts = {"schema": SCHEMA, **_facts(document.overview), "studies": studies}
    return json.dumps(facts, indent=1, allow_nan=False, default=_plain) + "\n"


def _facts(sections: tuple[Section, ...]) -> dict[str, object]:
    return {section.name: section.data for section in sections}


def _plain(value: object) -> object:
    if isinstance(value, Number):
        return value.facts()
    raise TypeError(f"{type(value).__name__} is not plain data")
