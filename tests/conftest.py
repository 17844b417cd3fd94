"""Shared by all rooms: small packs made of nothing, and one thread, so that bits repeat."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from transferlab.identity import digest
from transferlab.specs import TEST, TRAIN, VAL, Pack
from transferlab.taxonomy.readers import from_folders

MakePack = Callable[..., Pack]

# A suite that a shell started in the background inherits an ignored Ctrl-C, and so would every command under test.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
