"""Only a definition's own file compares anything with its name; everybody else asks the definition."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import transferlab
from transferlab.answers.verdicts import VERDICTS
from transferlab.definitions import Definition, Table
from transferlab.extensions import TABLES
from transferlab.questions import QUESTIONS
from transferlab.report.sections import OVERVIEW, SECTIONS
from transferlab.runners.executors import EXECUTORS

SOURCE = Path(transferlab.__file__).parent
NAMES: dict[str, list[Definition]] = {
    **{table.kind: list(table.values()) for table in (*TABLES, VERDICTS, QUESTIONS, EXECUTORS)},
    "report section": [*SECTIONS.values(), *OVERVIEW],
}
# Words that are names of definitions and also something else there: the file, the word, and what it means.
OTHERWISE = {
    ("answers/published.py", "cannot tell"): "what is said of a finding",
    ("cli_images.py", "coco"): "a rule of score-detections",
    ("cli_images.py", "csv"): "a format of label sets",
    ("images/toy.py", "images_per_class"): "an option",
    ("images/toy.py", "scenes"): "a task of the toy world",
    ("outcomes/arrays.py", "pack"): "a field of a stored subset",
    ("report/document.py", "answer"): "a role of a text",
    ("report/markdown.py", "answer"): "a role of a text",
    ("runners/score.py", "AP"): "a key of the output",
    ("transfer/detect/detector.py", "scores"): "an output of the model",
    ("transfer/metrics/average_precision.py", "scores"): "an array of a cell",
    ("cli.py", "csv"): "a format of tables",
    ("outcomes/table.py", "csv"): "a format of tables",
    ("taxonomy/show.py", "csv"): "a format of label sets",
    ("runners/score.py", "coco"): "a rule of score-detections",
    ("transfer/detect/metrics.py", "coco"): "a rule of average precision",
    ("transfer/metrics/detection.py", "coco"): "a rule of average precision",
}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())


def compared(tree: ast.AST) -> Iterator[str]:
    """Texts that something is compared with, looked up by, or matched with."""
    for node in ast.walk(tree):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("startswith", "endswith", "get")
        ):
            parts = list(node.args[:1])
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        elif isinstance(node, ast.match_case):
            parts = [node.pattern]
        for part in parts:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.value


@pytest.mark.parametrize("kind", NAMES)
def test_nothing_is_compared_with_a_definition_s_name_outside_its_file(kind: str) -> None:
    names = {definition.name for definition in NAMES[kind]}
    wrong = [f"{file}: {text!r}" for file, tree in trees() for text in compared(tree)
             if text in names and (file, text) not in OTHERWISE and not _is_its_own_file(file, text)]  # fmt: skip
    assert wrong == []


def _is_its_own_file(file: str, name: str) -> bool:
    return Path(file).stem.replace("_", "-") == name.replace("_", "-").replace(" ", "-").replace("/", "-")


@pytest.mark.parametrize("table", (*TABLES, VERDICTS, QUESTIONS, EXECUTORS), ids=lambda table: table.kind)
def test_names_are_plain_and_every_definition_says_what_it_is(table: Table[Any]) -> None:
    assert list(table)
    for name, definition in table.items():
        assert definition.name == name
        assert name and name == name.strip() and name.isprintable()
        assert all(parameter.means for parameter in definition.parameters.values())
