"""Taxonomies: the paper's rules, what is rejected, and laws over random graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.taxonomy.readers import from_folders
from transferlab.taxonomy.tree import Taxonomy, build, effective_labels, flat, from_plain

SHARED = Path(__file__).parents[2].parent / "shared"

EDGES = [("animal", "thing"), ("dog", "animal"), ("cat", "animal"), ("pug", "dog"), ("lab", "dog"), ("cup", "thing")]
CLASSES = ["pug", "lab", "cat", "cup"]


def tree() -> Taxonomy:
    return build(EDGES, CLASSES)


def test_chains_depths_and_ancestors() -> None:
    taxonomy = tree()
    assert taxonomy.chain("pug") == ("pug", "dog", "animal", "thing")
    assert [taxonomy.depth(c) for c in CLASSES] == [3, 3, 2, 1]
    assert taxonomy.ancestors("cat") == {"animal", "thing"}
    assert taxonomy.leaves_under("animal") == ("pug", "lab", "cat")


def test_a_cut_leaves_shallow_classes_alone() -> None:
    labels = tree().cut(2)
    assert labels.labels == ("cat", "cup", "dog")
    assert dict(zip(labels.labels, labels.members, strict=True))["dog"] == ("pug", "lab")
    assert tree().cut(0).labels == ("thing",)
    assert tree().cut(3).labels == tuple(sorted(CLASSES))


def test_a_merge_pass_moves_every_class_up_and_joins_nested_labels() -> None:
    labels = tree().merge_up(1)
    # parents are dog, animal and thing; each is replaced by the topmost of these on its chain
    assert labels.labels == ("thing",)
    deep = build([("a", "r"), ("b", "r"), ("c", "a"), ("d", "a"), ("e", "b")], ["c", "d", "e"])
    assert deep.merge_up(1).labels == ("a", "b")
    assert deep.merge_up(2).labels == ("r",)
    with pytest.raises(UserError, match="1 to 2"):
        deep.merge_up(3)


def test_the_first_parent_by_name_is_followed_and_the_order_of_edges_does_not_count() -> None:
    edges = [("x", "1"), ("x", "2"), ("1", "0"), ("2", "0"), ("y", "1")]
    names = {"1": "zebra, horse", "2": "ant eater"}
    for order in (edges, edges[::-1]):
        taxonomy = build(order, ["x", "y"], names)
        assert taxonomy.chain("x") == ("x", "2", "0")
    assert taxonomy.ancestors("x") == {"1", "2", "0"}


@pytest.mark.parametrize(
    ("edges", "classes", "words"),
    [
        ([("a", "b"), ("b", "a")], ["a"], "cycle"),
        ([("a", "r"), ("b", "s")], ["a", "b"], "2 roots"),
        ([("a", "r"), ("b", "r")], ["a"], "no images"),
        ([("a", "r")], ["a", "q"], "not in the taxonomy"),
        ([("a", "r")], ["a", "a"], "twice"),
    ],
)
def test_what_is_wrong_is_told(edges: list[tuple[str, str]], classes: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        build(edges, classes)


def test_roots_are_joined_and_idle_leaves_pruned_on_request() -> None:
    assert build([("a", "r"), ("b", "s")], ["a", "b"], join_roots=True).root == "all"
    pruned = build([("a", "r"), ("b", "r"), ("c", "b")], ["a"], prune=True)
    assert set(pruned.parents) == {"a", "r"}


def test_two_folders_of_one_name_stay_two_classes() -> None:
    taxonomy = from_folders(["mammal/bat", "sports/bat"])
    assert taxonomy.leaves == ("mammal/bat", "sports/bat")
    assert taxonomy.names["mammal/bat"] == taxonomy.names["sports/bat"] == "bat"
    assert taxonomy.cut(1).labels == ("mammal", "sports")


def test_flat_classes_are_flat_even_if_one_is_called_all() -> None:
    taxonomy = flat(["all", "b"])
    assert taxonomy.is_flat
    assert taxonomy.max_depth == 1


def test_effective_labels_are_the_count_when_balanced_and_near_one_when_not() -> None:
    assert effective_labels(np.array([5, 5, 5])) == pytest.approx(3)
    assert effective_labels(np.array([1000, 1])) < 1.02


@st.composite
def graphs(draw: st.DrawFn) -> Taxonomy:
    n = draw(st.integers(3, 14))
    edges = [(str(i), str(draw(st.integers(0, i - 1)))) for i in range(1, n)]
    edges += [(str(i), str(draw(st.integers(0, i - 1)))) for i in range(2, n) if draw(st.booleans())]
    inner = {parent for _, parent in edges}
    return build(edges, [str(i) for i in range(n) if str(i) not in inner])


@settings(deadline=None, max_examples=80)
@given(graphs())
def test_laws_of_cuts(taxonomy: Taxonomy) -> None:
    previous = len(taxonomy.leaves) + 1
    for depth in range(taxonomy.max_depth, -1, -1):
        labels = taxonomy.cut(depth)
        assert sorted(leaf for m in labels.members for leaf in m) == sorted(taxonomy.leaves)
        assert len(labels.labels) <= previous
        assert all(taxonomy.depth(label) <= depth for label in labels.labels)
        assert 1 - 1e-9 <= labels.to_dict()["effective_labels"] <= len(labels.labels) + 1e-9
        previous = len(labels.labels)
    again = from_plain(taxonomy.to_plain())
    assert again.to_plain() == taxonomy.to_plain()


def wordnet(classes: list[str]) -> Taxonomy:
    folder = SHARED / "data" / "wordnet"
    rows = [line.split() for line in (folder / "is_a.txt").read_text().splitlines()]
    names = dict(line.split("\t")[:2] for line in (folder / "names.txt").read_text().splitlines())
    return build([(child, parent) for parent, child in rows], classes, names, prune=True)


@pytest.mark.skipif(not (SHARED / "data" / "wordnet").is_dir(), reason="the shared WordNet relation is not here")
def test_the_published_label_sets_of_imagenet_have_the_published_sizes() -> None:
    lines = (SHARED / "reference" / "imagenet1k_synsets.txt").read_text().split()
    classes = [word for word in lines if word[:1] == "n" and word[1:].isdigit()]
    taxonomy = wordnet(classes)
    counts = [len(taxonomy.cut(d).labels) for d in range(18, -1, -1)]
    assert counts == [1000, 999, 977, 918, 877, 820, 753, 694, 596, 486, 345, 206, 79, 36, 17, 9, 5, 2, 1]
    effective = [round(taxonomy.cut(d).to_dict()["effective_labels"], 2) for d in (17, 15, 9, 6, 3)]
    assert effective == [998.61, 786.88, 129.62, 12.23, 1.34]
    assert [len(taxonomy.merge_up(p).labels) for p in (1, 2, 3)] == [127, 10, 2]


@pytest.mark.skipif(not (SHARED / "data" / "wordnet").is_dir(), reason="the shared WordNet relation is not here")
def test_tiny_imagenets_cuts_and_merges() -> None:
    taxonomy = wordnet((SHARED / "data" / "tiny_imagenet" / "wnids.txt").read_text().split())
    counts = [len(taxonomy.cut(d).labels) for d in range(17, -1, -1)]
    assert counts == [200, 199, 199, 192, 188, 185, 177, 159, 134, 107, 73, 37, 18, 8, 4, 2, 1, 1]
    assert [len(taxonomy.merge_up(p).labels) for p in (1, 2, 3)] == [88, 6, 1]
