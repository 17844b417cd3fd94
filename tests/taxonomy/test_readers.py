"""Taxonomy files: edges, JSON trees, fine-to-coarse maps, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.taxonomy.readers import read_taxonomy
from transferlab.taxonomy.show import show


def test_edges_with_or_without_header_and_in_either_order(tmp_path: Path) -> None:
    for number, text in enumerate((
        "child,parent\na,x\nb,x\n", "a,x\nb,x\n", "parent\tchild\nx\ta\nx\tb\n", "child,parent,name\na,x,Ape\nb,x,\nx,,Top\n"
    )):  # fmt: skip
        path = tmp_path / f"{number}.csv"
        path.write_text(text)
        taxonomy = read_taxonomy(path, ["a", "b"])
        assert taxonomy.parents["a"] == ("x",)
        assert taxonomy.root == "x"
    assert taxonomy.names["a"] == "Ape"
    assert taxonomy.names["x"] == "Top"


def test_a_fine_to_coarse_map_keeps_groups_called_like_a_class_apart(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("fine,coarse\nfish,fish\ntrout,fish\noak,trees\n")
    taxonomy = read_taxonomy(path, ["fish", "trout", "oak"])
    assert sorted(taxonomy.names[n] for n in taxonomy.cut(1).labels) == ["fish", "trees"]


def test_a_json_tree(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    path.write_text(json.dumps({"id": "r", "children": [{"id": "a", "name": "Ape"}, {"id": "b"}]}))
    assert read_taxonomy(path, ["b", "a"]).leaves == ("b", "a")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "a\nb\n"), ("x.csv", ""), ("x.json", "{"), ("x.json", '{"children": []}'),
        ("x.json", '{"id": "r", "children": [{"id": "a"}, {"id": "a"}]}'), ("x.csv", "a,b\nb,a\n"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_in_the_error(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError, match=name):
        read_taxonomy(path, ["a"])


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such"):
        read_taxonomy(tmp_path / "none.csv", ["a"])
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UserError, match="UTF-8"):
        read_taxonomy(tmp_path / "b.csv", ["a"])


def test_shown_label_sets_agree_between_text_json_and_csv(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("a,x\nb,x\nc,y\nx,r\ny,r\n")
    taxonomy = read_taxonomy(path, ["a", "b", "c"])
    asked = {"cut": 1, "merge_up": None, "under": None, "tree": None}
    held = json.loads(show(taxonomy, "json", **asked))
    assert held["n_labels"] == 2
    assert held["labels"] == {"x": ["a", "b"], "y": ["c"]}
    assert "2 labels" in show(taxonomy, "text", **asked)
    assert show(taxonomy, "csv", **asked).splitlines() == ["leaf,label", "a,x", "b,x", "c,y"]
    assert json.loads(show(taxonomy, "json", **{**asked, "cut": None, "under": "x"})) == {"leaves": ["a", "b"]}
    assert "c [c] 1" in show(taxonomy, "text", **{**asked, "cut": None, "tree": ""})
    with pytest.raises(UserError):
        show(taxonomy, "text", **{**asked, "merge_up": 1})
