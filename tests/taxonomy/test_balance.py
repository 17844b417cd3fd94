"""Balanced label sets: exact counts, connected and named pieces, and how even they are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.taxonomy import classlists
from transferlab.taxonomy.balance import balanced
from transferlab.taxonomy.tree import LabelSet, Taxonomy, build, effective_labels, flat


@st.composite
def graphs(draw: st.DrawFn) -> Taxonomy:
    """Random trees with some second parents; some classes lie above others."""
    n = draw(st.integers(3, 14))
    edges = [(str(i), str(draw(st.integers(0, i - 1)))) for i in range(1, n)]
    edges += [(str(i), str(draw(st.integers(0, i - 1)))) for i in range(2, n) if draw(st.booleans())]
    inner = {parent for _, parent in edges}
    return build(edges, [str(i) for i in range(n) if str(i) not in inner or draw(st.integers(0, 3)) == 0])


def squares(labels: LabelSet, weights: np.ndarray) -> int:
    return int((labels.sizes(weights) ** 2).sum())


@settings(deadline=None, max_examples=80)
@given(graphs(), st.data())
def test_laws_of_balanced_labels(taxonomy: Taxonomy, data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 9), min_size=len(taxonomy.leaves), max_size=len(taxonomy.leaves)))
    weights = np.array(counts)
    most = int((weights > 0).sum())
    for n in range(1, most + 1):
        labels = balanced(taxonomy, n, weights)
        assert len(labels.labels) == n and (labels.sizes(weights) > 0).all()
        assert sorted(leaf for m in labels.members for leaf in m) == sorted(taxonomy.leaves)
        assert list(labels.labels) == sorted(set(labels.labels))
        for label, members in zip(labels.labels, labels.members, strict=True):
            for leaf in members:  # each class has the next label above it on its chain: pieces are connected
                assert next(node for node in taxonomy.chain(leaf) if node in labels.labels) == label
        again = balanced(taxonomy, n, weights)
        assert again.labels == labels.labels and (again.of_leaf == labels.of_leaf).all()
    for n in (0, most + 1):
        with pytest.raises(UserError, match=f"from 1 to {most}"):
            balanced(taxonomy, n, weights)


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_no_single_other_branch_is_better(taxonomy: Taxonomy) -> None:
    """And so two labels are the best two that there are, by trying all."""
    ones = np.ones(len(taxonomy.leaves), np.int64)
    if len(taxonomy.leaves) < 2:
        return
    best = min(
        sum(s * s for s in (n, len(taxonomy.leaves) - n))
        for node in taxonomy.parents
        if 0 < (n := sum(node in taxonomy.chain(leaf) for leaf in taxonomy.leaves)) < len(taxonomy.leaves)
    )
    assert squares(balanced(taxonomy, 2), ones) == best


def test_balanced_labels_of_imagenet_are_far_more_even_than_cuts_and_merges_of_as_many() -> None:
    taxonomy = classlists.taxonomy("imagenet-1k")
    for labels in [*map(taxonomy.cut, range(18)), *map(taxonomy.merge_up, (1, 2, 3))]:
        n = len(labels.labels)
        even = effective_labels(balanced(taxonomy, n).sizes())
        assert even >= effective_labels(labels.sizes()) - 1e-9
        assert even >= 0.85 * n
    nine = balanced(taxonomy, 9)
    assert round(effective_labels(nine.sizes()), 1) == 8.8  # where depth 3 has 1.3
    assert dict(zip(nine.labels, nine.names, strict=True))["n01861778"] == "mammal without dog"


def test_counts_of_images_weigh_and_a_class_without_any_stays_with_the_others() -> None:
    taxonomy = build([("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"), ("x", "r"), ("y", "r")], ["a", "b", "c", "d"])
    assert balanced(taxonomy, 2).labels == ("r", "x") or balanced(taxonomy, 2).labels == ("x", "y")
    heavy = balanced(taxonomy, 2, np.array([90, 10, 40, 40]))
    assert dict(zip(heavy.labels, heavy.members, strict=True))["a"] == ("a",)
    assert heavy.names == ("a", "r without a")
    empty = balanced(taxonomy, 3, np.array([5, 0, 5, 5]))
    assert sorted(map(len, empty.members)) == [1, 1, 2]


def test_a_flat_set_and_one_with_a_class_above_another_are_divided_too() -> None:
    labels = balanced(flat(["a", "b", "c", "d", "e"]), 3)
    assert sorted(map(len, labels.members)) == [1, 1, 3]  # flat classes have no other branches than themselves
    assert labels.names[-3] == "all without a, b" or "all without" in " ".join(labels.names)
    cifar = classlists.taxonomy("cifar-100")
    every = balanced(cifar, 100)
    assert all(len(m) == 1 for m in every.members)
    assert sorted(every.labels) == sorted(cifar.leaves)


def test_names_of_rests_are_told_apart() -> None:
    cifar = classlists.taxonomy("cifar-100")
    for n in (5, 20, 60):
        names = balanced(cifar, n).names
        assert len(set(names)) == n
    assert all(a != b for a, b in itertools.pairwise(sorted(names)))
