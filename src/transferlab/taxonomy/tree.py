"""Classes as leaves of a directed acyclic graph; cuts, merges, subtrees, similarity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Classes and their ancestors.

    Args:
        leaves: class ids in the order of class indices; a class of nested folders is its full path ("mammal/bat").
        names: id to display name, for every node.
        parents: id to parents, sorted so that the first is the one that the chain follows; the root has none.
        root: id of the one node without parents.
    """

    leaves: tuple[str, ...]
    names: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]
    root: str
