"""``detect``: a detector around the backbone, trained on a fixed number of examples of a target with boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transferlab.definitions import Parameter
from transferlab.specs import Protocol, Recipe, TargetFacts
from transferlab.transfer.definition import ProtocolDefinition

if TYPE_CHECKING:
    from transferlab.transfer.problem import Prediction, Problem

# Operations per pixel of a training step, relative to pre-training: around the small network 1.9 and 2.3 (counted), and what
# the Faster R-CNN does image by image.
COST = {"fcos": 2.0, "faster-rcnn": 3.0}


def _run(problem: Problem) -> Prediction:
    from transferlab.transfer.detect.detector import fit_predict

    return fit_predict(problem)


def _frozen(protocol: Protocol) -> Protocol:
    """The backbone keeps its weights; only the layers around it are trained."""
    return replace(protocol, knobs={**protocol.knobs, "frozen": "all", "norms": "frozen"})


def _from_scratch(protocol: Protocol) -> Protocol:
    """All layers are trained, and batch norms use the statistics of each batch."""
    return replace(protocol, knobs={**protocol.knobs, "frozen": 0, "norms": "trained"})


def _cost(settings: Mapping[str, Any], target: TargetFacts, recipe: Recipe) -> float:
    seen = settings["examples"] + target.n_test / 3  # detecting costs a third of training
    return seen * COST[settings["head"]] * target.pixels / recipe.image_px**2


# Why these defaults: LOG.md, 2026-11-30. With a Faster R-CNN, mAP on the toy world's detection task after 800 images seen (one
# network, 60 test images) was 25.1 with all layers and norms trained, 24.4 with the stem frozen, 22.0 with stem and first stage
# frozen; with frozen norms 20.9 (all layers trained) and 18.3 (stem and first stage frozen); in batches of 4 instead of 8, 27.7.
detect = ProtocolDefinition(
    name="detect",
    title="detection",
    explained="a detector around the backbone, AdamW, training and validation images together",
    parameters={
        "head": Parameter(means="kind of detector", default="faster-rcnn", words=("faster-rcnn", "fcos")),
        "examples": Parameter(means="images seen", default=4_000, low=1, high=10**9, whole=True),
        "lr": Parameter(means="peak learning rate", default=1e-3, low=1e-9, high=10.0),
        "batch": Parameter(means="images a step", default=4, low=1, high=1024, whole=True),
        "frozen": Parameter(means="parts of the backbone that stay fixed, counted from the stem", default=0, low=0, high=1000,
                            whole=True, words=("all",)),
        "norms": Parameter(means="the backbone's batch norms", default="trained", words=("frozen", "trained")),
    },
    run=_run,
    boxes=True,
    many_labels=True,
    takes_shots=False,
    frozen=_frozen,
    from_scratch=_from_scratch,
    cost=_cost,
    beside=("AP", "mAP"),  # whichever is not the target's own
)  # fmt: skip
