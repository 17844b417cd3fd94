"""What a report shows: everything that the store knows of one study, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.division import Division
from transferlab.answers.estimate import Estimate
from transferlab.answers.leakage import Leakage
from transferlab.answers.scaling import Forecast
from transferlab.specs import TargetFacts


@dataclass(frozen=True)
class ConditionFacts:
    """One condition or control: its size and its labels.

    Args:
        factor: its place on a numeric axis, if it has one.
        shares: of a label set that merges classes, each label's name with its share of the images, 0…1, the largest first.
        title, explained, colour, dash: how reports show it. is_floor: scores are read as gains over it.
    """

    name: str
    is_control: bool
    n_images: int
    n_labels: int
    effective_labels: float
    largest_share: float
    subset_digests: tuple[str, ...]
    factor: float | None = None
    shares: tuple[tuple[str, float], ...] = ()
    title: str = ""
    explained: str = ""
    colour: str = ""
    dash: tuple[float, ...] = ()
    is_floor: bool = False

    @property
    def display(self) -> str:
        """The name to show."""
        return self.title or self.name


@dataclass(frozen=True, eq=False)
class Scenes:
    """Test images of a target with boxes, and what one network found in them, drawn.

    Args:
        target: its name. what: "found", "found wrongly" or "missed". network: condition and seed, in words.
        images: uint8 [k, s, s, 3]. captions: class and score of the marked box in each.
    """

    target: str
    what: str
    network: str
    images: NDArray[np.uint8]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """One network on one target, 0…1.

    Args:
        target: its name; "source" for accuracy on the source's own validation images.
        beside: shown next to those of the study's first protocol: accuracy on the source, and controls with a protocol of their own.
    """

    condition: str
    seed: int
    target: str
    protocol: str
    metric: str
    value: float
    key: str
    beside: bool = False


@dataclass(frozen=True)
class Missing:
    """A cell that is not there, and why."""

    condition: str
    seed: int
    target: str
    reason: str


@dataclass(frozen=True)
class Check:
    """A control's verdict: the A/A pair, shuffled labels. ``alarm`` ones open the report."""

    name: str
    alarm: bool
    sentence: str


@dataclass(frozen=True, eq=False)
class StudyAnswers:
    """One study, answered.

    Args:
        estimates: declared contrasts, for each target and for "mean over these targets" (targets' names in order).
        exploratory: differences nobody declared (against random features, for example), labelled so.
        samples: condition name to uint8 [k, s, s, 3] images of its first subset.
        protocol: label and value pairs that describe training and transfer, in order.
        provenance: label and value pairs: versions, hardware, hashes, seconds, exact command.
        notes: sentences on the data: skipped files, duplicates across splits, lengths compared.
        forecasts: what twice the images per class would bring, where the conditions are numbers of them.
        divisions: the best ratio of classes to images, where the conditions divide budgets of images.
        leakage: what ``transferlab leakage`` found between the source and the targets.
        scenes: of targets with boxes, what the reference condition's network found and missed.
        without: ``estimates`` again without the test images that are in the source; empty if there are none.
    """

    name: str
    question: str
    source: str
    n_seeds: int
    unit: str
    conditions: tuple[ConditionFacts, ...]
    targets: tuple[TargetFacts, ...]
    scores: tuple[Score, ...]
    estimates: tuple[Estimate, ...]
    exploratory: tuple[Estimate, ...]
    checks: tuple[Check, ...]
    missing: tuple[Missing, ...]
    samples: Mapping[str, NDArray[np.uint8]]
    protocol: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    divisions: tuple[Division, ...] = ()
    leakage: tuple[Leakage, ...] = ()
    without: tuple[Estimate, ...] = ()
    scenes: tuple[Scenes, ...] = ()
