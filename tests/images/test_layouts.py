"""The same images, labels and splits come out of every layout that states them, in any format, with any words for splits."""

from __future__ import annotations

import csv
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transferlab.images.pack import write_pack
from transferlab.images.sources.split_names import WORDS
from transferlab.images.spec import open_source, parse_spec
from transferlab.specs import SPLITS, Pack


class Picture(NamedTuple):
    """An image of its own colour, its class and its split."""

    number: int
    label: str
    split: str

    @property
    def png(self) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (2, 2), (self.number, 0, 0)).save(file, "PNG")
        return file.getvalue()


Words = Mapping[str, str]  # split to the word for it
Files = Callable[[Sequence[Picture], Words], dict[str, bytes]]


def top(pictures: Sequence[Picture], words: Words) -> dict[str, bytes]:
    return {f"{words[p.split]}/{p.label}/{p.number}.png": p.png for p in pictures}


def within_one_folder(pictures: Sequence[Picture], words: Words) -> dict[str, bytes]:
    return {f"images/{name}": data for name, data in top(pictures, words).items()}


def below(pictures: Sequence[Picture], words: Words) -> dict[str, bytes]:
    return {f"{p.label}/{words[p.split]}/{p.number}.png": p.png for p in pictures}


def with_more_in_names(pictures: Sequence[Picture], words: Words) -> dict[str, bytes]:
    return {f"set-{words[p.split]}/{p.label}/{p.number}.png": p.png for p in pictures}


def prefixes(pictures: Sequence[Picture], words: Words) -> dict[str, bytes]:
    return {f"{p.label}/{words[p.split]}_{p.number}.png": p.png for p in pictures}


def suffixes(pictures: Sequence[Picture], words: Words) -> dict[str, bytes]:
    return {f"{p.label}/{p.number}_{words[p.split]}.png": p.png for p in pictures}


def with_housekeeping(pictures: Sequence[Picture], words: Words) -> dict[str, bytes]:
    odd = {
        ".DS_Store": b"x",
        "@eaDir/thumb.png": b"x",
        "Thumbs.db": b"x",
        "lab/lab.json": b"{}",
        "lab/cells/a.png": b"x",
    }
    return {**top(pictures, words), **odd, f"{words['train']}/._1.png": b"x"}


def folder(root: Path, files: Mapping[str, bytes]) -> str:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return f"imagefolder:{root}"


def zipped(root: Path, files: Mapping[str, bytes], form: str = "{}") -> str:
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(form.format(name), data)
    return f"imagefolder:{root}/set.zip"


def table(root: Path, pictures: Sequence[Picture], words: Words) -> str:
    folder(root, {f"{p.number}.png": p.png for p in pictures})
    with (root / "set.csv").open("w", newline="") as file:
        rows = [(f"{p.number}.png", p.label, words[p.split]) for p in pictures]
        csv.writer(file, delimiter=";").writerows([("Path", " label", "SPLIT"), *rows])
    return f"csv:{root}/set.csv"


