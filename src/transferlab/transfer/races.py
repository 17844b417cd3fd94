"""How long fine-tuning trains, and how its learning rates race; importing it loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

# Examples that the last training sees, from the number n of the target's training and validation images: PER_ROOT · √n. That is
# 6 passes over 4,000 images and 21 over 300.
PER_ROOT = 370.0
LEAST, MOST = 4_000, 60_000


class Rung(NamedTuple):
    """One round of the races.

    Args:
        n_rates: how many rates take part.
        share, least: each training sees this share of the last training's examples, but at least so many, and at most half.
    """

    n_rates: int
    share: float
    least: int


# A short race favours high rates, so that small targets need a larger share: on 220 images of 20 classes (see LOG, 2026-11-30) a rate of
# 0.16 is ahead of 0.04 after 400 examples, behind it after 3,000, and worse by 2.6 points after 6,000.
RUNGS = (Rung(4, 1 / 16, 768), Rung(2, 1 / 8, 3072))
FACTORS = (3.0, 1.0, 1 / 3, 1 / 9)  # of the setting lr


def examples_of(settings: Mapping[str, Any], n_images: int) -> int:
    """Examples that the last training sees: the setting, or as follows from the number of training and validation images."""
    if "examples" in settings:
        return int(settings["examples"])
    return round(min(MOST, max(LEAST, settings.get("times", 1) * PER_ROOT * math.sqrt(n_images))))


def rates_of(settings: Mapping[str, Any]) -> list[float]:
    """The peak learning rates that race, highest first."""
    return [settings["lr"] * factor for factor in FACTORS]


def races_of(n_examples: int, n_val: int) -> list[tuple[int, int]]:
    """The rounds of the races: how many rates take part, and how many examples each training sees.

    Args:
        n_examples: of the last training. n_val: validation images; without them there are no races.
    """
    rounds: list[tuple[int, int]] = []
    for rung in RUNGS if n_val else ():
        n_seen = max(1, round(min(n_examples / 2, max(rung.least, rung.share * n_examples))))
        if not rounds or n_seen > rounds[-1][1]:  # the same once more would tell nothing
            rounds.append((rung.n_rates, n_seen))
    return rounds
