"""Laws over every format of images: one order, unique names, known classes, the same pack however it is made."""

from __future__ import annotations

import csv
import io
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlab.images.pack import open_pack, write_pack
from transferlab.images.source import Source
from transferlab.images.sources import SOURCES
from transferlab.images.spec import open_source, parse_spec

N = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 28, 28, 3)).astype(np.uint8)
CLASSES = [str(i % 2) for i in range(N)]


def png(i: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS[i]).save(file, "PNG")
    return file.getvalue()


def imagefolder(folder: Path) -> str:
    for i, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{i}.png").write_bytes(png(i))
    return f"imagefolder:{folder}"


def wds(folder: Path) -> str:
    with tarfile.open(folder / "set.tar", "w") as tar:
        for i, name in enumerate(CLASSES):
            for ending, data in (("png", png(i)), ("cls", name.encode())):
                info = tarfile.TarInfo(f"{i}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return f"wds:{folder}/set.tar"


def table(folder: Path) -> str:
    imagefolder(folder)
    with (folder / "set.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((f"{c}/{i}.png", c) for i, c in enumerate(CLASSES))])
    return f"csv:{folder}/set.csv"


def npz(folder: Path) -> str:
    np.savez(folder / "set.npz", images=PIXELS, labels=np.array(CLASSES))
    return f"npz:{folder}/set.npz"


def torchvision(folder: Path) -> str:
    """MNIST's files, of which every digit needs one image."""
    for part in ("train", "t10k"):
        labels = np.arange(N, dtype=np.uint8) % 10
        for kind, array in (("images-idx3", PIXELS[..., 0]), ("labels-idx1", labels)):
            (folder / "MNIST" / "raw").mkdir(parents=True, exist_ok=True)
            header = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape)
            (folder / "MNIST" / "raw" / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return f"torchvision:MNIST?root={folder}"


def hf(folder: Path) -> str:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra hf is not installed")
    from pyarrow import parquet

    images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(N)]
    parquet.write_table(pyarrow.table({"image": images, "label": CLASSES}), folder / "set.parquet")
    return f"hf:{folder}/set.parquet"


EXAMPLES: dict[str, Callable[[Path], str]] = {
    "imagefolder": imagefolder,
    "wds": wds,
    "csv": table,
    "npz": npz,
    "torchvision": torchvision,
    "hf": hf,
    "digits": lambda _: "digits",
    "toy": lambda _: "toy?task=scenes&images_per_class=6",
}


def test_every_format_has_an_example_here() -> None:
    assert set(EXAMPLES) == set(SOURCES)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[str], Source]:
    """The example of a format, opened."""

    def open_(form: str) -> Source:
        folder = tmp_path / "images"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return open_source(parse_spec(EXAMPLES[form](folder)))

    return open_


@pytest.mark.parametrize("form", EXAMPLES)
def test_items_come_in_one_order_with_unique_names_and_known_classes(
    form: str, opened: Callable[[str], Source]
) -> None:
    source = opened(form)
    first, again = ([(i.key, i.label, i.split) for i in source.items()] for _ in range(2))
    assert first == again
    assert len({key for key, _, _ in first}) == len(first) >= N
    assert source.n_images in (None, len(first))
    assert {label for _, label, _ in first} == set(source.classes)
    assert {split for _, _, split in first} <= {"train", "val", "test", None}
    if source.taxonomy is not None:
        assert tuple(source.taxonomy.leaves) == tuple(source.classes)


@pytest.mark.parametrize("form", [form for form in EXAMPLES if form != "digits"])  # they differ in size alone
def test_the_pack_does_not_depend_on_when_and_by_how_many_it_is_made(
    form: str, opened: Callable[[str], Source], tmp_path: Path
) -> None:
    packs = [
        write_pack(opened(form), tmp_path / str(workers), 8, skip_bad=False, progress=lambda *_: None, workers=workers)
        for workers in (1, 3)
    ]
    assert packs[0].digest == packs[1].digest
    pack = open_pack(tmp_path / "1", check=True)
    assert len(set(pack.image_ids.tolist())) == len(pack.labels) == len(pack.images)
    assert set(pack.split.tolist()) == {0, 1, 2}
    assert pack.images.dtype == np.uint8 and pack.images.shape[1:] == (8, 8, 3)
