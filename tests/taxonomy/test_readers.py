"""Taxonomy files: edges, JSON trees, fine-to-coarse maps, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.taxonomy.readers import read_taxonomy


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


def test_a_map_of_classes_to_synsets_puts_wordnet_above_them(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("wnid,class,note\nhat.n.01,hat,\nn04259630,sombrero,seen by name too\n")
    taxonomy = read_taxonomy(path, ["sombrero", "hat", "zebra"])
    assert taxonomy.leaves == ("sombrero", "hat", "zebra")
    assert "hat" in taxonomy.chain("sombrero")
    assert taxonomy.synsets["zebra"] == "n02391049"
    path.write_text("class,wnid\nhat,hat.n.01\ncap,cap.n.01\n")
    with pytest.raises(UserError, match=r"map\.csv.*prune=yes"):
        read_taxonomy(path, ["hat"])
    assert read_taxonomy(path, ["hat"], prune=True).leaves == ("hat",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class,wnid\nhat\n", "row 2 has no class or no wnid"),
        ("class,wnid\nhat,\n", "row 2"),
        ("class,wnid\nhat,hat.n.01\nhat,hat.n.02\n", "'hat' has two synsets"),
        ("class,wnid\nhat,n00000009\n", "n00000009"),
        ("class,wnid\nhat,bank\n", "'bank' has 10 senses"),
        ("class,wnid\n", "'hat' has 2 senses"),
    ],
)
def test_a_faulty_map_of_synsets_is_told_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "map.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as told:
        read_taxonomy(path, ["hat"])
    assert told.value.where == str(path)
