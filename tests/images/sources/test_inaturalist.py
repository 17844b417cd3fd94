from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.inaturalist import FORMAT, RANKS

Open = Callable[..., Source]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]
Files = dict[str, "bytes | str"]
WORM = "00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris"
LEECH = "00001_Animalia_Annelida_Clitellata_Hirudinida_Hirudinidae_Hirudo_medicinalis"
FLY = "00002_Animalia_Arthropoda_Insecta_Diptera_Syrphidae_Eristalis_tenax"
PATH = "Animalia/Annelida/Clitellata/Haplotaxida/Lumbricidae/Lumbricus/Lumbricus terrestris"


def folders(train: str = "train", val: str = "val") -> Files:
    return {f"{split}/{name}/{k}.jpg": f"{split} {name} {k}" for split in (train, val) for name in (WORM, LEECH, FLY)
            for k in range(2)}  # fmt: skip


@pytest.mark.parametrize("names", [("train", "val"), ("train_mini", "val"), ("2021_train", "2021_valid")])
def test_the_folders_of_2021_carry_seven_ranks(
    names: tuple[str, str], tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    source = opened("inaturalist", write_tree(tmp_path, folders(*names)))
    assert source.classes[0] == PATH and len(source.classes) == 3
    assert source.taxonomy is not None and source.taxonomy.depth(PATH) == 7
    assert len(source.taxonomy.leaves_under("Animalia/Annelida")) == 2
    assert source.taxonomy.names[PATH] == "Lumbricus terrestris"
    assert [[i.split for i in source.items()].count(s) for s in ("train", "val")] == [6, 6]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"val/{FLY}/{k}.jpg": None for k in range(2)}, r"the folder val has no images of class 00002, which train has"),
        ({f"train/{FLY}/{k}.jpg": None for k in range(2)}, r"the folder train has no images of class 00002, which val has"),
        ({"train/00003_Animalia/1.jpg": ""}, r"the folder train/00003_Animalia is not named after a class"),
        ({f"train_mini/{FLY}/1.jpg": ""}, r"there are train and train_mini and val.*keep one"),
        (dict.fromkeys(folders()), r"neither a folder such as train/00000_Animalia_… nor a list"),
    ],
)  # fmt: skip
def test_folders_that_do_not_fit_are_named(
    change: dict[str, str | None], message: str, tmp_path: Path, write_tree: Write
) -> None:
    files = {name: content for name, content in {**folders(), **change}.items() if content is not None}
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(write_tree(tmp_path, files)), {})


def lists(change: Callable[[dict[str, Any]], None] = lambda held: None) -> Files:
    """2019: obfuscated names in the lists, and files named by numbers."""
    files: Files = {}
    for split in ("train", "val"):
        names = [f"train_val2019/Plants/{category}/{split}{category}.jpg" for category in (400, 7)]
        held = {
            "images": [{"id": 10 + n, "width": 8, "height": 8, "file_name": name} for n, name in enumerate(names)],
            "annotations": [{"id": n, "image_id": 10 + n, "category_id": category} for n, category in enumerate((400, 7))],
            "categories": [{"id": n, "name": f"name{n}", "supercategory": "Plants", **dict.fromkeys(RANKS, f"r{n}")}
                           for n in (7, 400)],
        }  # fmt: skip
        change(held)
        files[f"{split}2019.json"] = json.dumps(held)
        files |= dict.fromkeys(names, "image")
    return files


def test_lists_of_earlier_years_are_read(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    source = opened("inaturalist", write_tree(tmp_path, lists()))
    assert source.classes == ("r400/r400/r400/r400/r400/r400/name400", "r7/r7/r7/r7/r7/r7/name7")
    assert next((i.key, str(i.label)[-5:], i.split) for i in source.items()) == (
        "train_val2019/Plants/400/train400.jpg", "me400", "train"
    )  # fmt: skip


def test_the_names_that_were_published_later_win(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    ranks = dict(
        zip(RANKS, ("Plantae", "Tracheophyta", "Magnoliopsida", "Sapindales", "Sapindaceae", "Acer"), strict=True)
    )
    categories = [{"id": 7, "name": "Acer rubrum", **ranks}, {"id": 400, "name": "Acer palmatum", **ranks}]
    files = lists() | {"categories.json": json.dumps(categories)}
    source = opened("inaturalist", write_tree(tmp_path, files))
    assert source.taxonomy is not None
    assert [source.taxonomy.names[c] for c in source.classes] == ["Acer palmatum", "Acer rubrum"]


def test_categories_without_ranks_hang_below_their_super_category(
    tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    def of_2017(held: dict[str, Any]) -> None:
        held["categories"] = [{"id": n, "name": f"Acer {n}", "supercategory": "Plantae"} for n in (7, 400)]

    assert opened("inaturalist", write_tree(tmp_path, lists(of_2017))).classes == ("Plantae/Acer 400", "Plantae/Acer 7")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda held: held.pop("annotations"), r"train2019.json lacks 'annotations'"),
        (lambda held: held["annotations"].pop(), r"train2019.json has no image or no label with the id 11"),
        (lambda held: held["images"].pop(), r"train2019.json has no image or no label with the id 11"),
        (lambda held: held["categories"].pop(), r"train2019.json uses category 400, which train2019.json does not name"),
        (lambda held: held["categories"].append({**held["categories"][0], "id": 9}), r"names a category twice"),
        (lambda held: held["images"][0].update(file_name="a.jpg"), r"1 of the 2 files that train2019.json names.*a.jpg"),
    ],
)  # fmt: skip
def test_lists_that_do_not_fit_are_named(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path, write_tree: Write
) -> None:
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(write_tree(tmp_path, lists(change))), {})


def test_damaged_and_doubled_lists_are_named(tmp_path: Path, write_tree: Write) -> None:
    root = write_tree(tmp_path, {**lists(), "val2019.json": '{"images": ['})
    with pytest.raises(UserError, match=r"val2019.json is not JSON"):
        FORMAT.open(str(root), {})
    write_tree(root, {"val2019.json": "[" * 100_000})
    with pytest.raises(UserError, match=r"val2019.json is not JSON"):
        FORMAT.open(str(root), {})
    write_tree(root, {"train2018.json": "{}"})
    with pytest.raises(UserError, match=r"there are the lists train2018.json, train2019.json, val2019.json"):
        FORMAT.open(str(root), {})
