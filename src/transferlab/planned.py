"""A study turned into cells: the nouns of a plan, and how stored nouns come back from plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from transferlab.errors import UserError
from transferlab.specs import (
    Augmentation,
    Contrast,
    Design,
    Epochs,
    Examples,
    PretrainCell,
    Protocol,
    Recipe,
    TransferCell,
    UntilFlat,
)  # fmt: skip


@dataclass(frozen=True)
class PackRef:
    """A pack as a plan names it: the spec that it came from, its digest and its display name; whether it has boxes."""

    spec: str
    digest: str
    name: str
    has_boxes: bool = False


@dataclass(frozen=True)
class Training:
    """One pre-training of a plan: the condition or control that it belongs to, its seed, and its cell."""

    key: str
    condition: str
    seed: int
    cell: PretrainCell


@dataclass(frozen=True)
class RandomNetwork:
    """An untrained network, normalised like the source: what the random controls transfer.

    The whole recipe counts: training it from scratch on a target takes the recipe's batch, decay and augmentation.
    """

    recipe: Recipe
    seed: int
    source: str
    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]


@dataclass(frozen=True)
class Transfer:
    """One transfer of a plan. ``control`` networks that were never trained are described by ``untrained``."""

    key: str
    condition: str
    seed: int
    cell: TransferCell
    untrained: RandomNetwork | None = None


@dataclass(frozen=True)
class NamedCondition:
    """A condition or control of a plan: its name, its design (None for untrained controls), its numeric factor."""

    name: str
    design: Design | None
    is_control: bool
    factor: float | None = None


@dataclass(frozen=True)
class Plan:
    """A study turned into cells: all that running and answering need, plain enough to be kept as JSON.

    ``identity`` names the question with its data and recipe, whatever the number of seeds: running again with more
    seeds goes on with the same study. ``code`` holds DESIGN, ENGINE and TRANSFER of ``identity`` as they were.
    """

    identity: str
    name: str
    question: str
    source: PackRef
    targets: Sequence[PackRef]
    conditions: Sequence[NamedCondition]
    contrasts: Sequence[Contrast]
    reference: str
    seeds: int
    unit: str
    recipe: Recipe
    protocols: Sequence[Protocol]
    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    trainings: Sequence[Training]
    transfers: Sequence[Transfer]
    code: Sequence[int] = ()
    notes: Sequence[str] = ()


_STORED: dict[str, type[Any]] = {
    noun.__name__: noun
    for noun in (
        Design, Examples, Epochs, UntilFlat, Augmentation, Recipe, Protocol, PretrainCell, TransferCell, Contrast,
        PackRef, Training, RandomNetwork, Transfer, NamedCondition, Plan,
    )
}  # fmt: skip


def restored(stored: Any) -> Any:
    """The noun that ``identity.plain`` made this plain data from.

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
