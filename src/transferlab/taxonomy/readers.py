"""Taxonomies from files and folders: edge lists, JSON trees, fine-to-coarse maps, class-to-synset maps, nested folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.taxonomy import classlists
from transferlab.taxonomy.tree import Taxonomy, build, flat


def from_folders(classes: Sequence[str], names: dict[str, str] | None = None) -> Taxonomy:
    """The taxonomy of class paths such as "mammal/bat": every folder above a class is its ancestor."""
    if not any("/" in path for path in classes):
        return flat(classes, names)
    edges: list[tuple[str, str]] = []
    top = "all"
    while any(path.split("/")[0] == top for path in classes):
        top = f"({top})"
    for path in classes:
        parts = path.split("/")
        prefixes = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        edges += zip(prefixes, [top, *prefixes[:-1]], strict=True)
    return build(edges, classes, {top: "all", **(names or {})})


def read_taxonomy(path: Path, classes: Sequence[str], *, prune: bool = False, join_roots: bool = False) -> Taxonomy:
    """The taxonomy in a file: a ``.json`` tree, or CSV/TSV rows of child,parent[,name], of fine,coarse or of class,wnid.

    Without a header the columns are child and parent. A row with an empty parent names a root. Rows of class and wnid (or
    a synset's name, or a noun of one sense) place the classes in WordNet; classes without a row are looked up.

    Raises:
        UserError: a missing or wrong file, with its name.
    """
    if not path.is_file():
        raise UserError("there is no such taxonomy file", str(path), "check taxonomy=PATH")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError("the taxonomy file is not UTF-8 text", str(path), "save it as UTF-8") from error
    try:
        if path.suffix.lower() == ".json":
            edges, names = _json_edges(json.loads(text))
        elif (synsets := _synsets(text, path)) is not None:
            return _in_wordnet(synsets, classes, prune=prune)
        else:
            edges, names = _table_edges(text, path)
        if not edges:
            raise UserError("the taxonomy has no edges", "taxonomy", "give child,parent rows or a JSON tree")
        return build(edges, classes, names, prune=prune, join_roots=join_roots)
    except json.JSONDecodeError as error:
        raise UserError(f"the taxonomy file is not JSON: {error}", str(path), "correct it") from error
    except UserError as error:
        raise UserError(error.what, str(path), error.remedy) from error


def _synsets(text: str, path: Path) -> dict[str, str] | None:
    """Class to synset, from a table whose header has the columns class and wnid; None for other tables."""
    rows = _rows(text)
    header = [cell.lower() for cell in rows[0]] if rows else []
    if not {"class", "wnid"} <= set(header):
        return None
    first, second = header.index("class"), header.index("wnid")
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) <= max(first, second) or not row[first] or not row[second]:
            raise UserError(f"row {number} has no class or no wnid", str(path), "give both")
        if found.setdefault(row[first], row[second]) != row[second]:
            raise UserError(f"the class {row[first]!r} has two synsets", str(path), "give it one")
    return found


def _in_wordnet(synsets: dict[str, str], classes: Sequence[str], *, prune: bool) -> Taxonomy:
    strange = [leaf for leaf in synsets if leaf not in set(classes)]
    if strange and not prune:
        what = f"{len(strange)} rows are for classes without images, for example {strange[0]!r}"
        raise UserError(what, "taxonomy", "remove them, or add prune=yes to ignore whatever has no images")
    return classlists.above(classes, None, {leaf: synsets[leaf] for leaf in classes if leaf in synsets})[0]


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    delimiter = "\t" if lines and "\t" in lines[0] else "," if lines and "," in lines[0] else " "
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]


def _table_edges(text: str, path: Path) -> tuple[list[tuple[str, str]], dict[str, str]]:
    rows = _rows(text)
    if not rows:
        return [], {}
    header = [cell.lower() for cell in rows[0]]
    columns = {"child": 0, "parent": 1, "name": 2}
    coarse = header[:2] == ["fine", "coarse"]
    if coarse or {"child", "parent"} <= set(header):
        rows = rows[1:]
    if {"child", "parent"} <= set(header):
        columns = {name: header.index(name) for name in columns if name in header}
    short = [i for i, row in enumerate(rows) if len(row) < 2]
    if short:
        raise UserError(f"row {short[0] + 1} has fewer than two columns", str(path), "give child and parent")
    edges = [(row[columns["child"]], row[columns["parent"]]) for row in rows]
    names = {
        row[columns["child"]]: row[columns["name"]] for row in rows if "name" in columns and len(row) > columns["name"]
    }
    if coarse:
        # A coarse group may have the name of one of its fine classes. All groups are below one root.
        groups = {group for _, group in edges}
        edges = [(fine, f"group:{group}") for fine, group in edges] + [(f"group:{g}", "all") for g in sorted(groups)]
        names |= {f"group:{group}": group for group in groups}
    return [(child, parent) for child, parent in edges if parent], names


def _json_edges(tree: Any) -> tuple[list[tuple[str, str]], dict[str, str]]:
    edges: list[tuple[str, str]] = []
    names: dict[str, str] = {}
    waiting: list[tuple[Any, str | None]] = [(tree, None)]
    while waiting:
        node, parent = waiting.pop()
        if not isinstance(node, dict) or not isinstance(cast("dict[str, Any]", node).get("id"), str):
            raise UserError("a node of the tree has no id", "taxonomy", 'nodes are {"id", "name", "children"}')
        facts = cast("dict[str, Any]", node)
        if facts["id"] in names:
            raise UserError(f"the id {facts['id']!r} occurs twice", "taxonomy", "give every node an id of its own")
        names[facts["id"]] = str(facts.get("name", facts["id"]))
        if parent is not None:
            edges.append((facts["id"], parent))
        waiting += [(child, facts["id"]) for child in facts.get("children", [])]
    return edges, names
