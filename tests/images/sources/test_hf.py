from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="the extra hf is not installed")
datasets = pytest.importorskip("datasets", reason="the library datasets, which writes these files, is not installed")

import pyarrow.parquet as pq  # noqa: E402

from transferlab.errors import UserError  # noqa: E402
from transferlab.images.source import Source, Unreadable  # noqa: E402
from transferlab.images.sources.hf import FORMAT  # noqa: E402

Png = Callable[..., bytes]


@pytest.fixture(autouse=True)
def no_caches_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def made(png: Png, n: int = 4, label: Any = None) -> Any:
    features = datasets.Features({
        "image": datasets.Image(decode=False), "label": label or datasets.ClassLabel(names=["zebra", "ant"]),
    })  # fmt: skip
    images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(n)]
    return datasets.Dataset.from_dict({"image": images, "label": [i % 2 for i in range(n)]}, features=features)


def facts(source: Source) -> list[tuple[object, object, str | None]]:
    return [(item.data, item.label, item.split) for item in source.items()]


def test_a_parquet_file_of_the_library_is_read_with_its_label_names(tmp_path: Path, png: Png) -> None:
    made(png).to_parquet(str(tmp_path / "set.parquet"))
    source = FORMAT.open(str(tmp_path / "set.parquet"), {})
    assert facts(source) == [(png(i), ["zebra", "ant"][i % 2], None) for i in range(4)]
    assert source.classes == ("ant", "zebra") and source.n_images == 4 and source.name == "set"


def test_a_folder_of_parquet_files_has_splits_by_their_names(tmp_path: Path, png: Png) -> None:
    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001", "test"):
        made(png).to_parquet(str(tmp_path / "data" / f"{name}.parquet"))
    source = FORMAT.open(str(tmp_path), {})
    assert [split for _, _, split in facts(source)] == ["test"] * 4 + ["train"] * 8 + ["val"] * 4
    assert len({item.key for item in source.items()}) == 16


@pytest.mark.parametrize("shards", [1, 2])
def test_saved_sets_are_read_with_and_without_splits(shards: int, tmp_path: Path, png: Png) -> None:
    made(png).save_to_disk(str(tmp_path / "one"), num_shards=shards)
    assert facts(FORMAT.open(str(tmp_path / "one"), {})) == [(png(i), ["zebra", "ant"][i % 2], None) for i in range(4)]
    parts = datasets.DatasetDict({"train": made(png), "test": made(png, 2)})
    parts.save_to_disk(str(tmp_path / "two"), num_shards={"train": shards, "test": 1})
    assert (
        sorted(str(split) for _, _, split in facts(FORMAT.open(str(tmp_path / "two"), {})))
        == ["test"] * 2 + ["train"] * 4
    )


def test_more_rows_than_a_batch_stay_in_order(tmp_path: Path, png: Png) -> None:
    made(png, 150).save_to_disk(str(tmp_path / "set"))
    assert [data for data, _, _ in facts(FORMAT.open(str(tmp_path / "set"), {}))] == [png(i) for i in range(150)]


def test_plain_tables_with_other_columns_need_only_their_names(tmp_path: Path, png: Png) -> None:
    table = pa.table({"pixels": [png(0), png(1)], "kind": ["cat", "dog"]})
    pq.write_table(table, tmp_path / "t.parquet")
    source = FORMAT.open(str(tmp_path / "t.parquet"), {"image": "pixels", "label": "kind"})
    assert facts(source) == [(png(0), "cat", None), (png(1), "dog", None)]


def test_lists_of_labels_are_several_labels(tmp_path: Path, png: Png) -> None:
    labels = datasets.Sequence(datasets.ClassLabel(names=["zebra", "ant"]))
    features = datasets.Features({"image": datasets.Image(decode=False), "label": labels})
    rows = {"image": [{"bytes": png(i), "path": None} for i in range(3)], "label": [[0, 1], [], [1]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "t.parquet"))
    source = FORMAT.open(str(tmp_path / "t.parquet"), {})
    assert source.multi_label
    assert [label for _, label, _ in facts(source)] == [("zebra", "ant"), (), ("ant",)]


