"""``omniglot:PATH``: handwritten characters, by alphabet.

Layout: github.com/brendenlake/omniglot, its folder ``python``: ``images_background.zip`` (30 alphabets) and
``images_evaluation.zip`` (20), or the two small background sets. Each character has 20 drawings, each by another person:
``SET/ALPHABET/character01/0108_01.png``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.format import Format, Request
from transferlab.images.source import Data, Source
from transferlab.images.sources.filetree import Row, Tree, listed, may_be_image
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.listing import class_order
from transferlab.taxonomy.readers import from_folders

SETS = {"images_background": 964, "images_evaluation": 659, "images_background_small1": 136,
        "images_background_small2": 156}  # name to number of characters  # fmt: skip
N_DRAWINGS = 20


def read(request: Request) -> Source:
    """A class is ALPHABET/CHARACTER, the alphabets are the taxonomy; there are no splits.

    The two small sets share alphabets with each other and with the whole one: a drawing in two sets is taken once.

    Raises:
        UserError: no set; characters or drawings are missing.
    """
    root, where = request.path, request.where
    found = {root.stem: root} if root.stem in SETS else _sets(root)
    if not found:
        raise UserError(
            "there is no images_background or images_evaluation", where, "expected folders or zips of these names"
        )
    trees = {name: tree_of(file, where) for name, file in found.items()}
    rows: dict[str, Row] = {}  # by name below the set
    seen: set[str] = set()
    for name, tree in trees.items():
        of_set = _of_set(name, tree)
        for row in of_set:
            seen.add(row[0])
            rows.setdefault(row[0].partition("/")[2], row)
    notes = [note for tree in trees.values() for note in tree.notes]
    if len(seen) > len(rows):
        notes.append(f"{len(seen) - len(rows):,} drawings are in two of the sets and were taken once")
    classes = class_order(label for _, label, _ in rows.values())
    return listed(_joined(where, trees), "omniglot", list(rows.values()), classes=classes, taxonomy=from_folders(classes),
                  notes=notes, told=seen)  # fmt: skip


def _sets(root: Path) -> dict[str, Path]:
    """The sets in a folder, each a folder or a zip."""
    found = {name: next((p for p in (root / name, root / f"{name}.zip") if p.exists()), None) for name in SETS}
    return {name: file for name, file in found.items() if file is not None}


def _of_set(name: str, tree: Tree) -> list[Row]:
    files = [file for file in tree.files if may_be_image(file)]
    if odd := [file for file in files if file.count("/") != 2]:
        raise UserError(f"{name}/{odd[0]} is at the wrong depth", tree.where, "expected ALPHABET/CHARACTER/FILE.png")
    drawings = Counter(file.rpartition("/")[0] for file in files)
    if len(drawings) != SETS[name]:
        raise UserError(
            f"{name} holds {len(drawings)} characters, {SETS[name]} were expected", tree.where, "copy the whole set"
        )
    if short := [label for label in drawings if drawings[label] != N_DRAWINGS]:
        raise UserError(
            f"{name}/{short[0]} holds {drawings[short[0]]} drawings, {N_DRAWINGS} were expected", tree.where,
            "copy the whole set",
        )  # fmt: skip
    return [(f"{name}/{file}", file.rpartition("/")[0], None) for file in files]


def _joined(where: str, trees: Mapping[str, Tree]) -> Tree:
    """Several trees as one, each below its name."""

    def content(name: str) -> Data:
        top, _, rest = name.partition("/")
        return trees[top].content(rest)

    files = {f"{top}/{name}": facts for top, tree in trees.items() for name, facts in tree.files.items()}
    return Tree(where, files, content)


FORMAT = Format(
    name="omniglot", title="Omniglot", explained="handwritten characters of 50 alphabets",
    path="one of the sets, as a folder or a zip, or a folder that contains some", read=read,
)  # fmt: skip
