"""Label sets with a chosen number of labels, of as equal size as the taxonomy allows.

Cuts confound the number of labels with their balance: ImageNet's 9 labels at depth 3 amount to 1.3 effective ones. Here
n - 1 branches are separated from the tree of chains (rule 4), which leaves n connected pieces, each of them a label:

1. Repeatedly separate the branch that lowers the sum of the labels' squared sizes most. Every step adds one label, so any
   number can be reached exactly.
2. Put each separated branch back in turn and separate the best branch instead, if it is better; repeat until a whole
   round changes nothing.

Sizes are whole numbers, so equal data give equal labels on every machine. Of equally good branches the first in post-order
is taken, with children in the order of ids. A label's id is the lowest node above all of its classes; no two pieces share
it. A label that is only part of its node says so in its name: "animal without bird, mammal".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.taxonomy.tree import LabelSet, Taxonomy

MOST_NAMED = 3  # missing branches that a label's name lists


def balanced(taxonomy: Taxonomy, n_labels: int, images_per_leaf: NDArray[np.int64] | None = None) -> LabelSet:
    """The label set with so many labels of similar size.

    Args:
        images_per_leaf: int [n_leaves], 0 or more; if None, every class counts as one image.

    Raises:
        UserError: fewer labels than 1, or more than there are classes with images.
    """
    weights = np.ones(len(taxonomy.leaves), np.int64) if images_per_leaf is None else images_per_leaf.astype(np.int64)
    most = int((weights > 0).sum())
    if not 1 <= n_labels <= most:
        raise UserError(f"no balanced set of {n_labels} labels", "taxonomy", f"choose from 1 to {most}")
    pieces = _Pieces(taxonomy, weights)
    separated = [pieces.separate(pieces.best()) for _ in range(n_labels - 1)]
    better = True
    while better:
        better = False
        for i, branch in enumerate(separated):
            pieces.put_back(branch)
            best = pieces.best()
            changed = bool(pieces.gains()[best] > pieces.gains()[branch])
            separated[i] = pieces.separate(best if changed else branch)
            better |= changed
    return _named(taxonomy, [pieces.top[pieces.place[leaf]] for leaf in taxonomy.leaves], "balanced")


class _Pieces:
    """The tree of chains in post-order, divided into connected pieces; a piece is identified by its highest node's place."""

    def __init__(self, taxonomy: Taxonomy, weights: NDArray[np.int64]) -> None:
        order = _post_order(taxonomy)
        self.place = {node: i for i, node in enumerate(order)}
        self.up = [self.place[taxonomy.parents[node][0]] if taxonomy.parents[node] else -1 for node in order]
        # Of each branch: its classes that are in the same piece as its node.
        self.weight = np.zeros(len(order), np.int64)
        self.weight[[self.place[leaf] for leaf in taxonomy.leaves]] = weights
        self.n_below = np.ones(len(order), np.int64)
        for i, above in enumerate(self.up[:-1]):
            self.weight[above] += self.weight[i]
            self.n_below[above] += self.n_below[i]
        self.top = np.full(len(order), len(order) - 1, np.int64)

    def gains(self) -> NDArray[np.int64]:
        """How much the sum of squared sizes would fall if each branch were separated, int64 [n_nodes]."""
        return 2 * self.weight * (self.weight[self.top] - self.weight)

    def best(self) -> int:
        return int(self.gains().argmax())

    def separate(self, branch: int) -> int:
        self._move(branch, int(self.top[branch]), branch, -1)
        return branch

    def put_back(self, branch: int) -> None:
        self._move(branch, branch, int(self.top[self.up[branch]]), 1)

    def _move(self, branch: int, old: int, new: int, sign: int) -> None:
        """Move a branch's nodes from piece ``old`` to piece ``new``, and update the sizes above it."""
        upper = old if sign < 0 else new
        at = branch
        while at != upper:
            at = self.up[at]
            self.weight[at] += sign * self.weight[branch]
        below = self.top[branch - self.n_below[branch] + 1 : branch + 1]
        below[below == old] = new


def _post_order(taxonomy: Taxonomy) -> list[str]:
    """All nodes on chains, children before their parents, the root last."""
    children: dict[str, list[str]] = {}
    for node in sorted({node for leaf in taxonomy.leaves for node in taxonomy.chain(leaf)}, reverse=True):
        if taxonomy.parents[node]:
            children.setdefault(taxonomy.parents[node][0], []).append(node)
    order: list[str] = []
    waiting = [taxonomy.root]
    while waiting:  # in reverse: parents first, the last child first
        order.append(waiting.pop())
        waiting += reversed(children.get(order[-1], []))
    return order[::-1]


def _named(taxonomy: Taxonomy, piece_of_leaf: Sequence[int], made_by: str) -> LabelSet:
    """The pieces as a label set; each label is the lowest node above all of its classes."""
    members: dict[int, list[str]] = {}
    for leaf, piece in zip(taxonomy.leaves, piece_of_leaf, strict=True):
        members.setdefault(int(piece), []).append(leaf)
    node_of = {piece: _lowest_above(taxonomy, leaves) for piece, leaves in members.items()}
    ids = tuple(sorted(node_of.values()))
    of_leaf = np.array([ids.index(node_of[int(piece)]) for piece in piece_of_leaf], np.int32)
    taken: dict[str, list[str]] = {label: [] for label in ids}
    for label in ids:
        if over := next((node for node in taxonomy.chain(label)[1:] if node in taken), None):
            taken[over].append(label)
    names = tuple(_name(taxonomy, label, taken[label]) for label in ids)
    return LabelSet(ids, of_leaf, names, taxonomy.leaves, made_by)


def _lowest_above(taxonomy: Taxonomy, leaves: Sequence[str]) -> str:
    common = set(taxonomy.chain(leaves[0]))
    for leaf in leaves[1:]:
        common &= set(taxonomy.chain(leaf))
    return next(node for node in taxonomy.chain(leaves[0]) if node in common)


def _name(taxonomy: Taxonomy, label: str, without: Sequence[str]) -> str:
    if not without:
        return taxonomy.names[label]
    short = [taxonomy.names[node].split(",")[0] for node in (label, *without[:MOST_NAMED])]
    more = f" and {len(without) - MOST_NAMED} more" if len(without) > MOST_NAMED else ""
    return f"{short[0]} without {', '.join(short[1:])}{more}"
