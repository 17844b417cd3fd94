"""Packing JPEGs on all cores beside the bare decoder on one, and what comes after: a second pack, opening, memory.

    python benchmarks/packs.py [FOLDER] [--images N] [--rounds N]

Without a folder of class folders the drawn toy world is written out as photographs: 500x375 and 1600x1200, so that decoding at a
reduced scale counts. Bare is Pillow's draft and resize in a loop over the same files in one process; the limit is that
times the cores. Every figure is the median of its rounds, with the smallest and largest. Raw values go to
benchmarks/results/<date>-packs.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from transferlab.images.decode import REDUCED
from transferlab.images.publish import publish
from transferlab.images.source import Source
from transferlab.images.staging import Decoded
from transferlab.images.toy import classes_of, draw
from transferlab.runners.machine import here

HERE = Path(__file__).parent
SIZES = (32, 64, 224)
PHOTOGRAPHS = ((500, 375, 0.9), (1600, 1200, 0.1))  # width, height, share
MILLION = 1_000_000
# A folder and a size; prints seconds. Runs alone in its process, so that nothing else is imported or kept.
BARE = f"""
import sys, time
from pathlib import Path
from PIL import Image
files, size = sorted(p for p in Path(sys.argv[1]).rglob("*") if p.is_file()), int(sys.argv[2])
begun = time.perf_counter()
for file in files:
    with Image.open(file) as image:
        image.draft("RGB", ({REDUCED} * size, {REDUCED} * size))
        image = image.convert("RGB")
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        image.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
print(time.perf_counter() - begun)
"""
# A pack's folder; prints the seconds that the spec road takes to open it.
OPEN = """
import sys, time
from transferlab.images.spec import taxonomy_of
from transferlab.images.pack import open_pack
from pathlib import Path
begun = time.perf_counter()
pack = open_pack(Path(sys.argv[1]))
int(pack.images[-1].sum()), int(pack.labels[-1]), len(pack.taxonomy.leaves)
print(time.perf_counter() - begun)
"""


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("folder", type=Path, nargs="?")
    words.add_argument("--images", type=int, default=4_000, help="how many of the toy world are written")
    words.add_argument("--rounds", type=int, default=3)
    wanted = words.parse_args()
    machine = here("cpu")
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as held:
        scratch = Path(held)
        few, many = scratch / "few", scratch / "many"
        n_few = linked(wanted.folder, few) if wanted.folder else _write_photographs(few, wanted.images)
        for number in range(4):  # four times the images by hard links: other names, so other images
            linked(few, many, f"{number}-")
        for number in range(wanted.rounds):
            print(f"round {number + 1} of {wanted.rounds} …", file=sys.stderr)
            for size in SIZES:
                _one_round(rows, few, many, n_few, size, machine.n_units)
        shutil.rmtree(many)
        for _ in range(wanted.rounds):
            rows.setdefault("opening a pack of a million images, seconds", []).append(_opening(scratch))
    print(f"{machine.name}, {machine.n_units} cores, n = {wanted.rounds}, {n_few:,} and {4 * n_few:,} files")
    for name, values in rows.items():
        print(f"{name:<58} {_spread(values)}")
    result = HERE / "results" / f"{datetime.now(UTC):%Y-%m-%d}-packs.json"
    result.parent.mkdir(exist_ok=True)
    facts = {"machine": machine.name, "cores": machine.n_units, "images": n_few, "folder": wanted.folder is not None}
    result.write_text(json.dumps({**facts, "measured": rows}, indent=1) + "\n")
    print(result)


def _one_round(rows: dict[str, list[float]], few: Path, many: Path, n_few: int, size: int, n_cores: int) -> None:
    """Bare and packing turn by turn; the rate is of the larger set, once with its start and once without."""
    bare = n_few / float(output([sys.executable, "-c", BARE, str(few), str(size)]))
    out = few.parent / "pack"
    few_seconds, few_mib = packed(few, out, size)
    shutil.rmtree(out)
    seconds, many_mib = packed(many, out, size)
    again, _ = packed(many, out, size)
    shutil.rmtree(out)
    rate = 4 * n_few / seconds
    found = {
        "bare decoder, one core, images/s": bare,
        "pack, all cores, images/s": rate,
        "pack, share of cores x bare": rate / (bare * n_cores),
        "pack, share, its start left out": 3 * n_few / (seconds - few_seconds) / (bare * n_cores),
        "peak memory of the largest process, MiB, n images": few_mib,
        "peak memory of the largest process, MiB, 4n images": many_mib,
        "second pack, seconds": again,
    }
    for name, value in found.items():
        rows.setdefault(f"{size} px: {name}", []).append(value)


def packed(folder: Path, out: Path, size: int) -> tuple[float, float]:
    """Seconds of the command from start to end, and the largest resident memory of any of its processes in MiB."""
    command = [sys.executable, "-m", "transferlab", "pack", f"imagefolder:{folder}", str(out), "--size", str(size)]
    program = "import subprocess, sys, resource; subprocess.run(sys.argv[1:], check=True, capture_output=True); " \
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"  # fmt: skip
    begun = time.perf_counter()
    kib = float(output([sys.executable, "-c", program, *command]))
    return time.perf_counter() - begun, kib / 1024


def output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _write_photographs(folder: Path, n_images: int) -> int:
    """The toy world as JPEGs of photographs' sizes, quality and grain."""
    names = classes_of("classes")[:20]
    noise = np.random.Generator(np.random.PCG64(0))
    n_each = n_images // len(names)
    for name in names:
        target = folder / name.replace("/", "-")
        target.mkdir(parents=True)
        for i, pixels in enumerate(draw("classes", name, np.arange(n_each), 96, 0)[0]):
            width, height, _ = PHOTOGRAPHS[i % 10 >= 10 * PHOTOGRAPHS[0][2]]
            enlarged = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC), np.int16)
            grain = noise.integers(-12, 13, enlarged.shape, np.int16)
            image = Image.fromarray((enlarged + grain).clip(0, 255).astype(np.uint8))
            image.save(target / f"{i}.jpg", quality=85)
    return n_each * len(names)


