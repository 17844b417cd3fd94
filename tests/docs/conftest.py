"""Pictures for the studies of the documentation, and tables without what those studies define."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlab.extensions import TABLES


@pytest.fixture(scope="session")
def pictures() -> Callable[[Path], None]:
    """Write two classes of noise, one of them brighter, and the file of JSON lines that lists them."""

    def write(folder: Path) -> None:
        folder.mkdir(parents=True)
        random = np.random.default_rng(0)
        lines: list[str] = []
        for i in range(60):
            pixels = random.integers(0, 128, (20, 24, 3)) + 100 * (i % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
            lines.append(json.dumps({"path": f"{i}.png", "label": ["dark", "bright"][i % 2]}))
        (folder / "list.jsonl").write_text("\n".join(lines))

    return write


@pytest.fixture
def clean_tables() -> Iterator[None]:
    """Afterwards, definitions of study files that this process ran are forgotten."""
    yield
    for table in TABLES:
        for name in [name for name in table if table.brought(name)]:
            del table._all[name], table._brought[name]
