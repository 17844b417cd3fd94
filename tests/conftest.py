"""Shared by all rooms: small packs made of nothing, and one thread, so that bits repeat."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transferlab import cli
from transferlab.definitions import Brought, Definition, Table
from transferlab.identity import digest
from transferlab.specs import TEST, TRAIN, VAL, Boxes, Pack, Ragged
from transferlab.taxonomy.readers import from_folders
from transferlab.taxonomy.tree import flat

MakePack = Callable[..., Pack]
Bring = Callable[[Table[Any], Definition], None]
Folder = Callable[..., None]
DATA = Path(__file__).parents[1].parent / "shared" / "data"

# A suite that a shell started in the background inherits an ignored Ctrl-C, and so would every command under test.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Files that one worker is busy with for minutes. Begun last, they would leave the other cores idle.
LONG = ("test_paper.py", "test_extending.py", "test_planted.py", "test_local.py", "test_docs.py", "test_damage.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the longest files to the front; the order of everything else stays."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture
def real_data() -> Path:
    """The folder of genuine image sets beside the checkout."""
    if not DATA.is_dir():
        pytest.skip("the folder ../shared/data with genuine images is not here")
    return DATA


@pytest.fixture
def bring() -> Iterator[Bring]:
    """Bring a definition from outside into a table, for one test."""
    brought: list[tuple[Table[Any], str]] = []

    def into(table: Table[Any], definition: Definition) -> None:
        table.bring(definition, Brought("a test", "0"))
        brought.append((table, definition.name))

    yield into
    for table, name in brought:
        del table._all[name], table._brought[name]


# One core means one worker, which halves the time: most of it goes into loading torch. Each worker of xdist has a core.
COMMAND = """
import os
if hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, [cores[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % len(cores)]])
from transferlab.cli import main
main()
"""


@pytest.fixture(scope="session")
def on_one_core() -> list[str]:
    """The command, in a process of its own, with one core and so with one worker."""
    return [sys.executable, "-c", COMMAND]


@pytest.fixture
def make_pack() -> MakePack:
    """A pack of nested classes "g0/c0", "g0/c1", …; classes differ in brightness and groups in colour."""

    def make(
        sizes: tuple[int, ...] = (12,) * 6, *, groups: int = 2, px: int = 16, seed: int = 0, n_test: int = 6,
        multi_label: bool = False, name: str = "made",
    ) -> Pack:  # fmt: skip
        random = np.random.default_rng(seed)
        leaves = [f"g{i % groups}/c{i}" for i in range(len(sizes))]
        counts = {TRAIN: sizes, VAL: (n_test,) * len(sizes), TEST: (n_test,) * len(sizes)}
        labels = np.concatenate([np.repeat(np.arange(len(sizes)), c) for c in counts.values()]).astype(np.int32)
        split = np.concatenate([np.full(sum(c), s, np.uint8) for s, c in counts.items()])
        images = random.integers(0, 90, (len(labels), px, px, 3))
        images += (labels * 110 // len(sizes))[:, None, None, None]
        images[..., 0] += (labels % groups * 50)[:, None, None]
        images = images.astype(np.uint8)
        order = random.permutation(len(labels))
        images, labels, split = images[order], labels[order], split[order]
        ids = np.array([int(digest(seed, i)[:16], 16) for i in range(len(labels))], np.uint64)
        held = np.eye(len(sizes), dtype=np.int8)[labels] if multi_label else labels
        mean = (images / 255).mean((0, 1, 2)).astype(np.float32)
        std = (images / 255).std((0, 1, 2)).astype(np.float32)
        return Pack(name, Path(name), images, held, split, ids, from_folders(leaves), mean, std,
                    digest(images, held, split, ids))  # fmt: skip

    return make


@pytest.fixture
def make_scenes() -> MakePack:
    """A pack with boxes: one or two squares on noise in each image, classes by colour; originals are twice as large."""

    def make(counts: tuple[int, int, int] = (24, 6, 16), *, k: int = 3, px: int = 48, seed: int = 0) -> Pack:
        random = np.random.default_rng(seed)
        n, colours = sum(counts), np.array([[230, 60, 40], [50, 210, 70], [60, 80, 240], [220, 210, 60]])[:k]
        sizes = np.stack([random.integers(px * 2 // 3, px + 1, n), np.full(n, px)], 1).astype(np.int32)
        pictures = [random.integers(90, 150, (h, w, 3)).astype(np.uint8) for h, w in sizes.tolist()]
        boxes: list[list[float]] = []
        labels: list[int] = []
        first = [0]
        for picture, (h, w) in zip(pictures, sizes.tolist(), strict=True):
            for half in range(int(random.integers(1, 3))):  # one in each half, so that none hides another
                side, label = int(random.integers(px // 5, px // 3)), int(random.integers(k))
                x, y = int(random.integers(0, w // 2 - side)) + half * w // 2, int(random.integers(0, h - side))
                picture[y : y + side, x : x + side] = colours[label]
                boxes.append([x, y, x + side, y + side])
                labels.append(label)
            first.append(len(labels))
        edges, of = np.array(boxes, np.float32), np.array(labels, np.int32)
        nothing = np.zeros(len(of), bool)
        present = np.zeros((n, k), np.int8)
        present[np.repeat(np.arange(n), np.diff(first)), of] = 1
        split = np.repeat([TRAIN, VAL, TEST], counts).astype(np.uint8)
        ids = np.array([int(digest(seed, i)[:16], 16) for i in range(n)], np.uint64)
        held = Boxes(np.array(first, np.int64), edges, of, nothing, nothing, edges.astype(np.float64) * 2, sizes * 2,
                     (edges[:, 2:] - edges[:, :2]).prod(1).astype(np.float64) * 4)  # fmt: skip
        ragged = Ragged(np.concatenate([picture.ravel() for picture in pictures]), sizes)
        mean = np.full(3, 0.45, np.float32)
        return Pack("scenes", Path("scenes"), ragged, present, split, ids, flat([f"colour{c}" for c in range(k)]), mean,
                    mean / 2, digest(ragged.pixels, sizes, edges, of, split, ids), boxes=held)  # fmt: skip

    return make


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def paragraph(self) -> str:
        """The only paragraph on standard error beside lines of progress."""
        lines = [line for line in self.err.splitlines() if not line.startswith("[")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("transferlab: ")
        assert lines[0].isprintable()
        assert lines[0].endswith(".")
        return lines[0]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line in this process."""

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["transferlab", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return Said(int(left.value.code or 0), told.out, told.err)

    return run


@pytest.fixture(scope="session")
def folder() -> Folder:
    """Write an image folder of noise: n PNG files of each class."""

    def write(path: Path, classes: Sequence[str], n: int = 10) -> None:
        random = np.random.default_rng(len(classes))
        for name in classes:
            (path / name).mkdir(parents=True)
            for i in range(n):
                Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(path / name / f"{i}.png")

    return write