def shards(root: Path, pictures: Sequence[Picture], words: Words) -> str:
    for split in {p.split for p in pictures}:
        (root / words[split]).mkdir()
        with tarfile.open(root / words[split] / "000.tar", "w") as tar:
            for p in (p for p in pictures if p.split == split):
                for ending, data in (("png", p.png), ("cls", p.label.encode())):
                    info = tarfile.TarInfo(f"{p.number}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return f"wds:{root}"


def arrays(root: Path, pictures: Sequence[Picture], words: Words) -> str:
    images = np.stack([np.full((2, 2, 3), (p.number, 0, 0), np.uint8) for p in pictures])
    np.savez(root / "set.npz", images=images, labels=np.array([p.label for p in pictures]),
             split=np.array([words[p.split].encode() for p in pictures]))  # fmt: skip
    return f"npz:{root}/set.npz"


def named_shards(root: Path, pictures: Sequence[Picture], words: Words) -> str:
    shards(root, pictures, words)
    for split in {p.split for p in pictures}:
        (root / words[split] / "000.tar").rename(root / f"set-{words[split]}-000.tar")
        (root / words[split]).rmdir()
    return f"wds:{root}"


def parquet(root: Path, pictures: Sequence[Picture], words: Words) -> str:
    pa = pytest.importorskip("pyarrow", reason="the extra hf is not installed")
    from pyarrow import parquet as pq

    for split in {p.split for p in pictures}:
        held = [p for p in pictures if p.split == split]
        images = [{"bytes": p.png, "path": None} for p in held]
        pq.write_table(
            pa.table({"image": images, "label": [p.label for p in held]}), root / f"{words[split]}-0.parquet"
        )
    return f"hf:{root}"


TREES: list[Files] = [top, within_one_folder, below, with_more_in_names, prefixes, suffixes, with_housekeeping]
LAYOUTS: dict[str, Callable[[Path, Sequence[Picture], Words], str]] = {
    **{f"folder, {tree.__name__}": lambda root, p, w, tree=tree: folder(root, tree(p, w)) for tree in TREES},
    **{f"zip, {tree.__name__}": lambda root, p, w, tree=tree: zipped(root, tree(p, w)) for tree in TREES[:6]},
    "zip with ./": lambda root, p, w: zipped(root, top(p, w), "./{}"),
    "zip in one folder": lambda root, p, w: zipped(root, below(p, w), "my set/{}"),
    "csv": table, "wds": shards, "wds, names": named_shards, "npz": arrays, "hf": parquet,
}  # fmt: skip


@st.composite
def sets(draw: st.DrawFn) -> tuple[list[Picture], Words]:
    """Two or three classes with images of training and test, perhaps of validation; words for these, in any case."""
    labels = draw(
        st.lists(st.sampled_from(["cat", "dog", "night owl", "käfer", "7"]), min_size=2, max_size=3, unique=True)
    )
    splits = draw(st.sampled_from([("train", "test"), ("train", "val", "test")]))
    words = {s: draw(st.sampled_from([w for w, of in WORDS.items() if of == s])) for s in splits}
    case = draw(st.sampled_from([str.lower, str.upper, str.title]))
    pairs = [(label, split) for label in labels for split in splits for _ in range(2)]
    return [Picture(number, *pair) for number, pair in enumerate(pairs)], {s: case(w) for s, w in words.items()}


def packed(place: str, layout: str, pictures: Sequence[Picture], words: Words) -> Pack:
    source = open_source(parse_spec(LAYOUTS[layout](Path(place), pictures, words)))
    return write_pack(source, Path(place) / "made.pack", 2, skip_bad=False, progress=lambda *_: None, workers=1)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=15)
@given(made=sets())
def test_every_layout_gives_the_same_images_labels_and_splits(layout: str, made: tuple[list[Picture], Words]) -> None:
    pictures, words = made
    with tempfile.TemporaryDirectory() as place:
        pack = packed(place, layout, pictures, words)
        found = {
            (int(image[0, 0, 0]), pack.taxonomy.leaves[label], SPLITS[split])
            for image, label, split in zip(pack.images, pack.labels, pack.split, strict=True)
        }
    kept = {(number, label, split) for number, label, split in found if split != "val"}
    given_val = any(p.split == "val" for p in pictures)
    assert len(found) == len(pictures) and {n: label for n, label, _ in found} == {p.number: p.label for p in pictures}
    if given_val:
        assert found == {(p.number, p.label, p.split) for p in pictures}
    else:  # a part of the training images becomes validation
        assert kept <= {(p.number, p.label, p.split) for p in pictures}
        assert {n for n, _, split in found if split == "test"} == {p.number for p in pictures if p.split == "test"}


# A folder around everything in a zip is no part of names, so "within_one_folder" has other names there.
@pytest.mark.parametrize("tree", [tree.__name__ for tree in TREES[:6] if tree is not within_one_folder])
@settings(deadline=None, max_examples=10)
@given(made=sets())
def test_a_folder_and_a_zip_of_the_same_files_are_one_pack(tree: str, made: tuple[list[Picture], Words]) -> None:
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as other:
        assert packed(place, f"folder, {tree}", *made).digest == packed(other, f"zip, {tree}", *made).digest
