"""The data types of a plan, and how stored data become these types again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from transferlab.errors import UserError
from transferlab.identity import tag_of
from transferlab.specs import (
    Augmentation,
    Contrast,
    Design,
    Epochs,
    Examples,
    PretrainCell,
    Protocol,
    Recipe,
    TargetFacts,
    TransferCell,
    UntilFlat,
)  # fmt: skip


@dataclass(frozen=True)
class SourceFacts:
    """A source in a plan: its SPEC, its pack's digest, its name, numbers of images, and remarks on them.

    Args:
        n_held_out: of the images on which networks are measured by their own task.
    """

    TAG: ClassVar[str] = "SourceFacts"

    spec: str
    digest: str
    name: str
    n_train: int = 0
    notes: tuple[str, ...] = ()
    n_held_out: int = 0


@dataclass(frozen=True)
class Training:
    """One pre-training of a plan: the condition or control that it belongs to, its seed, and its cell."""

    TAG: ClassVar[str] = "Training"

    key: str
    condition: str
    seed: int
    cell: PretrainCell


@dataclass(frozen=True)
class RandomNetwork:
    """An untrained network, with the source's normalisation, for controls without pre-training.

    All of the recipe is part of its identity, because training from scratch uses its batch, decay and augmentation.

    Args:
        origin: the control, if it changes the network's initial weights; else "".
        brought: digests of the code of the definitions from outside the package that it uses.
    """

    TAG: ClassVar[str] = "RandomNetwork"
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"origin", "brought"})

    recipe: Recipe
    seed: int
    source: str
    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    origin: str = ""
    brought: tuple[str, ...] = ()


@dataclass(frozen=True)
class Transfer:
    """One transfer of a plan.

    Args:
        untrained: the network, if it is not pre-trained.
        label: the name of its protocol in tables and reports.
        compared: whether contrasts use it; each condition has one such transfer for each target and seed.
    """

    TAG: ClassVar[str] = "Transfer"

    key: str
    condition: str
    seed: int
    cell: TransferCell
    untrained: RandomNetwork | None = None
    label: str = ""
    compared: bool = False


@dataclass(frozen=True)
class NamedCondition:
    """A condition or control of a plan.

    Args:
        design: None for controls without pre-training. factor: its place on a numeric axis, if it has one.
        title, explained, colour, dash: for reports. is_floor: whether scores are also reported as gains over it.
        origin: the control that it belongs to, if that has several conditions. repeats: the condition that it is, trained at
            another learning rate; "" if it is none.
        n_images, n_labels, effective_labels, largest_share: of its first seed's subset; 0 without pre-training.
        shares: for labels that merge classes, each label's name and share of the images, 0…1, the largest first.
    """

    TAG: ClassVar[str] = "NamedCondition"
    NOT_IDENTITY: ClassVar[frozenset[str]] = frozenset({
        "title", "explained", "colour", "dash", "is_floor", "n_images", "n_labels", "effective_labels", "largest_share", "shares",
    })  # fmt: skip
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"origin", "repeats"})

    name: str
    design: Design | None
    is_control: bool
    factor: float | None = None
    title: str = ""
    explained: str = ""
    colour: str = ""
    dash: tuple[float, ...] = ()
    is_floor: bool = False
    n_images: int = 0
    n_labels: int = 0
    effective_labels: float = 0.0
    largest_share: float = 0.0
    shares: tuple[tuple[str, float], ...] = ()
    origin: str = ""
    repeats: str = ""

    @property
    def control(self) -> str:
        """The name of the control that it belongs to; "" if it is a condition of the question."""
        return (self.origin or self.name) if self.is_control else ""


@dataclass(frozen=True)
class PlannedProtocol:
    """A protocol of a plan, with what reports show about it.

    Args:
        label, explained: its name in tables, and a description.
        boxes, own_classes: which targets it measures.
        beside: other metrics of its cells, which reports show in tables of their own.
    """

    TAG: ClassVar[str] = "PlannedProtocol"

    protocol: Protocol
    label: str
    explained: str
    boxes: bool = False
    own_classes: bool = False
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class BroughtDefinition:
    """A definition from outside the package that a plan uses: kind, name, where it comes from, digest of its code."""

    TAG: ClassVar[str] = "BroughtDefinition"

    kind: str
    name: str
    place: str
    code: str


@dataclass(frozen=True)
class Plan:
    """A study's cells, with everything that running and answering it need; stored as JSON.

    Args:
        identity: digest of the question, data and recipe but not of the number of seeds: a run with more seeds continues the
            same study.
        code: DESIGN, ENGINE and TRANSFER of ``identity`` when it was planned.
        brought: the definitions from outside the package that it uses.
    """

    TAG: ClassVar[str] = "Plan"

    identity: str
    name: str
    question: str
    source: SourceFacts
    targets: Sequence[TargetFacts]
    conditions: Sequence[NamedCondition]
    contrasts: Sequence[Contrast]
    reference: str
    seeds: int
    unit: str
    recipe: Recipe
    protocols: Sequence[PlannedProtocol]
    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    trainings: Sequence[Training]
    transfers: Sequence[Transfer]
    code: Sequence[int] = ()
    notes: Sequence[str] = ()
    brought: Sequence[BroughtDefinition] = ()

    @property
    def floor(self) -> NamedCondition | None:
        """The control over which gains are reported, if there is one."""
        return next((c for c in self.conditions if c.is_floor), None)


_STORED: dict[str, type[Any]] = {
    tag_of(noun): noun
    for noun in (
        Design, Examples, Epochs, UntilFlat, Augmentation, Recipe, Protocol, PretrainCell, TransferCell, Contrast, TargetFacts,
        SourceFacts, Training, RandomNetwork, Transfer, NamedCondition, PlannedProtocol, BroughtDefinition, Plan,
    )
}  # fmt: skip


def restored(stored: Any) -> Any:
    """The value from which ``identity.plain`` made this data.

    Raises:
        UserError: a type or a field that this version does not know.
    """
    if isinstance(stored, list):
        return tuple(restored(item) for item in cast("list[Any]", stored))
    if not isinstance(stored, dict):
        return stored
    items = cast("dict[str, Any]", stored)
    fields = {key: restored(item) for key, item in items.items() if key != "type"}
    if "type" not in items:
        return fields
    try:
        return _STORED[items["type"]](**fields)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"another version of transferlab wrote this study ({error})", f"a stored {items['type']}",
            "run the study's command again, or use that version",
        ) from error  # fmt: skip
