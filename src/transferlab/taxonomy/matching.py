"""The source's classes that a target also has: compared by WordNet if both have synsets, otherwise by name.

Huh et al. removed a class if it is one of the target's synsets or lies below one along any path. That is narrower than
the words suggest: siblings of a synset stay (zebra beside horse, pickup beside car, television beside monitor).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transferlab.taxonomy import classlists, wordnet
from transferlab.taxonomy.tree import Taxonomy, upwards


@dataclass(frozen=True)
class Match:
    """A target's classes with the source's classes that match them.

    Args:
        classes: each target class, in order, to the source's classes that are equal to it or below it, perhaps none.
        by_name: the target classes that were compared by name because they have no unique synset.
    """

    classes: Mapping[str, tuple[str, ...]]
    by_name: tuple[str, ...]

    @property
    def absent(self) -> tuple[str, ...]:
        """Target classes that match no source class."""
        return tuple(name for name, leaves in self.classes.items() if not leaves)


def match(source: Taxonomy, target: Taxonomy) -> Match:
    """Find the source's classes at or under each of the target's.

    A class's synset is its wnid, the one that its taxonomy or a shipped list gives it, or its name's only noun sense. Two
    classes with synsets are compared in WordNet along any path, all others by name: a source class matches if it, or a
    node above it other than the root, shares an id or any comma-separated term of its name with the target's class, case
    ignored.
    """
    ours, theirs = _synsets(source), _synsets(target)
    over = {leaf: _over(source, leaf, ours.get(leaf)) for leaf in source.leaves}
    called = {node: _terms(source, node) for node in source.parents if node != source.root}
    terms_over = {
        leaf: set[str]().union(*(called[n] for n in (leaf, *source.ancestors(leaf)) if n in called))
        for leaf in source.leaves
    }
    found: dict[str, tuple[str, ...]] = {}
    for name in target.leaves:
        terms, wnid = _terms(target, name), theirs.get(name)
        found[name] = tuple(
            leaf for leaf in source.leaves
            if (wnid in over[leaf] if wnid is not None and over[leaf] else bool(terms & terms_over[leaf]))
        )  # fmt: skip
    return Match(found, tuple(name for name in target.leaves if name not in theirs))


def _synsets(taxonomy: Taxonomy) -> dict[str, str]:
    """The classes that have a unique synset."""
    found = classlists.find(taxonomy.leaves, taxonomy.names).synsets
    return {**found, **{leaf: taxonomy.synsets[leaf] for leaf in taxonomy.leaves if leaf in taxonomy.synsets}}


def _over(taxonomy: Taxonomy, leaf: str, wnid: str | None) -> set[str]:
    """The synsets at or above a class: WordNet's, and those that its own taxonomy names by wnid."""
    own = {node for node in taxonomy.ancestors(leaf) if wordnet.known(node)}
    return set(upwards([*own, *([wnid] if wnid else [])], wordnet.parents))


def _terms(taxonomy: Taxonomy, node: str) -> set[str]:
    return {node, *(term.strip().lower() for term in taxonomy.names[node].split(","))}