def linked(source: Path, folder: Path, prefix: str = "") -> int:
    """The files of a tree again, as hard links or copies, each with a prefix before its name; how many."""
    files = [file for file in sorted(source.rglob("*")) if file.is_file()]
    if not files:
        sys.exit(f"no files in {source}: name a folder of class folders")
    for file in files:
        link = folder / file.relative_to(source).with_name(f"{prefix}{file.name}")
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, link)
        except OSError:  # another disk
            shutil.copyfile(file, link)
    return len(files)


def _opening(scratch: Path) -> float:
    """Seconds to open a pack of a million images of 32 px, made once, in a process of its own."""
    out = scratch / "million"
    if not out.exists():
        _write_million(scratch / "staging", out)
    return float(output([sys.executable, "-c", OPEN, str(out)]))


def _write_million(staging: Path, out: Path) -> None:
    """As packing leaves it, of pixels that are noise: 3 GB."""
    (staging / "pack").mkdir(parents=True)
    noise = np.random.Generator(np.random.PCG64(0))
    with (staging / "pack/images.u8").open("wb") as file:
        for _ in range(100):
            file.write(noise.integers(0, 256, (MILLION // 100, 32, 32, 3), np.uint8).tobytes())
    classes = tuple(f"class{i:04d}" for i in range(1000))
    decoded = Decoded(
        images=staging / "pack/images.u8",
        keys=[f"{classes[i % 1000]}/image_{i:07d}.JPEG" for i in range(MILLION)],
        labels=[classes[i % 1000] for i in range(MILLION)],
        splits=[None] * MILLION,
        image_ids=np.arange(MILLION, dtype=np.uint64),
        pixel_hashes=noise.integers(0, 1 << 63, (MILLION, 2), np.uint64),
        sums=noise.integers(1 << 16, 1 << 17, (MILLION, 6)),
        bad=[],
    )
    source = Source("million", classes, "noise", lambda: iter(()))
    publish(source, decoded, staging, out, {"size_px": 32, "request": "none"})


def _spread(values: Sequence[float]) -> str:
    form = ",.0f" if min(values) >= 100 else ".3f"
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    begun = time.perf_counter()
    main()
    print(f"took {time.perf_counter() - begun:.0f} s", file=sys.stderr)
