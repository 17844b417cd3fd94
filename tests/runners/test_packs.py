"""Packs of a store: made once for what they are made from, and again as soon as any of that changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transferlab.outcomes.store import Store
from transferlab.runners.packs import obtain
from transferlab.specs import Pack


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "lab", create=True)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve images of each of the classes 0, 1 and 2."""
    pixels = np.random.default_rng(0).integers(0, 256, (36, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "made.npz", images=pixels, labels=np.arange(36) % 3)
    return tmp_path / "made.npz"


def obtained(store: Store, spec: str) -> Pack:
    return obtain(store, spec, 8, skip_bad=False, progress=lambda *_: None)[1]


def test_an_edited_taxonomy_counts_from_the_next_run_on(store: Store, images: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree.csv"
    tree.write_text("child,parent\n0,low\n1,low\n2,high\nlow,all\nhigh,all\n")
    spec = f"npz:{images}?taxonomy={tree}"
    first = obtained(store, spec)
    assert first.taxonomy.parents["1"] == ("low",)
    tree.write_text("child,parent\n0,low\n1,high\n2,high\nlow,all\nhigh,all\n")
    second = obtained(store, spec)
    assert second.taxonomy.parents["1"] == ("high",)
    assert first.digest != second.digest
