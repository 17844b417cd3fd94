"""Packing stays within its memory whatever comes in."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LIMIT = 1_500_000_000  # bytes of address space, of each process


def picture(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (level, 0, 0)).save(file, "PNG")
    return file.getvalue()


def png_of(width: int, height: int, depth: int = 8) -> bytes:
    """A black grey PNG of any size, in few bytes; of 16 bits it has a transparent level."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((width * depth // 8 + 1) * height), 9)
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    clear = chunk(b"tRNS", struct.pack(">H", 1)) if depth == 16 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + clear + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def shard(path: Path) -> None:
    """Twenty pictures, the largest allowed one, one that is larger, a member of 255 MB and noise after it."""
    files = [(f"{i}", picture(i), b"ab"[i % 2 : i % 2 + 1]) for i in range(20)]
    files += [
        ("large", png_of(9_990, 9_990), b"a"),
        ("larger", png_of(20_000, 20_000), b"b"),
        ("zeros", bytes(255 << 20), b"a"),
    ]
    with gzip.open(path, "wb", 1) as zipped, tarfile.open(fileobj=zipped, mode="w|") as tar:
        for key, data, label in files:
            for ending, content in (("png", data), ("cls", label)):
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def arrays(path: Path) -> None:
    labels = np.array(["a", "b"] * 10)
    np.savez_compressed(
        path, images=np.zeros((20, 64, 64, 3), np.uint8), labels=labels, surplus=np.zeros(200 << 20, np.uint8)
    )


def wide_array(path: Path) -> None:
    """Two images of a gigapixel each."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (2, 30_000, 30_000)}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(2 * 900):
                file.write(bytes(1_000_000))
        with archive.open("labels.npy", "w") as file:
            np.save(file, np.array(["a", "b"]))


def parquet(path: Path) -> None:
    """Two images, and eighteen times the same 60 MB, which the file holds once."""
    pyarrow = pytest.importorskip("pyarrow", reason="the extra hf is not installed")
    from pyarrow import parquet as pq

    images = pyarrow.array([picture(0), picture(1), *[bytes(60 << 20)] * 18], pyarrow.binary())
    pq.write_table(pyarrow.table({"image": images, "label": ["a", "b"] * 10}), path, compression="zstd")


def long_name(path: Path) -> None:
    """A header of a tar file that claims a name of two gigabytes."""
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2 << 30
    with gzip.open(path, "wb", 1) as file:
        file.write(info.tobuf())
        for _ in range(2 << 10):
            file.write(bytes(1 << 20))


def digits(path: Path) -> None:
    """MNIST's files, one of which unpacks to three gigabytes."""
    folder = path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        for kind, head in (("images-idx3", (8, 3, 2, 2)), ("labels-idx1", (8, 1))):
            with gzip.open(folder / f"{part}-{kind}-ubyte.gz", "wb", 1) as file:
                file.write(bytes((0, 0, *head[:2])) + struct.pack(f">{head[1]}i", *(20,) * head[1]))
                for _ in range(3 << 10):
                    file.write(bytes(1 << 20))


def deep_grey(path: Path) -> None:
    """Two small images, and one of a hundred million pixels of 16 bits with a transparent level."""
    for name, data in (("a/0", picture(0)), ("b/1", picture(1)), ("b/2", png_of(9_990, 9_990, depth=16))):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / f"{name}.png").write_bytes(data)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
@pytest.mark.parametrize(
    ("make", "spec", "told"),
    [
        (shard, "wds:set.tar.gz", "made: 21 images "),
        (arrays, "npz:set.npz", "made: 20 images "),
        (deep_grey, "imagefolder:set", "made: 3 images "),
        (wide_array, "npz:wide.npz", "too many pixels"),
        (parquet, "hf:set.parquet", "made: 2 images "),
        (long_name, "wds:long.tar.gz", "cannot be read to its end"),
        (digits, "torchvision:mnist?root=data", "bytes"),
    ],
)
def test_packing_stays_within_its_memory(make: Callable[[Path], None], spec: str, told: str, tmp_path: Path) -> None:
    make(tmp_path / spec.rpartition(":" if "=" not in spec else "=")[2])
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({LIMIT}, {LIMIT}))\nfrom transferlab.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", limited, "pack", spec, "made", "--size", "32", "--skip-bad"], cwd=tmp_path,
        # Arrow's own pool reserves a gigabyte of addresses that it does not use.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told in done.stdout + done.stderr and "too large for the memory" not in done.stdout, done
    assert done.returncode == (0 if told.startswith("made") else 2), done
