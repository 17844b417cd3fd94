"""What packing the whole of ImageNet-1k would take here, from a sample of its photographs.

    python benchmarks/imagenet_pack.py ../shared/data/imagenet_sample [--copies N] [--rounds N]

The sample is linked N times under other names and packed by the command at each size, N/4 times as well: the time of the
difference, which leaves starting out, is scaled to 1,331,167 images. Beside it stand the decoder alone on one core, the
pack's size, the largest process's memory at both numbers, and the time and memory that listing so many files takes.
Median, smallest and largest of the rounds; raw values go to benchmarks/results/<date>-imagenet-pack.json. Reading 150 GB
from the disk is not in it: the sample lies in the cache.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from measured import keep, spread
from packs import linked, output, packed

from transferlab.images.decode import decode
from transferlab.images.sources.imagenet import N_TRAIN, N_VAL
from transferlab.runners.machine import here

N_IMAGES = N_TRAIN + N_VAL
SIZES = (64, 128, 224, 256)
# Lists as many files as ImageNet has, none of which is on the disk; prints seconds and peak memory in KiB.
LISTING = f"""
import resource, time
from transferlab.images.source import Unreadable
from transferlab.images.sources.filetree import Tree, listed
from transferlab.images.sources.wnids import imagenet1k_wnids
wnids = imagenet1k_wnids()
begun = time.perf_counter()
names = [f"train/{{wnids[n % 1000]}}/{{wnids[n % 1000]}}_{{n}}.JPEG" for n in range({N_IMAGES})]
tree = Tree("", {{name: (110_000 + n, 1_700_000_000_000_000_000 + n) for n, name in enumerate(names)}},
            lambda name: Unreadable(""))
source = listed(tree, "imagenet", [(name, name[6:15], "train") for name in names], classes=wnids)
sum(1 for item in source.items())
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("folder", type=Path)
    words.add_argument("--copies", type=int, default=80)
    words.add_argument("--rounds", type=int, default=3)
    wanted = words.parse_args()
    machine = here("cpu")
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as held:
        few, many = Path(held, "few"), Path(held, "many")
        for number in range(wanted.copies):
            n_sample = linked(wanted.folder, many, f"{number}-")
            if number < wanted.copies // 4:
                linked(wanted.folder, few, f"{number}-")
        n_few, n_many = wanted.copies // 4 * n_sample, wanted.copies * n_sample
        for number in range(wanted.rounds):
            print(f"round {number + 1} of {wanted.rounds} …", file=sys.stderr)
            for size in SIZES:
                _one_round(rows, few, many, n_many - n_few, size)
            seconds, kib = map(float, output([sys.executable, "-c", LISTING]).split())
            rows.setdefault("listing: seconds", []).append(seconds)
            rows.setdefault("listing: MiB", []).append(kib / 1024)
    print(
        f"{machine.name}, {machine.n_units} cores, n = {wanted.rounds}, a sample of {n_sample} images, {n_many:,} links"
    )
    print("size   decoder, 1 core   packing, all cores   1,331,167 images   the pack   memory at N/4 and N links")
    for size in SIZES:
        of = {name.split(": ")[1]: values for name, values in rows.items() if name.startswith(f"{size} px")}
        hours = [N_IMAGES / rate / 3600 for rate in of["pack, images/s"]]
        print(
            f"{size:>3} px  {spread(of['decoder, images/s'], ',.0f')}/s  {spread(of['pack, images/s'], ',.0f')}/s  "
            f"{spread(hours)} h  {N_IMAGES * size * size * 3 / 1e9:,.1f} GB  "
            f"{statistics.median(of['MiB, few']):,.0f} and {statistics.median(of['MiB, many']):,.0f} MiB"
        )
    print(
        f"listing {N_IMAGES:,} files: {spread(rows['listing: seconds'], ',.0f')} s, {spread(rows['listing: MiB'], ',.0f')} MiB"
    )
    print(keep("imagenet-pack", {"machine": machine.name, "cores": machine.n_units, "links": n_many, "measured": rows}))


def _one_round(rows: dict[str, list[float]], few: Path, many: Path, n_more: int, size: int) -> None:
    files = [file for file in sorted(few.rglob("*")) if file.is_file()]
    begun = time.perf_counter()
    for file in files:
        decode(file.read_bytes(), size)
    decoder = len(files) / (time.perf_counter() - begun)
    out = few.parent / "pack"
    few_seconds, few_mib = packed(few, out, size)
    shutil.rmtree(out)
    many_seconds, many_mib = packed(many, out, size)
    shutil.rmtree(out)
    found = {
        "decoder, images/s": decoder,
        "pack, images/s": n_more / (many_seconds - few_seconds),
        "MiB, few": few_mib,
        "MiB, many": many_mib,
    }
    for name, value in found.items():
        rows.setdefault(f"{size} px: {name}", []).append(value)


if __name__ == "__main__":
    main()
