"""What SUN-397 and Places365 share: lists of images whose classes are paths such as ``/a/bow_window/outdoor``.

A class is its path without the leading letter. Classes below one folder, such as ``bow_window/indoor`` and
``bow_window/outdoor``, are a group of the taxonomy. The coarser hierarchies of both sets are published as spreadsheets,
which ``?taxonomy=FILE`` reads once they are saved as a table.
"""

from __future__ import annotations

import re

from transferlab.errors import UserError
from transferlab.images.sources.filetree import Tree


def list_of(tree: Tree, places: tuple[str, ...], name: str, archive: str) -> str:
    """A list's name in the first of these places that has it; raises UserError, naming its archive, if none has."""
    found = tree.first_of(places, name)
    if found is None:
        raise UserError(f"{name} is not there", tree.where, f"it comes in {archive}: put it beside the images")
    return found


def scene_of(tree: Tree, list_: str, line: str, path: str) -> str:
    """The class of a path in a line of a list, "apartment_building/outdoor" of ``/a/apartment_building/outdoor``.

    Raises:
        UserError: it is another kind of path.
    """
    match = re.fullmatch(r"/[a-z]/([^/ ]+(?:/[^/ ]+)*)", path)
    if match is None:
        raise UserError(
            f"{list_} has the line {line!r}", tree.where, "lines such as /a/abbey or /a/abbey/FILE were expected"
        )
    return match[1]
