"""Classes and their ancestors in a directed acyclic graph; cuts, merges, subtrees.

The numbered rules are those that reproduce the label sets of Huh et al. (2016) leaf by leaf.
"""

from __future__ import annotations

import difflib
import graphlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels into which classes are merged.

    Args:
        labels: node ids, ascending (rule 11).
        of_leaf: int32 [n_leaves], each leaf's label as an index into ``labels``.
        names: display names of the labels. leaves: the class ids, in class-index order.
        made_by: for example "cut at depth 3" or "merge pass 1"; a number of labels does not identify a label set (rule 12).
    """

    labels: tuple[str, ...]
    of_leaf: NDArray[np.int32]
    names: tuple[str, ...]
    leaves: tuple[str, ...]
    made_by: str

    @cached_property
    def members(self) -> tuple[tuple[str, ...], ...]:
        """The leaves of each label."""
        return tuple(
            tuple(self.leaves[i] for i in np.flatnonzero(self.of_leaf == label)) for label in range(len(self.labels))
        )

    def sizes(self, images_per_leaf: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Images of each label, int64 [k]; without counts every leaf counts as one image."""
        weights = np.ones(len(self.leaves), np.int64) if images_per_leaf is None else images_per_leaf
        return np.bincount(self.of_leaf, weights=weights, minlength=len(self.labels)).astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the number of labels, the effective number, and each label's leaves."""
        return {
            "n_labels": len(self.labels),
            "effective_labels": effective_labels(self.sizes()),
            "labels": {label: list(leaves) for label, leaves in zip(self.labels, self.members, strict=True)},
        }


