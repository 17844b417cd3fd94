"""Killed at any moment, packing goes on and ends in the same pack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.images.pack import open_pack, write_pack
from transferlab.images.source import Item, Source
from transferlab.images.staging import CHUNK_IMAGES

# 2.9 chunks of small images of which some are bad; the process kills itself where it is told to.
MADE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from transferlab.images.pack import write_pack
from transferlab.images.source import Item, Source

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def source(kill_at=None, n=2970):
    def items():
        for i in range(n):
            if i == kill_at:
                die()
            data = b"" if i % 700 == 5 else np.full((4, 4), i % 251, np.uint8)
            yield Item(f"{i}", data, str(i % 3), None)
    return Source("made", ("0", "1", "2"), "1", items, n_images=n)

def write(out, source):
    seen = []
    pack = write_pack(source, Path(out), 8, skip_bad=True, progress=lambda done, of: seen.append(done), workers=2)
    return pack.digest, *seen[:1]
"""


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MADE + program, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> str:
    done = run("print(write(sys.argv[1], source())[0])", tmp_path_factory.mktemp("whole") / "pack")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_killed_while_reading_it_goes_on_from_the_last_whole_chunk(tmp_path: Path, unbroken: str) -> None:
    killed = run("write(sys.argv[1], source(kill_at=2900))", tmp_path / "pack")
    assert killed.returncode == -9 and not (tmp_path / "pack").exists()
    again = run("print(*write(sys.argv[1], source()))", tmp_path / "pack")
    digest, first_seen = again.stdout.split()
    assert digest == unbroken
    assert int(first_seen) == CHUNK_IMAGES  # of two chunks handed out, one was on the disk


def test_killed_at_any_write_it_ends_in_the_same_pack(tmp_path: Path) -> None:
    """Children die before their n-th fsync or rename, for every n there is; then another goes on to the end."""
    program = """
def dying(function, left):
    def call(*arguments):
        left[0] -= 1
        if left[0] == 0:
            die()
        return function(*arguments)
    return call

def survives(out, n):
    pid = os.fork()
    if not pid:
        left = [n]
        os.fsync, Path.rename = dying(os.fsync, left), dying(Path.rename, left)
        write(out, source(n=1100))
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0

n = 1
while not survives(f"{sys.argv[1]}/{n}", n):
    n += 1
for k in range(1, n):
    assert survives(f"{sys.argv[1]}/{k}", 0)
print(n - 1)
"""
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr
    n_places = int(done.stdout)
    assert n_places >= 16  # 2 chunks of 3 files, the pack's 6 files and their folder, the manifest, the move
    packs = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert len(packs) == n_places + 1
    assert len({open_pack(path, check=True).digest for path in packs}) == 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda journal: journal + journal[: len(journal) // 2],
        lambda journal: journal + b"no line of a journal\n",
        lambda journal: journal[:-40] + b"\0" * 40,
        lambda journal: journal.replace(b"1024", b"1023", 1),
        lambda journal: b"\xff\n",
    ],
    ids=["half a line", "noise", "zeros", "a digit", "nothing of it"],
)
def test_a_damaged_journal_costs_the_chunks_from_there_only(
    tmp_path: Path, unbroken: str, damage: Callable[[bytes], bytes]
) -> None:
    run("write(sys.argv[1], source(kill_at=2900))", tmp_path / "pack")
    staging = tmp_path / ".pack.partial"
    whole = (staging / "journal.jsonl").read_bytes()
    (staging / "journal.jsonl").write_bytes(damage(whole))
    with (staging / "pack" / "images.u8").open("ab") as images, (staging / "rows.jsonl").open("ab") as rows:
        images.write(b"half an image")
        rows.write(b'["half a row')
    assert run("print(write(sys.argv[1], source())[0])", tmp_path / "pack").stdout.strip() == unbroken


