"""Packing stays within its memory whatever comes in."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LIMIT = 1_500_000_000  # bytes of address space, of each process


def picture(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (level, 0, 0)).save(file, "PNG")
    return file.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A black grey PNG of any size, in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((width + 1) * height), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
@pytest.mark.parametrize(("make", "spec"), [(shard, "wds:set.tar.gz"), (arrays, "npz:set.npz")])
def test_packing_stays_within_its_memory(make: object, spec: str, tmp_path: Path) -> None:
    assert callable(make)
    make(tmp_path / spec.partition(":")[2])
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({LIMIT}, {LIMIT}))\nfrom transferlab.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", limited, "pack", spec, "made", "--size", "32", "--skip-bad"], cwd=tmp_path,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "20" in done.stdout or "21" in done.stdout
