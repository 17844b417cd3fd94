"""A taxonomy's label sets as text, JSON or CSV: what a cut or merge joins, and how unbalanced it leaves things."""

from __future__ import annotations

import csv
import io
import json
from typing import Literal

from transferlab.errors import UserError
from transferlab.taxonomy.tree import LabelSet, Taxonomy

Format = Literal["text", "json", "csv"]
MOST_LINES = 400


def show(
    taxonomy: Taxonomy, form: Format, *, cut: int | None, merge_up: int | None, under: str | None, tree: str | None
) -> str:
    """What was asked for, or an overview of all cuts where nothing was.

    Raises:
        UserError: more than one thing asked for, a depth, pass or node that is not there.
    """
    asked = [option for option in (cut, merge_up, under, tree) if option is not None]
    if len(asked) > 1:
        raise UserError("several label sets were asked for", "--cut, --merge-up, --under, --tree", "name one of them")
    if cut is not None or merge_up is not None:
        return label_set(taxonomy.cut(cut) if cut is not None else taxonomy.merge_up(merge_up or 0), form)
    if under is not None:
        nodes = [node.strip() for node in under.split(",")]
        leaves = {leaf for node in nodes for leaf in taxonomy.leaves_under(node)}
        ordered = [leaf for leaf in taxonomy.leaves if leaf in leaves]
        if form == "json":
            return json.dumps({"leaves": ordered}) + "\n"
        return "".join(f"{leaf if form == 'csv' else _printable(leaf)}\n" for leaf in ordered)
    if tree is not None:
        return _tree(taxonomy, tree or taxonomy.root, form)
    return _overview(taxonomy, form)


def label_set(labels: LabelSet, form: Format) -> str:
    """One label set: its labels with their classes, largest first in text."""
    if form == "json":
        return json.dumps(labels.to_dict()) + "\n"
    sizes = labels.sizes()
    if form == "csv":
        rows = [[leaf, label] for label, leaves in zip(labels.labels, labels.members, strict=True) for leaf in leaves]
        return _csv(["leaf", "label"], rows)
    facts = labels.to_dict()
    lines = [f"{labels.made_by}: {facts['n_labels']} labels, {facts['effective_labels']:.2f} effective, "
             f"largest {100 * int(sizes.max()) / int(sizes.sum()):.1f} %"]  # fmt: skip
    for index in sorted(range(len(sizes)), key=lambda label: (-int(sizes[label]), label)):
        members = ", ".join(labels.members[index][:6]) + (", …" if sizes[index] > 6 else "")
        lines.append(f"{sizes[index]:>6}  {_printable(labels.names[index])}  [{_printable(members)}]")
    return "\n".join(lines) + "\n"


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
        return _csv(head, rows)
    lines = [f"{len(taxonomy.leaves)} classes, {len(taxonomy.parents)} nodes; --cut D gives"]
    lines += [f"  depth {d:>2}: {n:>5} labels, {e:>8} effective, largest {s} %" for d, n, e, s in rows]
    return "\n".join(lines) + "\n"


def _tree(taxonomy: Taxonomy, node: str, form: Format) -> str:
    """The nodes below one, along first parents, indented, with the number of classes under each."""
    children: dict[str, list[str]] = {}
    for child, above in taxonomy.parents.items():
        if above:
            children.setdefault(above[0], []).append(child)
    rows: list[tuple[int, str, int]] = []
    waiting = [(0, node)]
    while waiting:
        depth, here = waiting.pop()
        rows.append((depth, here, len(taxonomy.leaves_under(here))))
        waiting += [(depth + 1, child) for child in sorted(children.get(here, []), reverse=True)]
    if form == "json":
        return json.dumps([{"depth": d, "id": n, "name": taxonomy.names[n], "leaves": k} for d, n, k in rows]) + "\n"
    if form == "csv":
        return _csv(["depth", "id", "name", "leaves"], [[str(d), n, taxonomy.names[n], str(k)] for d, n, k in rows])
    lines = [f"{'  ' * d}{_printable(taxonomy.names[n])} [{_printable(n)}] {k}" for d, n, k in rows[:MOST_LINES]]
    if len(rows) > MOST_LINES:
        lines.append(f"… and {len(rows) - MOST_LINES} more; --format json has them all")
    return "\n".join(lines) + "\n"


def _csv(head: list[str], rows: list[list[str]]) -> str:
    held = io.StringIO()
    csv.writer(held, lineterminator="\n").writerows([head, *rows])
    return held.getvalue()


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)