def effective_labels(sizes: NDArray[np.int64]) -> float:
    """exp(entropy) of the label shares: the number of equally large labels that would be as varied.

    Args:
        sizes: int [k], images of each label, not all zero.
    """
    shares = sizes[sizes > 0] / sizes.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Classes and their ancestors; ``build`` and ``flat`` make one and check it.

    Args:
        leaves: class ids in the order of class indices; the id of a class in nested folders is its full path ("mammal/bat").
        names: id to display name, for every node.
        parents: id to parents, sorted so that chains follow the first (rule 3); the root has none.
        root: id of the only node without parents.
        synsets: id to wnid, for classes that take the place of a WordNet synset but have their own id.
    """

    leaves: tuple[str, ...]
    names: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]
    root: str
    synsets: Mapping[str, str] = field(default_factory=dict[str, str])
    _chains: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]], repr=False)

    @property
    def is_flat(self) -> bool:
        """Whether the root is the only parent of every class."""
        return all(self.parents[leaf] == (self.root,) for leaf in self.leaves)

    def chain(self, node: str) -> tuple[str, ...]:
        """The node, its first parent, and so on to the root (rule 4); raises UserError if the node is unknown."""
        self._must_know(node)
        if node not in self._chains:
            steps = [node]
            while self.parents[steps[-1]]:
                steps.append(self.parents[steps[-1]][0])
            self._chains[node] = tuple(steps)
        return self._chains[node]

    def depth(self, node: str) -> int:
        """The number of steps to the root on the chain (rule 5)."""
        return len(self.chain(node)) - 1

    @property
    def max_depth(self) -> int:
        """The depth of the deepest class."""
        return max(self.depth(leaf) for leaf in self.leaves)

    def ancestors(self, node: str) -> frozenset[str]:
        """All nodes above this one, along any path."""
        self._must_know(node)
        return frozenset(upwards(self.parents[node], self.parents.__getitem__))

    def leaves_under(self, node: str) -> tuple[str, ...]:
        """The classes at or below this node along any path, in class-index order."""
        self._must_know(node)
        return tuple(leaf for leaf in self.leaves if leaf == node or node in self.ancestors(leaf))

    def cut(self, depth: int) -> LabelSet:
        """Each class deeper than ``depth`` gets the node of its chain at that depth as its label; others stay themselves (rule 6).

        Raises:
            UserError: a depth outside 0…max_depth.
        """
        if not 0 <= depth <= self.max_depth:
            raise UserError(f"there is no cut at depth {depth}", "taxonomy", f"depths are from 0 to {self.max_depth}")
        chains = [self.chain(leaf) for leaf in self.leaves]
        return self._label_set([c[len(c) - 1 - depth] if len(c) - 1 > depth else c[0] for c in chains],
                               f"cut at depth {depth}")  # fmt: skip

    def merge_up(self, passes: int) -> LabelSet:
        """Replace each label by its parent, then by the topmost such parent on its chain; repeat (rule 9).

        Raises:
            UserError: more passes than the taxonomy allows, or fewer than one.
        """
        current = {leaf: leaf for leaf in self.leaves}
        for done in range(passes):
            if any(label == self.root for label in current.values()):
                raise UserError(f"there is no merge pass {passes}", "taxonomy", f"passes are from 1 to {done}")
            parents = {leaf: self.parents[label][0] for leaf, label in current.items()}
            used = set(parents.values())
            current = {leaf: [up for up in self.chain(parent) if up in used][-1] for leaf, parent in parents.items()}
        if passes < 1:
            raise UserError(f"there is no merge pass {passes}", "taxonomy", "passes are counted from 1")
        return self._label_set([current[leaf] for leaf in self.leaves], f"merge pass {passes}")

    def restricted(self, classes: Sequence[str]) -> Taxonomy:
        """The part of the graph above these classes, in this order; raises UserError if one is unknown."""
        kept: set[str] = set()
        for leaf in classes:
            kept |= {leaf, *self.ancestors(leaf)}
        return Taxonomy(
            tuple(classes),
            {node: self.names[node] for node in kept},
            {node: self.parents[node] for node in kept},
            self.root,
            {node: wnid for node, wnid in self.synsets.items() if node in kept},
        )

    def to_plain(self) -> dict[str, Any]:
        """Plain data for JSON, in a fixed order; ``from_plain`` inverts it. Without synsets their entry is left out."""
        nodes = sorted(self.parents)
        return {
            "leaves": list(self.leaves),
            "root": self.root,
            "nodes": {node: {"name": self.names[node], "parents": list(self.parents[node])} for node in nodes},
            **({"synsets": dict(sorted(self.synsets.items()))} if self.synsets else {}),
        }

    def _label_set(self, label_of_leaf: list[str], made_by: str) -> LabelSet:
        labels, of_leaf = np.unique(np.array(label_of_leaf, dtype=object), return_inverse=True)
        ids = tuple(str(label) for label in labels)
        names = tuple(self.names[label] for label in ids)
        return LabelSet(ids, of_leaf.astype(np.int32), names, self.leaves, made_by)

    def _must_know(self, node: str) -> None:
        if node not in self.parents:
            near = difflib.get_close_matches(node, self.parents, n=3)
            hint = f"did you mean {', '.join(map(repr, near))}? " if near else ""
            raise UserError(f"the taxonomy has no node {node!r}", "taxonomy", f"{hint}use an id that --tree '' shows")


def upwards(start: Iterable[str], parents: Callable[[str], tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """These nodes and all above them along any path, each with its parents."""
    found: dict[str, tuple[str, ...]] = {}
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = parents(node)
            waiting += found[node]
    return found


def from_plain(plain: Mapping[str, Any]) -> Taxonomy:
    """The taxonomy that ``to_plain`` wrote."""
    nodes = plain["nodes"]
    return Taxonomy(
        tuple(plain["leaves"]),
        {node: facts["name"] for node, facts in nodes.items()},
        {node: tuple(facts["parents"]) for node, facts in nodes.items()},
        plain["root"],
        plain.get("synsets", {}),  # packs made before 2026-11-27 have none
    )


def flat(classes: Sequence[str], names: Mapping[str, str] | None = None) -> Taxonomy:
    """A taxonomy whose classes have no ancestors but one root."""
    root = _free_name("all", classes)
    edges = [(leaf, root) for leaf in classes]
    return build(edges, classes, {root: "all", **(names or {})})


def build(
    edges: Iterable[tuple[str, str]],
    classes: Sequence[str],
    names: Mapping[str, str] | None = None,
    *,
    prune: bool = False,
    join_roots: bool = False,
) -> Taxonomy:
    """A checked taxonomy from child, parent pairs.

    Args:
        edges: (child, parent) ids; a node may have several parents.
        classes: class ids in class-index order; a class may be above another.
        names: display names; the default is the last part of the id.
        prune: drop nodes that have no class at or below them.
        join_roots: put several roots under a new one.

    Raises:
        UserError: a cycle, a class that is not in the graph, two roots, a leaf without images, duplicate classes.
    """
    _must_differ(classes)
    parents: dict[str, set[str]] = {}
    for child, parent in edges:
        parents.setdefault(child, set()).add(parent)
        parents.setdefault(parent, set())
    absent = [c for c in classes if c not in parents]
    if absent:
        raise UserError(
            f"{len(absent)} classes are not in the taxonomy, for example {absent[0]!r}", "taxonomy", "add them to it"
        )
    _must_be_acyclic(parents)
    parents = _without_idle_leaves(parents, set(classes), prune=prune)
    roots = sorted(node for node, above in parents.items() if not above)
    if len(roots) > 1:
        if not join_roots:
            shown = ", ".join(repr(r) for r in roots[:4])
            raise UserError(f"the taxonomy has {len(roots)} roots: {shown}", "taxonomy", "add join_roots=yes")
        top = _free_name("all", parents)
        parents |= {root: {top} for root in roots} | {top: set()}
        roots = [top]
    given = names or {}
    named = {node: given.get(node) or node.rsplit("/", 1)[-1] for node in parents}

    def rank(node: str) -> tuple[str, str]:
        return named[node].split(",")[0].strip().lower().replace(" ", "_"), node

    return Taxonomy(tuple(classes), named, {n: tuple(sorted(up, key=rank)) for n, up in parents.items()}, roots[0])


def _must_differ(classes: Sequence[str]) -> None:
    if len(set(classes)) < len(classes):
        repeated = min(c for c, n in Counter(classes).items() if n > 1)
        raise UserError(f"the class {repeated!r} occurs twice", "taxonomy", "give every class an id of its own")


def _must_be_acyclic(parents: Mapping[str, set[str]]) -> None:
    try:
        graphlib.TopologicalSorter(parents).prepare()
    except graphlib.CycleError as error:
        ring = error.args[1][::-1]  # from children to parents
        raise UserError(
            f"the taxonomy has a cycle: {' > '.join(ring[:6])}", "taxonomy", "remove one of its edges"
        ) from error


def _without_idle_leaves(parents: dict[str, set[str]], classes: set[str], *, prune: bool) -> dict[str, set[str]]:
    inner = {up for above in parents.values() for up in above}
    idle = sorted(node for node in parents if node not in inner and node not in classes)
    if idle and not prune:
        raise UserError(
            f"{len(idle)} leaves of the taxonomy have no images, for example {idle[0]!r}",
            "taxonomy",
            "remove them, or add prune=yes to ignore whatever has no images",
        )
    needed = upwards(classes, lambda node: tuple(parents[node]))
    return {node: set(above) for node, above in parents.items() if node in needed}


def _free_name(wish: str, taken: Iterable[str]) -> str:
    names = set(taken)
    while wish in names:
        wish = f"({wish})"
    return wish
