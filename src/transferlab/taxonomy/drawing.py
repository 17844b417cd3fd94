"""A taxonomy drawn as a tree in text, with the share of its classes under each node, or with a label set's labels.

It shows the tree on which label sets are made: each node is drawn below its first parent (rule 4), so that shares add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from transferlab.taxonomy import classlists, wordnet
from transferlab.taxonomy.tree import LabelSet, Taxonomy

WIDTH = 80  # columns
BAR_WIDTH = 8
MOST_LINES = 100  # above that, single classes are folded into one line, then the deepest nodes; JSON has all
FOLDED = "…"


@dataclass(frozen=True)
class Row:
    """A line: its depth in the drawing, its text, and its number of classes (None for nodes that only lead to labels)."""

    depth: int
    text: str
    n_classes: int | None


@dataclass(frozen=True, eq=False)
class Drawing:
    """A taxonomy, and the label set to draw on it, if any."""

    taxonomy: Taxonomy
    labels: LabelSet | None = None

    @cached_property
    def n_classes(self) -> dict[str, int]:
        """Every node on a chain to the number of classes whose chain contains it."""
        found: dict[str, int] = {}
        for leaf in self.taxonomy.leaves:
            for node in self.taxonomy.chain(leaf):
                found[node] = found.get(node, 0) + 1
        return found

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Every node on a chain to its children there, the largest first."""
        found: dict[str, list[str]] = {}
        for node in sorted(self.n_classes, key=lambda node: (-self.n_classes[node], node)):
            if self.taxonomy.parents[node]:
                found.setdefault(self.taxonomy.parents[node][0], []).append(node)
        return found

    @cached_property
    def size_of(self) -> dict[str, int]:
        """Each label to the number of its classes; without a label set each class to 1."""
        if self.labels is None:
            return dict.fromkeys(self.taxonomy.leaves, 1)
        return {label: len(leaves) for label, leaves in zip(self.labels.labels, self.labels.members, strict=True)}

    def nodes(self, top: str) -> Iterator[tuple[int, str]]:
        """A node and all nodes below it on chains, each with its depth below the first; none if it is on no chain."""
        waiting = [(0, top)] if top in self.n_classes else []
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting += [(depth + 1, child) for child in reversed(self.children.get(node, []))]

    def lines(self, top: str) -> list[str]:
        """The drawing of a node and what is below it: at most ``MOST_LINES`` lines, and two that say what is left out."""
        rows = list(self._rows(top, 0, fold=False, deepest=10**6))
        deepest = max(row.depth for row in rows)
        while len(rows) > MOST_LINES and deepest > 0:
            rows = list(self._rows(top, 0, fold=True, deepest=deepest))
            deepest -= 1
        whole = len(self.taxonomy.leaves) if self.labels else max(1, self.n_classes.get(top, 0))
        drawn = [_line(row, whole) for row in _with_branches(rows)]
        notes: list[str] = []
        aside = sum(top in self.taxonomy.ancestors(leaf) for leaf in self.taxonomy.leaves if leaf != top)
        aside -= self.n_classes.get(top, 0) - (top in self.taxonomy.leaves)
        if aside:
            notes.append(f"{aside} more classes are below it by a parent that is not their first")
        if any(row.text.endswith(FOLDED) for row in rows):
            notes.append(f"{FOLDED} at the end of a line: folded; --tree NODE draws a part, --format json has all")
        return [*drawn, *notes]

    def _rows(self, node: str, depth: int, *, fold: bool, deepest: int) -> Iterator[Row]:
        """The rows of a node and what is below it; nodes with a single child are skipped unless they are labels."""
        below = self._below(node)
        while node not in self.size_of and len(below) == 1:
            node, below = below[0], self._below(below[0])
        folded = depth >= deepest and bool(below)
        yield self._row(node, depth, f" {FOLDED}" if folded else "")
        if folded:
            return
        alone = [child for child in below if self._labels_below[child] == self.n_classes[child] == 1] if fold else []
        alone = alone if len(alone) > 1 else []
        for child in below:
            if child not in alone:
                yield from self._rows(child, depth + 1, fold=fold, deepest=deepest)
        if alone:
            names = ", ".join(short(self.taxonomy, self._lowest(child)) for child in alone)
            yield Row(depth + 1, f"{len(alone)} × 1: {names}", None)

    def _row(self, node: str, depth: int, mark: str) -> Row:
        text = ident(self.taxonomy, node)
        if self.labels is None:
            return Row(depth, text + mark, self.n_classes.get(node, 0))
        if node not in self.size_of:
            return Row(depth, text + mark, None)
        place = self.labels.labels.index(node)
        leaves, name = self.labels.members[place], self.labels.names[place]
        text = name if " without " in name else text
        sample = "" if leaves == (node,) else ": " + ", ".join(short(self.taxonomy, leaf) for leaf in leaves)
        return Row(depth, f"■ {text}{sample}{mark}", len(leaves))

    def _below(self, node: str) -> list[str]:
        """The children at or above a label."""
        return [child for child in self.children.get(node, []) if child in self._labels_below]

    @cached_property
    def _labels_below(self) -> dict[str, int]:
        """Every node to the number of labels at or below it."""
        found: dict[str, int] = {}
        for label in self.size_of:
            for node in self.taxonomy.chain(label):
                found[node] = found.get(node, 0) + 1
        return found

    def _lowest(self, node: str) -> str:
        """The class at the end of a branch that holds a single one."""
        while self.children.get(node):
            node = self.children[node][0]
        return node


def bar(share: float, width: int) -> str:
    """A bar that fills its width at a share of 1; any share above 0 is visible."""
    eighths = max(1, round(8 * width * share)) if share > 0 else 0
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()).ljust(width)


def fitted(text: str, width: int) -> str:
    """The text, cut to at most so many columns."""
    return text if len(text) <= width else text[: width - 1] + "…"


def short(taxonomy: Taxonomy, node: str) -> str:
    """A node's name up to its first comma."""
    return taxonomy.names[node].split(",")[0] or node


def ident(taxonomy: Taxonomy, node: str) -> str:
    """A node's name as commands accept it: the synset's in WordNet, otherwise the display name with the id."""
    if classlists.is_wordnet(taxonomy) and wordnet.known(node):
        return wordnet.name(node)
    return node if taxonomy.names[node] == node else f"{taxonomy.names[node]} [{node}]"


def _with_branches(rows: list[Row]) -> list[Row]:
    """The rows with the branches of the tree before their text."""
    last_at: dict[int, bool] = {}  # depth to whether its branch continues below, seen from the bottom
    marked: list[Row] = []
    for row in reversed(rows):
        ends = not last_at.get(row.depth, False)
        last_at = {depth: open_ for depth, open_ in last_at.items() if depth < row.depth} | {row.depth: True}
        before = "".join("│ " if last_at.get(depth) else "  " for depth in range(1, row.depth))
        own = "" if row.depth == 0 else "└ " if ends else "├ "
        marked.append(Row(row.depth, before + own + row.text, row.n_classes))
    return marked[::-1]


def _line(row: Row, whole: int) -> str:
    if row.n_classes is None:
        return fitted(" " * (BAR_WIDTH + 15) + row.text, WIDTH)
    return fitted(counted(row.n_classes, row.n_classes / whole, BAR_WIDTH) + row.text, WIDTH)


def counted(n_classes: int, share: float, width: int) -> str:
    """The first columns of a line: a number of classes, their share of all, and its bar."""
    return f"{n_classes:>5} {100 * share:>5.1f} % {bar(share, width)} "
