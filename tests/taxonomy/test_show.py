"""Label sets and trees as text, JSON and CSV: they agree, fit the screen, and fold what is too much."""

from __future__ import annotations

import json

import pytest

from transferlab.errors import UserError
from transferlab.taxonomy import classlists
from transferlab.taxonomy.drawing import MOST_LINES, Drawing, bar
from transferlab.taxonomy.show import Asked, Format, show, under
from transferlab.taxonomy.tree import Taxonomy, build


@pytest.fixture(scope="module")
def imagenet() -> Taxonomy:
    return classlists.taxonomy("imagenet-1k")


def small() -> Taxonomy:
    return build([("a", "x"), ("b", "x"), ("c", "y"), ("x", "r"), ("y", "r"), ("a", "y")], ["a", "b", "c"])


def test_label_sets_agree_between_text_json_and_csv() -> None:
    taxonomy = small()
    held = json.loads(show(taxonomy, "json", Asked(cut=1)))
    assert held == {
        "n_labels": 2,
        "effective_labels": pytest.approx(1.89, abs=0.01),
        "labels": {"x": ["a", "b"], "y": ["c"]},
    }
    assert show(taxonomy, "csv", Asked(cut=1)).splitlines() == ["leaf,label", "a,x", "b,x", "c,y"]
    assert show(taxonomy, "text", Asked(cut=1)).splitlines() == [
        "cut at depth 1: 2 labels, 1.89 effective, largest 66.7 %",
        "    2  66.7 % █████▍   x: a, b",
        "    1 label of one class each: c",
    ]
    assert json.loads(show(taxonomy, "json", Asked(under="y"))) == {"leaves": ["a", "c"]}  # along any path
    balanced = json.loads(show(taxonomy, "json", Asked(balanced=2)))
    assert balanced["n_labels"] == 2 and set(balanced["names"]) == set(balanced["labels"])
    with pytest.raises(UserError, match="1 to 2"):
        show(taxonomy, "text", Asked(merge_up=3))


def test_a_tree_hangs_each_node_below_its_first_parent_and_says_what_else_lies_there() -> None:
    assert show(small(), "text", Asked(tree="")).splitlines() == [
        "    3 100.0 % ████████ r",
        "    2  66.7 % █████▍   ├ x",
        "    1  33.3 % ██▋      │ ├ a",
        "    1  33.3 % ██▋      │ └ b",
        "    1  33.3 % ██▋      └ c",
    ]
    assert "1 more classes are below it by a parent that is not" in show(small(), "text", Asked(tree="y"))
    rows = json.loads(show(small(), "json", Asked(tree="x")))
    assert [(row["depth"], row["id"], row["leaves"]) for row in rows] == [(0, "x", 2), (1, "a", 1), (1, "b", 1)]
    assert show(small(), "csv", Asked(tree="y")).splitlines()[1:] == ["0,y,y,1", "1,c,c,1"]


def test_a_label_set_is_drawn_on_the_tree() -> None:
    assert show(small(), "text", Asked(cut=1, tree="")).splitlines() == [
        "cut at depth 1: 2 labels, 1.89 effective, largest 66.7 %",
        "                       r",
        "    2  66.7 % █████▍   ├ ■ x: a, b",
        "    1  33.3 % ██▋      └ ■ y: c",
    ]


@pytest.mark.parametrize("asked", [Asked(), Asked(cut=6), Asked(merge_up=1), Asked(balanced=127), Asked(tree=""),
                                   Asked(cut=9, tree=""), Asked(balanced=40, tree=""), Asked(tree="dog.n.01")])  # fmt: skip
def test_text_fits_eighty_columns(asked: Asked, imagenet: Taxonomy) -> None:
    lines = show(imagenet, "text", asked).splitlines()
    assert max(map(len, lines)) <= 80
    if asked.tree is not None:
        assert len(lines) <= MOST_LINES + 3


def test_a_large_tree_is_folded_and_every_class_is_still_in_json(imagenet: Taxonomy) -> None:
    text = show(imagenet, "text", Asked(tree=""))
    assert "folded" in text.splitlines()[-1] and " × 1: " in text
    assert len(json.loads(show(imagenet, "json", Asked(tree="")))) == 1860 - len(
        set(imagenet.parents) - {node for leaf in imagenet.leaves for node in imagenet.chain(leaf)}
    )
    whole = Drawing(imagenet).lines("n02087122")
    assert whole[0].endswith("hunting_dog.n.01") and sum(line.startswith("    1 ") for line in whole) == 63


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_what_lies_under_several_nodes_is_told_in_class_order(form: Format, imagenet: Taxonomy) -> None:
    leaves = under(imagenet, "pascal-voc")
    assert len(leaves) == 229 and leaves == sorted(leaves)
    said = show(imagenet, form, Asked(under="pascal-voc"))
    assert (json.loads(said)["leaves"] if form == "json" else said.split()) == leaves
    assert under(imagenet, "terrier.n.01, goldfish")[0] == "n01443537"
    assert under(imagenet, "cow.n.02") == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(cut=1, merge_up=1), "name one of them"), (Asked(cut=1, under="x"), "name one of them"),
        (Asked(under="x", tree=""), "name one of them"), (Asked(balanced=0), "from 1 to 1000"),
        (Asked(tree="cow.n.02"), "no class is below 'cow.n.02'"), (Asked(tree="pascal-voc"), "names 19 nodes"),
        (Asked(under="unicron"), "did you mean unicorn"), (Asked(under="n02084071,"), "name a noun"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_told(asked: Asked, words: str, imagenet: Taxonomy) -> None:
    with pytest.raises(UserError, match=words):
        show(imagenet, "text", asked)


def test_bars_show_whatever_is_there() -> None:
    assert [bar(share, 2) for share in (0.0, 0.001, 0.5, 1.0)] == ["  ", "▏ ", "█ ", "██"]