@pytest.mark.parametrize("name", ["pack/images.u8", "rows.jsonl"])
def test_decoded_images_that_were_lost_are_decoded_again(tmp_path: Path, unbroken: str, name: str) -> None:
    run("write(sys.argv[1], source(kill_at=2900))", tmp_path / "pack")
    lost = tmp_path / ".pack.partial" / name
    lost.write_bytes(lost.read_bytes()[:100])
    assert run("print(write(sys.argv[1], source())[0])", tmp_path / "pack").stdout.strip() == unbroken


def test_a_full_disk_stops_cleanly_and_goes_on_later(tmp_path: Path, unbroken: str) -> None:
    program = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # the second chunk does not fit
from transferlab.errors import UserError
try:
    write(sys.argv[1], source())
except UserError as error:
    print(error)
"""
    full = run(program, tmp_path / "pack")
    assert "cannot be written: File too large" in full.stdout and "are kept" in full.stdout, full.stderr
    assert not (tmp_path / "pack").exists()
    digest, first_seen = run("print(*write(sys.argv[1], source()))", tmp_path / "pack").stdout.split()
    assert digest == unbroken and int(first_seen) == CHUNK_IMAGES


def test_a_folder_without_write_permission_is_one_paragraph() -> None:
    program = """
import shutil, tempfile
from transferlab.errors import UserError
folder = tempfile.mkdtemp()
try:
    os.chmod(folder, 0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        write(f"{folder}/pack", source())
    except UserError as error:
        print(error)
finally:
    if os.getuid() == 0:
        os.seteuid(0)
    shutil.rmtree(folder)
"""
    done = run(program)
    assert "cannot be written: Permission denied" in done.stdout, done.stderr


def numbered(n: int, fingerprint: str = "1", prefix: str = "") -> Source:
    def items() -> Iterator[Item]:
        for number in range(n):
            yield Item(f"{prefix}{number}", np.full((4, 4), number % 256, np.uint8), str(number % 2), None)

    return Source("made", ("0", "1"), fingerprint, items)


def interrupted(source: Source, at: int) -> Source:
    def items() -> Iterator[Item]:
        for number, item in enumerate(source.items()):
            if number == at:
                raise KeyboardInterrupt
            yield item

    return replace(source, items=items)


def test_a_changed_source_begins_anew(tmp_path: Path) -> None:
    n = 2 * CHUNK_IMAGES + 10
    with pytest.raises(KeyboardInterrupt):
        write_pack(interrupted(numbered(n), n - 1), tmp_path / "p", 4, skip_bad=False, progress=lambda d, t: None)
    assert (tmp_path / ".p.partial" / "journal.jsonl").exists()
    seen: list[int] = []
    changed = numbered(n, "2", "x")
    pack = write_pack(changed, tmp_path / "p", 4, skip_bad=False, progress=lambda d, t: seen.append(d))
    assert seen[0] == 0
    other = write_pack(changed, tmp_path / "q", 4, skip_bad=False, progress=lambda d, t: None)
    assert pack.digest == other.digest


def test_images_that_change_under_an_unchanged_fingerprint_are_noticed(tmp_path: Path) -> None:
    n = 2 * CHUNK_IMAGES + 10
    with pytest.raises(KeyboardInterrupt):
        write_pack(interrupted(numbered(n), n - 1), tmp_path / "p", 4, skip_bad=False, progress=lambda d, t: None)
    with pytest.raises(UserError, match="changed since"):
        write_pack(numbered(n, prefix="x"), tmp_path / "p", 4, skip_bad=False, progress=lambda d, t: None)


def test_chunks_in_flight_are_bounded_by_bytes(tmp_path: Path) -> None:
    large = np.zeros((3000, 3000, 3), np.uint8)  # 27 MB: three to a chunk
    n_read = 0

    def items() -> Iterator[Item]:
        nonlocal n_read
        for number in range(12):
            n_read += 1
            yield Item(str(number), large, str(number % 2), None)

    seen: list[tuple[int, int]] = []
    source = Source("large", ("0", "1"), "1", items)
    write_pack(
        source, tmp_path / "p", 4, skip_bad=False, progress=lambda done, of: seen.append((done, n_read)), workers=1
    )
    assert seen == [(0, 0), (3, 6), (6, 9), (9, 12), (12, 12)]  # one chunk decodes while the next is read
