"""A taxonomy's label sets as text, JSON or CSV: the classes that each label joins, and how balanced the labels are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from transferlab.errors import UserError
from transferlab.taxonomy import classlists
from transferlab.taxonomy.balance import balanced
from transferlab.taxonomy.drawing import BAR_WIDTH, WIDTH, Drawing, counted, fitted, short
from transferlab.taxonomy.tree import LabelSet, Taxonomy
from transferlab.text import csv_text, printable

Format = Literal["text", "json", "csv"]


@dataclass(frozen=True)
class Asked:
    """What to show: a depth, a number of merge passes or of balanced labels, comma-separated nodes, a node to draw."""

    cut: int | None = None
    merge_up: int | None = None
    balanced: int | None = None
    under: str | None = None
    tree: str | None = None


def show(taxonomy: Taxonomy, form: Format, asked: Asked) -> str:
    """The text to print; an overview of all cuts if nothing was asked for. A tree may be drawn with one label set.

    Raises:
        UserError: more than one label set asked for, or a depth, number, pass or node that does not exist.
    """
    sets = [option for option in (asked.cut, asked.merge_up, asked.balanced, asked.under) if option is not None]
    if len(sets) > 1 or (asked.under is not None and asked.tree is not None):
        options = "--cut, --merge-up, --balanced, --under, --tree"
        raise UserError("several label sets were asked for", options, "name one of them; --tree also draws a label set")
    if asked.under is not None:
        leaves = under(taxonomy, asked.under)
        if form == "json":
            return json.dumps({"leaves": leaves}) + "\n"
        return (
            csv_text([leaf] for leaf in leaves) if form == "csv" else "".join(f"{printable(leaf)}\n" for leaf in leaves)
        )
    labels = _asked_for(taxonomy, asked)
    if asked.tree is not None:
        return _tree(Drawing(taxonomy, labels), _one_node(taxonomy, asked.tree), form)
    return label_set(taxonomy, labels, form) if labels else _overview(taxonomy, form)


def under(taxonomy: Taxonomy, nodes: str) -> list[str]:
    """The classes at or below these comma-separated nodes along any path, in class-index order.

    Raises:
        UserError: an unknown node.
    """
    wanted = {node for text in nodes.split(",") for node in classlists.nodes(taxonomy, text.strip())}
    return [leaf for leaf in taxonomy.leaves if leaf in wanted or wanted & taxonomy.ancestors(leaf)]


def label_set(taxonomy: Taxonomy, labels: LabelSet, form: Format) -> str:
    """One label set with the classes of each label; text has the largest first, and labels of one class on one line."""
    if form == "json":
        # A balanced label may be only part of its node, which only its name says.
        balanced = labels.made_by.startswith("balanced")
        named = {"names": dict(zip(labels.labels, labels.names, strict=True))} if balanced else {}
        return json.dumps({**labels.to_dict(), **named}) + "\n"
    if form == "csv":
        rows = [[leaf, label] for label, leaves in zip(labels.labels, labels.members, strict=True) for leaf in leaves]
        return csv_text([["leaf", "label"], *rows])
    sizes = [len(leaves) for leaves in labels.members]
    lines = [headline(labels)]
    order = sorted(range(len(sizes)), key=lambda label: (-sizes[label], label))
    for i in order:
        if sizes[i] > 1:
            share = sizes[i] / len(labels.leaves)
            samples = ", ".join(short(taxonomy, leaf) for leaf in labels.members[i])
            # The name of a part of a node is shown whole, that of a node only up to its first comma.
            name = labels.names[i] if " without " in labels.names[i] else labels.names[i].split(",")[0]
            ident = f" [{labels.labels[i]}]" if labels.labels[i] != name else ""
            lines.append(fitted(f"{counted(sizes[i], share, BAR_WIDTH)}{name}{ident}: {samples}", WIDTH))
    alone = [i for i in order if sizes[i] == 1]
    if alone:
        names = ", ".join(short(taxonomy, labels.members[i][0]) for i in alone)
        lines.append(
            fitted(f"{len(alone):>5} {'label' if len(alone) == 1 else 'labels'} of one class each: {names}", WIDTH)
        )
    return "\n".join(map(printable, lines)) + "\n"


def headline(labels: LabelSet) -> str:
    """The numbers of a label set in one line."""
    facts, sizes = labels.to_dict(), labels.sizes()
    share = 100 * int(sizes.max()) / int(sizes.sum())
    return f"{labels.made_by}: {facts['n_labels']} labels, {facts['effective_labels']:.2f} effective, largest {share:.1f} %"


def _asked_for(taxonomy: Taxonomy, asked: Asked) -> LabelSet | None:
    if asked.cut is not None:
        return taxonomy.cut(asked.cut)
    if asked.merge_up is not None:
        return taxonomy.merge_up(asked.merge_up)
    return None if asked.balanced is None else balanced(taxonomy, asked.balanced)


def _one_node(taxonomy: Taxonomy, text: str) -> str:
    """The one node of this name; raises UserError for several nodes, or for a synset without a class below it."""
    found = classlists.nodes(taxonomy, text) if text else (taxonomy.root,)
    if len(found) != 1:
        what = f"{text!r} names {len(found)} nodes of the taxonomy" if found else f"no class is below {text!r}"
        raise UserError(what, "--tree", "name one node with classes below it; '' is the root")
    return found[0]


def _overview(taxonomy: Taxonomy, form: Format) -> str:
    rows: list[list[str]] = []
    for depth in range(taxonomy.max_depth, -1, -1):
        labels = taxonomy.cut(depth)
        sizes = labels.sizes()
        share = 100 * int(sizes.max()) / int(sizes.sum())
        rows.append(
            [str(depth), str(len(labels.labels)), f"{labels.to_dict()['effective_labels']:.2f}", f"{share:.1f}"]
        )
    head = ["depth", "labels", "effective", "largest_percent"]
    if form == "json":
        return json.dumps([dict(zip(head, map(float, row), strict=True)) for row in rows]) + "\n"
    if form == "csv":
        return csv_text([head, *rows])
    lines = [f"{len(taxonomy.leaves)} classes, {len(taxonomy.parents)} nodes; --cut D gives"]
    lines += [f"  depth {d:>2}: {n:>5} labels, {e:>8} effective, largest {s:>5} %" for d, n, e, s in rows]
    return "\n".join(lines) + "\n"


def _tree(drawing: Drawing, node: str, form: Format) -> str:
    """The tree of chains below a node; JSON and CSV have all of it, text what fits on a few screens."""
    if form == "text":
        head = [] if drawing.labels is None else [headline(drawing.labels)]
        return "\n".join(map(printable, [*head, *drawing.lines(node)])) + "\n"
    names = drawing.taxonomy.names
    if form == "json":
        return json.dumps([{"depth": d, "id": n, "name": names[n], "leaves": drawing.n_classes[n]}
                           for d, n in drawing.nodes(node)]) + "\n"  # fmt: skip
    rows = [[d, n, names[n], drawing.n_classes[n]] for d, n in drawing.nodes(node)]
    return csv_text([["depth", "id", "name", "leaves"], *rows])
