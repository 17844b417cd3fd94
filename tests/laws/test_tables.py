"""Every entry of every table is under the laws of its kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from transferlab.designs import DESIGNS
from transferlab.engine.backbones import BACKBONES
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.engine.recipes import RECIPES
from transferlab.images.sources import SOURCES
from transferlab.questions import QUESTIONS
from transferlab.transfer.protocols import PROTOCOLS

TESTS = Path(__file__).parents[1]
# The files that hold a table's laws: each names every entry, or goes over the table itself.
LAWS: dict[str, tuple[Mapping[str, Any], str]] = {
    "DESIGNS": (DESIGNS, "designs/test_designs.py"),
    "BACKBONES": (BACKBONES, "engine/test_backbones.py"),
    "OPTIMISERS": (OPTIMISERS, "engine/test_fit.py"),
    "SOURCES": (SOURCES, "laws/test_sources.py"),
    "PROTOCOLS": (PROTOCOLS, "laws/test_protocols.py"),
    "QUESTIONS": (QUESTIONS, "questions/test_questions.py"),
}


@pytest.mark.parametrize("name", LAWS)
def test_every_entry_is_under_law(name: str) -> None:
    table, pattern = LAWS[name]
    text = "".join(path.read_text() for path in TESTS.glob(pattern))
    over_all = re.search(rf'parametrize\("\w+", {name}\)', text)
    missing = [entry for entry in table if not over_all and f'"{entry}' not in text]
    assert missing == []


@pytest.mark.parametrize("table", [table for table, _ in LAWS.values()] + [RECIPES])
def test_names_are_plain_words(table: Mapping[str, Any]) -> None:
    """They stand in commands, files and keys."""
    assert table
    assert all(entry.replace("-", "").replace("_", "").isalnum() and entry == entry.lower() for entry in table)


def test_no_two_entries_of_a_table_are_one_function() -> None:
    for table, _ in LAWS.values():
        assert len({id(entry) for entry in table.values()}) == len(table)
