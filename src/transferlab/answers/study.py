"""What a report shows: everything that the store holds on one study, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.classes import Classes
from transferlab.answers.contrast import shares
from transferlab.answers.division import Division
from transferlab.answers.estimate import Estimate
from transferlab.answers.leakage import Leakage
from transferlab.answers.rates import Rates
from transferlab.answers.recommend import Help
from transferlab.answers.scaling import Forecast
from transferlab.planned import NamedCondition
from transferlab.specs import Recipe, TargetFacts

OWN, OWN_HEAD = "source", "own head"  # target and protocol of a network's accuracy on its own source


@dataclass(frozen=True, eq=False)
class Scenes:
    """Test images of a target with boxes, with one network's detections drawn on them.

    Args:
        what: "found", "found wrongly" or "missed". network: condition and seed, in words.
        images: uint8 [k, s, s, 3]. captions: class and score of the marked box in each.
    """

    target: str
    what: str
    network: str
    images: NDArray[np.uint8]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """The score of one network on one target, 0…1.

    Args:
        target: its name; ``OWN`` for accuracy on the source's own validation images.
        beside: shown next to the scores of the study's first protocol, although it has another: accuracy on the source, and
            controls with a protocol of their own.
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
    """A cell without a result, and the reason."""

    condition: str
    seed: int
    target: str
    reason: str


@dataclass(frozen=True)
class NotRun:
    """A study that was planned and has no score, and the reason: it was not run, or its cells failed."""

    name: str
    identity: str
    reason: str

    @property
    def sentence(self) -> str:
        """It in words."""
        return f"{self.name} (study {self.identity[:8]}, {self.reason})"


@dataclass(frozen=True)
class Check:
    """What a control says about the study, for example the A/A pair; alarms open the report."""

    name: str
    alarm: bool
    sentence: str


@dataclass(frozen=True, eq=False)
class StudyAnswers:
    """One study, answered.

    Args:
        conditions: conditions, then controls, as the first seed drew them. subsets: name to digest of each seed's subset.
        estimates: the declared contrasts, on "mean over these targets" and on each target.
        helps: the best condition against networks that were not pre-trained, by each protocol that measures both.
        saturated: targets on which every condition is so good that no difference can be seen; they are left out of the mean.
        exploratory: contrasts that were not declared, for example against random features.
        samples: condition name to uint8 [k, s, s, 3] images of its first subset.
        method: label and text of each part of the method, in order.
        provenance: label and text: versions, hardware, hashes, seconds, exact command.
        notes: sentences on the data: skipped files, duplicates across splits, lengths compared.
        forecasts: the score at twice the images per class, if the conditions are numbers of images per class.
        divisions: the best ratio of classes to images, if the conditions divide budgets of images.
        leakage: what ``transferlab leakage`` found between the source and the targets.
        without: ``estimates`` without the test images that are in the source; empty if there are none.
        rates: the declared contrasts at another learning rate, if a control trained every condition at one; at most one.
        with_copies: targets whose results cannot be computed again without such images.
        scenes: for targets with boxes, what a network of the reference condition found and missed.
        classes: for targets with one label per image, the reference condition's results class by class, beside the floor's.
        identity: of its plan, since several studies may have one name.
        recipe, protocols: how networks are pre-trained, and the names of the protocols that measure them.
        n_source: training images of the source. n_trained: networks that were pre-trained.
        seconds: of work, of all cells that are done.
        pictures: target to uint8 [k, s, s, 3], small test images; of targets whose packs exist.
        failed: the errors of analyses that could not be made, by the name of their field, which is then empty.
    """

    name: str
    question: str
    source: str
    n_seeds: int
    unit: str
    conditions: tuple[NamedCondition, ...]
    targets: tuple[TargetFacts, ...]
    scores: tuple[Score, ...]
    estimates: tuple[Estimate, ...]
    exploratory: tuple[Estimate, ...]
    checks: tuple[Check, ...]
    missing: tuple[Missing, ...]
    samples: Mapping[str, NDArray[np.uint8]]
    method: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    helps: tuple[Help, ...] = ()
    saturated: tuple[str, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    divisions: tuple[Division, ...] = ()
    leakage: tuple[Leakage, ...] = ()
    without: tuple[Estimate, ...] = ()
    rates: tuple[Rates, ...] = ()
    with_copies: tuple[str, ...] = ()
    scenes: tuple[Scenes, ...] = ()
    classes: tuple[Classes, ...] = ()
    failed: Mapping[str, Exception] = field(default_factory=dict[str, Exception])
    subsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    identity: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    protocols: tuple[str, ...] = ()
    n_source: int = 0
    n_trained: int = 0
    seconds: float = 0.0
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict[str, "NDArray[np.uint8]"])

    def has(self, analysis: str) -> bool:
        """Whether an analysis, named by its field, has something to show.

        Raises:
            Exception: the error with which it failed.
        """
        if analysis in self.failed:
            raise self.failed[analysis]
        return bool(getattr(self, analysis))

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each target that enters the mean over targets."""
        inside = [t for t in self.targets if not t.apart and t.name not in self.saturated]
        return (
            dict(zip([t.name for t in inside], map(float, shares([t.n_test for t in inside])), strict=True))
            if inside
            else {}
        )

    @property
    def titles(self) -> dict[str, str]:
        """Display names of conditions and controls."""
        return {c.name: c.title for c in self.conditions}
