"""What the benchmarks share: spreads in words, result files, and the toy world as a folder of images."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transferlab.images.toy import classes_of, draw

RESULTS = Path(__file__).parent / "results"


def recipe_of(point: Mapping[str, Any]) -> str:
    """The recipe of a point of quality.py; before its results named theirs, there was one."""
    return point.get("recipe", "random-stem")


def spread(values: Sequence[float], form: str = ",.2f") -> str:
    """Median, smallest and largest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def keep(name: str, facts: Mapping[str, Any]) -> Path:
    """Write raw values to results/<date>-<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{name}.json"
    path.write_text(json.dumps(dict(facts), indent=1) + "\n")
    return path


def write_toy(folder: Path, n_per_class: int, image_px: int, seed: int = 0) -> None:
    """The toy world's 64 classes as PNG files, what ImageFolder reads."""
    for name in classes_of("classes"):
        target = folder / name.replace("/", "-")
        target.mkdir(parents=True)
        for i, pixels in enumerate(draw("classes", name, np.arange(n_per_class), image_px, seed)[0]):
            Image.fromarray(pixels).save(target / f"{i}.png")