def test_an_image_without_bytes_is_named_not_followed(tmp_path: Path, png: Png) -> None:
    rows = {"image": [{"bytes": None, "path": "/etc/passwd"}, {"bytes": png(), "path": None}], "label": ["a", "b"]}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    assert isinstance(facts(FORMAT.open(str(tmp_path / "t.parquet"), {}))[0][0], Unreadable)


def imagenet(png: Png, rows: list[tuple[str, int]]) -> Any:
    """Rows as ImageNet-1k's files have them: 1000 names, and files that end in wnids."""
    names = [f"name {n}" for n in range(1000)]
    images = [{"bytes": png(n), "path": path} for n, (path, _) in enumerate(rows)]
    features = datasets.Features({"image": datasets.Image(decode=False), "label": datasets.ClassLabel(names=names)})
    return datasets.Dataset.from_dict({"image": images, "label": [label for _, label in rows]}, features=features)


def test_labels_become_wnids_by_a_class_list_and_agree_with_the_files_names(tmp_path: Path, png: Png) -> None:
    (tmp_path / "data").mkdir()
    rows = {
        "train": [("n01440764_10026_n01440764.JPEG", 0), ("n15075141_1_n15075141.JPEG", 999)],
        "validation": [("ILSVRC2012_val_00000293_n01443537.JPEG", 1)],
        "test": [("ILSVRC2012_test_00000001.JPEG", -1)],
    }
    for split, of_split in rows.items():
        imagenet(png, of_split).to_parquet(str(tmp_path / "data" / f"{split}-00000-of-00001.parquet"))
    source = FORMAT.open(str(tmp_path), {"classes": "imagenet-1k"})
    assert [(label, split) for _, label, split in facts(source)] == [
        ("n01440764", "train"), ("n15075141", "train"), ("n01443537", "val")
    ]  # fmt: skip
    assert source.classes == ("n01440764", "n01443537", "n15075141") and source.n_images == 3
    assert list(source.notes) == ["test-00000-of-00001.parquet was left out: it has no labels"]
    assert source.fingerprint != FORMAT.open(str(tmp_path), {}).fingerprint
    imagenet(png, [("n01440764_10026_n01440764.JPEG", 7)]).to_parquet(
        str(tmp_path / "data/train-00000-of-00001.parquet")
    )
    with pytest.raises(UserError, match=r"n01440764_10026_n01440764.JPEG has the label of n\d+ .*train-00000-of-00001"):
        facts(FORMAT.open(str(tmp_path), {"classes": "imagenet-1k"}))


