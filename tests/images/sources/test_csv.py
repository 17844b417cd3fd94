from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.source import Unreadable, at_hand
from transferlab.images.sources.csv import FORMAT

Png = Callable[..., bytes]


def table(folder: Path, text: str, png: Png, *files: str) -> str:
    for number, name in enumerate(files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return str(folder / "t.csv")


def test_rows_are_images_with_labels_and_splits(tmp_path: Path, png: Png) -> None:
    text = "\ufeffsplit,path,label\ntrain,a.png,cat\nVALID,sub/b c.png,dog\ntest,c.png,cat\n"
    source = FORMAT.open(table(tmp_path, text, png, "a.png", "sub/b c.png", "c.png"), {})
    assert [(i.key, i.label, i.split) for i in source.items()] == [
        ("a.png", "cat", "train"), ("sub/b c.png", "dog", "val"), ("c.png", "cat", "test")
    ]  # fmt: skip
    assert [at_hand(i.data) for i in source.items()] == [png(0), png(1), png(2)] and source.classes == ("cat", "dog")


def test_without_a_split_column_there_is_none(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(table(tmp_path, 'path,label\na.png,"cat, big"\nb.png,1|2\n', png, "a.png", "b.png"), {})
    assert [(i.label, i.split) for i in source.items()] == [("cat, big", None), ("1|2", None)]


@pytest.mark.parametrize(
    "text", ["Path;Label ;SPLIT\n a.png;x, y;Train\n\n", 'path\t label\tsplit\na.png\t"x, y"\ttraining\n']
)
def test_headers_and_separators_are_read_as_spreadsheets_write_them(text: str, tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(table(tmp_path, text, png, "a.png"), {})
    assert [(i.key, i.label, i.split) for i in source.items()] == [("a.png", "x, y", "train")]


def test_columns_that_are_not_used_and_splits_in_paths_are_told(tmp_path: Path, png: Png) -> None:
    text = "path,label,set,weight\ntrain/a.png,cat,train,1\ntest/b.png,dog,test,1\n"
    source = FORMAT.open(table(tmp_path, text, png), {})
    assert source.notes == [
        "the columns 'set', 'weight' were not used",
        "the paths state splits by the folders test, train, which do not count without a column split",
    ]


def test_several_labels_are_separated_by_bars(tmp_path: Path, png: Png) -> None:
    text = "path,label\na.png,cat|dog\nb.png,\nc.png,dog| dog |bird\n"
    source = FORMAT.open(table(tmp_path, text, png, "a.png", "b.png", "c.png"), {"multi_label": "yes"})
    assert source.multi_label and source.classes == ("bird", "cat", "dog")
    assert [i.label for i in source.items()] == [("cat", "dog"), (), ("dog", "bird")]


def test_a_missing_image_is_listed_with_the_bad_ones(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(table(tmp_path, "path,label\na.png,cat\nb.png,dog\n", png, "a.png"), {})
    found = [at_hand(i.data) for i in source.items()][1]
    assert isinstance(found, Unreadable) and "No such file" in found.reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no columns path and label"), ("file,label\na.png,cat\n", "no columns path and label"),
        ("path,label\n", "no rows"), ("path,label\na.png,\n", "'a.png' has no label"),
        ("path,label\na.png\n", "row 2 has fewer cells"), ("path,label\na.png,cat,dog\n", "row 2 has more cells .*a.png,cat,dog"),
        ("path,label,label\na,b,c\n", "two columns 'label'"), ("path,label\na.png,x\na.png,y\n", "row 3 repeats 'a.png'"),
        ("path,label,split\na.png,x,holdout\n", "no split 'holdout'"), ('path,label\n"a.png,x\n', "cannot be read"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used_are_told(text: str, message: str, tmp_path: Path, png: Png) -> None:
    with pytest.raises(UserError, match=message):
        FORMAT.open(table(tmp_path, text, png), {})


def test_a_table_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("path,label\na.png,Bär\n".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        FORMAT.open(str(tmp_path / "t.csv"), {})


def test_the_fingerprint_follows_table_and_images(tmp_path: Path, png: Png) -> None:
    path = table(tmp_path, "path,label\na.png,cat\nb.png,dog\n", png, "a.png", "b.png")
    prints = {FORMAT.open(path, {}).fingerprint, FORMAT.open(path, {"multi_label": "yes"}).fingerprint}
    (tmp_path / "a.png").write_bytes(b"longer than it was" * 100)
    prints.add(FORMAT.open(path, {}).fingerprint)
    (tmp_path / "t.csv").write_text("path,label\na.png,dog\nb.png,dog\n")
    prints.add(FORMAT.open(path, {}).fingerprint)
    assert len(prints) == 4


def test_the_column_counts_where_paths_state_other_splits(tmp_path: Path, png: Png) -> None:
    text = "path,label,split\ntrain/a.png,cat,train_set\ntest/b.png,dog,Val2017\n"
    source = FORMAT.open(table(tmp_path, text, png), {})
    assert [item.split for item in source.items()] == ["train", "val"]
    assert source.notes == ["the column split counts; 1 paths state another split, for example 'test/b.png'"]


@pytest.mark.parametrize("again", ["./a.png", "sub/../a.png", ".//a.png"])
def test_one_image_under_two_spellings_of_its_path_is_an_error(again: str, tmp_path: Path, png: Png) -> None:
    with pytest.raises(UserError, match="row 3 repeats"):
        FORMAT.open(table(tmp_path, f"path,label\na.png,cat\n{again},dog\n", png, "a.png"), {})


def test_tables_of_other_splits_beside_it_are_told(tmp_path: Path, png: Png) -> None:
    for name in ("train_labels.csv", "test_labels.csv", "val.csv"):
        (tmp_path / name).write_text("path,label\na.png,cat\n")
    (note,) = FORMAT.open(str(tmp_path / "train_labels.csv"), {}).notes
    assert note.startswith("only train_labels.csv was read, not test_labels.csv beside it")


@pytest.mark.parametrize(
    ("label", "several", "note"),
    [
        ("cat|dog", "no", "'cat|dog' is one class"),
        ("cat, dog", "yes", "no label has a bar"),
        ("cat;dog", "yes", "no label"),
    ],
)
def test_labels_that_look_like_several_classes_are_told(
    label: str, several: str, note: str, tmp_path: Path, png: Png
) -> None:
    (told,) = FORMAT.open(table(tmp_path, f'path,label\na.png,"{label}"\n', png), {"multi_label": several}).notes
    assert note in told


@pytest.mark.parametrize(
    ("text", "message"),
    [("path,label\n,cat\n", "row 2 has no path"), ('path,label\na.png,cat\n"b.png,dog\n', "after row 2: .*quotation")],
)
def test_rows_that_cannot_be_used_are_named(text: str, message: str, tmp_path: Path, png: Png) -> None:
    with pytest.raises(UserError, match=message):
        FORMAT.open(table(tmp_path, text, png), {})


def test_absolute_paths_may_stand_beside_relative_ones(tmp_path: Path, png: Png) -> None:
    text = f"path,label\na.png,cat\n{tmp_path}/b.png,dog\nhttps://a.org/c.png,cat\n"
    data = [at_hand(item.data) for item in FORMAT.open(table(tmp_path, text, png, "a.png", "b.png"), {}).items()]
    assert data[:2] == [png(0), png(1)] and isinstance(data[2], Unreadable)


def test_columns_without_names_do_not_matter(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(table(tmp_path, ",,path,label\n0,1,a.png,cat\n", png), {})
    assert source.classes == ("cat",) and source.notes == ["the columns '', '' were not used"]
    with pytest.raises(UserError, match="this is a folder"):
        FORMAT.open(str(tmp_path), {})


def test_images_beside_the_listed_ones_are_told(tmp_path: Path, png: Png) -> None:
    files = ("in/a.png", "in/b.png", "in/c.PNG", "in/d.jpg", "elsewhere/e.png", "in/notes.txt", "in/._a.png")
    path = table(tmp_path, "path,label\n./in/a.png,cat\nin/x/../b.png,dog\nmissing/f.png,dog\n", png, *files)
    told = "2 images beside the listed ones are not in the table, for example c.PNG"
    assert told in FORMAT.open(path, {}).notes
    assert FORMAT.open(table(tmp_path, "path,label\nelsewhere/e.png,cat\n", png), {}).notes == []
