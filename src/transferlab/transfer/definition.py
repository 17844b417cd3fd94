"""The definition of a protocol: how transfer is measured, and all facts about that. Importing it loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from transferlab.definitions import Definition, Parameter
from transferlab.errors import UserError
from transferlab.specs import Protocol, Recipe, TargetFacts
from transferlab.taxonomy.tree import Taxonomy

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem

Judged = tuple[dict[str, float], dict[str, NDArray[np.generic]]]


# The setting of protocols that may measure a target in folds.
FOLDS = Parameter(
    means="number of folds, each tested by a fit to the others",
    low=4,
    high=20,
    whole=True,
)


def unchanged(protocol: Protocol) -> Protocol:
    """The protocol unchanged."""
    return protocol


@dataclass(frozen=True, kw_only=True)
class ProtocolDefinition(Definition):
    """A protocol; calling it with ``shots`` and settings returns a ``Protocol`` for a study.

    Args:
        run: trains on the problem's training and validation examples and predicts its test images.
        boxes: it needs targets with boxes instead of class labels.
        many_labels: it accepts targets with several labels per image.
        own_classes: it measures the source's own classes, so its only target is ``source``.
        takes_shots: a study may limit the target's examples per class.
        frozen: the protocol for random features, whose layers must not change; None if it trains them.
        from_scratch: the protocol for training every layer from random weights; None if it trains none.
        together: further conditions on the settings alone, checked before any image is decoded; raises UserError.
        check: further conditions on the settings and the target's taxonomy; raises UserError.
        cost: cost of a cell in images of pre-training, from settings, target and recipe; None for a few seconds.
        judge: further metrics and per-example results from scores [e, c], labels [e] and the prediction's notes.
        leads: if it measures the source's own classes, a study's answer begins with its result.
        beside: names of further metrics with tables of their own in reports.
    """

    run: Callable[[Problem], Prediction]
    boxes: bool = False
    many_labels: bool = False
    own_classes: bool = False
    takes_shots: bool = True
    frozen: Callable[[Protocol], Protocol] | None = unchanged
    from_scratch: Callable[[Protocol], Protocol] | None = None
    together: Callable[[Mapping[str, Any]], object] | None = None
    check: Callable[[Mapping[str, Any], Taxonomy], object] | None = None
    cost: Callable[[Mapping[str, Any], TargetFacts, Recipe], float] | None = None
    judge: Callable[[NDArray[np.float32], NDArray[np.int32], Mapping[str, Any]], Judged] | None = None
    leads: bool = False
    beside: tuple[str, ...] = ()

    def __call__(self, *, shots: int | None = None, **settings: Any) -> Protocol:
        """The protocol with these settings, or defaults.

        Args:
            shots: training and validation examples per class, together; None for all.

        Raises:
            UserError: an unknown setting or an invalid value.
        """
        protocol = Protocol(self.name, shots, self.settings(settings))
        self.must_take(protocol)
        return protocol

    def folds(self, protocol: Protocol) -> int:
        """The number of folds in which all images of a target are tested; 0 if its test split is."""
        return int(str(protocol.knobs.get("folds", 0))) if self.parameters.get("folds") is FOLDS else 0

    def must_take(self, protocol: Protocol) -> None:
        """Raise UserError for fewer than one shot, for shots of a protocol without them, or for shots in folds."""
        shots = protocol.shots
        if shots is None:
            return
        if self.folds(protocol):
            raise UserError("shots and folds do not go together", self.name,
                            "leave one of them out: shots limit the training images, and folds use all images")  # fmt: skip
        if not self.takes_shots:
            raise UserError(f"{self.name} takes no shots", self.name, "leave shots out: it uses all examples")
        if isinstance(shots, bool) or not isinstance(shots, int) or shots < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"shots = {shots!r} is impossible", self.name, "choose a whole number from 1 up")

    def label(self, protocol: Protocol) -> str:
        """The name of its results in tables and reports, such as "probe at 5 shots"."""
        rules = [f" by {name} {v}" for name, v in protocol.knobs.items() if self.parameters[name].in_label]
        folds = f" in {n} folds" if (n := self.folds(protocol)) else ""
        return "".join([self.name, *rules, folds, "" if protocol.shots is None else f" at {protocol.shots} shots"])

    def described(self, protocol: Protocol) -> str:
        """A description with its settings, for the methods section of reports."""
        settings = self.settings(protocol.knobs)
        values = [f"{self.parameters[name].means}: {v:,}" if isinstance(v, int) else f"{self.parameters[name].means}: {v}"
                  for name, v in settings.items()]  # fmt: skip
        shots = [] if protocol.shots is None else [f"{protocol.shots} examples per class for training and validation"]
        return f"{self.title or self.name}: {'; '.join([self.explained, *values, *shots])}"

    def refusal(self, protocol: Protocol, target: TargetFacts) -> str:
        """Why this protocol of its kind cannot measure a target, as a phrase; "" if it can."""
        if self.boxes != target.has_boxes:
            return "needs a target with boxes" if self.boxes else "needs a target with class labels"
        if target.many_labels and not self.many_labels:
            return "takes targets with one label per image"
        if self.folds(protocol) and target.many_labels:
            return "in folds takes targets with one label per image, since scores of several fits cannot be ranked together"
        if self.folds(protocol) and target.own_classes:
            return "in folds cannot measure the source itself, since its networks were pre-trained on images that would be tested"
        return "measures the source's own classes" if self.own_classes and not target.own_classes else ""