def test_a_class_list_must_fit_the_set(tmp_path: Path, png: Png) -> None:
    made(png).to_parquet(str(tmp_path / "set.parquet"))
    with pytest.raises(UserError, match="the data set names 2 classes.*the class list has 1000"):
        FORMAT.open(str(tmp_path / "set.parquet"), {"classes": "imagenet-1k"})
    table = pa.table({"image": [png(0)], "label": ["cat"]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(UserError, match="the label 'cat' is not an index of the class list"):
        FORMAT.open(str(tmp_path / "t.parquet"), {"classes": "imagenet-1k"})


def test_two_classes_of_one_name_are_not_merged(tmp_path: Path, png: Png) -> None:
    """ImageNet-1k has two cranes."""
    features = {"label": {"names": ["crane", "crane"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": [png(0), png(1)], "label": [0, 1]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(UserError, match="two classes are called 'crane'.*classes=imagenet-1k"):
        FORMAT.open(str(tmp_path / "t.parquet"), {})


def test_parquet_files_that_are_cut_short_or_have_other_columns_are_told(tmp_path: Path, png: Png) -> None:
    made(png, 150).to_parquet(str(tmp_path / "a.parquet"))
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="b.parquet cannot be read"):
        FORMAT.open(str(tmp_path), {})
    pq.write_table(pa.table({"other": [1]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="b.parquet cannot be read"):
        FORMAT.open(str(tmp_path), {})


def test_sets_that_cannot_be_used_are_told(tmp_path: Path, png: Png) -> None:
    with pytest.raises(UserError, match="neither a Parquet file nor a saved data set"):
        FORMAT.open(str(tmp_path), {})
    pq.write_table(pa.table({"image": [1, 2], "label": ["a", None]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="no column 'picture'.*image, label"):
        FORMAT.open(str(tmp_path / "t.parquet"), {"image": "picture"})
    with pytest.raises(UserError, match="'image' has the type int64, which is not an image"):
        FORMAT.open(str(tmp_path / "t.parquet"), {})
    pq.write_table(pa.table({"image": [png(), png()], "label": ["a", None]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="has the label None"):
        FORMAT.open(str(tmp_path / "t.parquet"), {})
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(UserError, match="cannot be read"):
        FORMAT.open(str(tmp_path / "t.parquet"), {})


def test_groups_of_rows_that_fill_the_memory_are_refused_before_they_are_read_and_pipes_passed_over(
    tmp_path: Path, png: Png
) -> None:
    (tmp_path / "set").mkdir()
    large = pa.array([bytes(600 << 20), png()], pa.binary())
    pq.write_table(pa.table({"image": large, "label": ["a", "b"]}), tmp_path / "set" / "a.parquet", compression="zstd")
    with pytest.raises(UserError, match=r"a.parquet has [\d,]+ bytes in its row group 0"):
        list(FORMAT.open(str(tmp_path / "set"), {}).items())
    os.mkfifo(tmp_path / "set" / "b.parquet")
    assert "1 dangling link or special file was skipped" in FORMAT.open(str(tmp_path / "set"), {}).notes


def test_without_the_extra_the_remedy_is_named(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["pyarrow"] = None  # as if it were not installed
from transferlab.errors import UserError
from transferlab.images.spec import open_source, parse_spec
try:
    open_source(parse_spec(f"hf:{sys.argv[1]}"))
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "pip install 'transferlab[hf]'" in done.stdout


def test_each_file_names_its_own_labels(tmp_path: Path, png: Png) -> None:
    made(png).to_parquet(str(tmp_path / "dev.parquet"))
    made(png, label=datasets.ClassLabel(names=["ant", "zebra"])).to_parquet(str(tmp_path / "training.parquet"))
    source = FORMAT.open(str(tmp_path), {})
    assert facts(source) == [(png(i), ["zebra", "ant"][i % 2], "val") for i in range(4)] + [
        (png(i), ["ant", "zebra"][i % 2], "train") for i in range(4)
    ]
    assert source.notes == [
        "files number their classes differently (dev.parquet and training.parquet); their names count"
    ]
    made(png, label=datasets.Value("int64")).to_parquet(str(tmp_path / "test.parquet"))
    with pytest.raises(UserError, match="labels of dev.parquet are numbered classes, those of test.parquet are names"):
        FORMAT.open(str(tmp_path), {})


@pytest.mark.parametrize("type_", [pa.large_list(pa.string()), pa.list_(pa.string(), 1), pa.list_(pa.string())])
def test_lists_of_every_kind_are_several_labels(type_: Any, tmp_path: Path, png: Png) -> None:
    images = pa.array([{"bytes": png(i), "path": None} for i in range(2)])
    pq.write_table(pa.table({"image": images, "label": pa.array([["cat"], ["dog"]], type_)}), tmp_path / "a.parquet")
    source = FORMAT.open(str(tmp_path / "a.parquet"), {})
    assert source.multi_label and [item.label for item in source.items()] == [("cat",), ("dog",)]


def test_labels_of_bytes_are_texts(tmp_path: Path, png: Png) -> None:
    images = pa.array([png(0), png(1)], pa.binary())
    pq.write_table(pa.table({"image": images, "label": pa.array([b"k\xc3\xa4fer", b"dog"])}), tmp_path / "a.parquet")
    assert FORMAT.open(str(tmp_path / "a.parquet"), {}).classes == ("dog", "käfer")


def test_a_file_that_states_two_splits_is_refused(tmp_path: Path, png: Png) -> None:
    (tmp_path / "train").mkdir()
    made(png).to_parquet(str(tmp_path / "train" / "test-0.parquet"))
    with pytest.raises(UserError, match=r"train/test-0\.parquet states the splits test and train"):
        FORMAT.open(str(tmp_path), {})


def test_hidden_copies_are_passed_over_and_files_that_are_not_read_are_told(tmp_path: Path, png: Png) -> None:
    for name in (".cache/train-0.parquet", "train-0.PARQUET", "test-0.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        made(png).to_parquet(str(tmp_path / name))
    (tmp_path / "val.csv").write_text("x")
    source = FORMAT.open(str(tmp_path), {})
    assert [split for _, _, split in facts(source)] == ["test"] * 4 + ["train"] * 4
    assert source.notes == [
        "1 hidden or housekeeping folder was skipped",
        "1 other files were not read, for example val.csv",
    ]


def test_versions_of_a_set_in_several_folders_and_files_without_rows_are_remarked(tmp_path: Path, png: Png) -> None:
    for name, n in (("full/train", 4), ("small/train", 4), ("full/test", 0)):
        (tmp_path / name).mkdir(parents=True)
        made(png, n).to_parquet(str(tmp_path / name / "0.parquet"))
    notes = FORMAT.open(str(tmp_path), {}).notes
    assert notes == [
        "the files of 2 folders were read as one set, for example full and small",
        "full/test/0.parquet has no rows",
    ]


def test_a_saved_set_without_one_of_its_splits_is_an_error(tmp_path: Path, png: Png) -> None:
    datasets.DatasetDict({"train": made(png), "test": made(png)}).save_to_disk(str(tmp_path))
    (tmp_path / "test" / "state.json").unlink()
    with pytest.raises(UserError, match=r"split 'test', which dataset_dict.json lists, is not there"):
        FORMAT.open(str(tmp_path), {})
    (tmp_path / "dataset_dict.json").write_text("[]")
    with pytest.raises(UserError, match=r"dataset_dict.json does not list the splits"):
        FORMAT.open(str(tmp_path), {})
    (tmp_path / "dataset_dict.json").unlink()
    (tmp_path / "train" / "state.json").write_text("{}")
    with pytest.raises(UserError, match=r"train/state.json does not list the files"):
        FORMAT.open(str(tmp_path), {})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1], [1, 0], [0, 1]], "lists of zeros and ones"), (["a", " ", "b"], "empty label"),
        ([{"a": 1}, {"a": 2}, {"a": 3}], "the type struct"), ([0, None, 1], r"label None \(.*set.parquet"),
    ],
)  # fmt: skip
def test_labels_that_are_none_are_told_with_their_file(
    labels: list[Any], message: str, tmp_path: Path, png: Png
) -> None:
    pq.write_table(pa.table({"image": [png(i) for i in range(3)], "label": labels}), tmp_path / "set.parquet")
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(tmp_path), {})


@pytest.mark.parametrize(
    "described", ["{", "[]", '{"info": null}', '{"info": {"features": {"label": {"names": "cat"}}}}']
)
def test_a_damaged_description_of_the_columns_is_told_with_its_file(described: str, tmp_path: Path, png: Png) -> None:
    table = pa.table({"image": [png(0), png(1)], "label": [0, 1]}).replace_schema_metadata({"huggingface": described})
    pq.write_table(table, tmp_path / "set.parquet")
    with pytest.raises(UserError, match=r"set.parquet cannot be read: the (description|names)"):
        FORMAT.open(str(tmp_path), {})
