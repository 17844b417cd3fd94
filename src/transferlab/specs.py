"""The data types that are hashed or stored; those of a plan are in ``planned``.

Shapes: n images of a pack, m rows of a subset or boxes, s side in pixels, K seeds, e test examples, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from transferlab.definitions import Value
from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.taxonomy.tree import Taxonomy

TRAIN, VAL, TEST = 0, 1, 2  # values of Pack.split
LEAST_PX, MOST_PX = 8, 1024  # side of packed images
SPLITS = ("train", "val", "test")
CONTROLS = ("scratch", "random-features", "shuffled-labels", "a/a")  # of a study that names none


class Ragged:
    """Images of several sizes in one array, one after another.

    Args:
        pixels: uint8, all of them, flat; a mapped file.
        sizes: int32 [n, 2], height and width of each image.
    """

    def __init__(self, pixels: NDArray[np.uint8], sizes: NDArray[np.int32]) -> None:
        self.pixels, self.sizes = pixels, sizes
        self.first = np.append(0, np.cumsum(3 * sizes.astype(np.int64).prod(axis=1)))  # int64 [n + 1], into pixels

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, row: int | np.integer) -> NDArray[np.uint8]:
        """Image ``row``, 0…n-1: uint8 [h, w, 3], a view."""
        height, width = self.sizes[row].tolist()
        return self.pixels[self.first[row] : self.first[row + 1]].reshape(height, width, 3)


@dataclass(frozen=True, eq=False)
class Boxes:
    """Annotated objects of a detection pack, image by image; m boxes, k classes.

    Args:
        first: int64 [n + 1]; image i has the rows first[i] to first[i + 1].
        boxes: float32 [m, 4]: x0, y0, x1, y1 in pixels of the image as it is stored, edges (x1 and y1 exclusive).
        labels: int32 [m], 0…k-1.
        ignored: bool [m]: difficult (VOC) or crowd (COCO): neither found nor missed counts.
        crowd: bool [m].
        original: float64 [m, 4]: as edges in pixels of the original image, x1/y1 exclusive (VOC's 1-based inclusive
            (xmin, ymin, xmax, ymax) becomes (xmin - 1, ymin - 1, xmax, ymax)).
        original_sizes: int32 [n, 2]: height and width of the original images.
        areas: float64 [m]: COCO's area, else that of the box.
    """

    first: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    ignored: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    original: NDArray[np.float64]
    original_sizes: NDArray[np.int32]
    areas: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pack:
    """A decoded image set, mapped read-only. Its path and name are no part of its identity.

    Args:
        images: uint8 [n, s, s, 3], RGB; with boxes, images whose longer side is at most s, their proportions kept.
        labels: int32 [n], index into ``taxonomy.leaves``; multi-label: int8 [n, c] of 1, 0, -1 (not scored); with
            boxes the same: 1 where an object of the class counts, -1 where all of them are ignored.
        split: uint8 [n], TRAIN, VAL or TEST.
        image_ids: uint64 [n], unique, a hash of each image's key and content.
        taxonomy: the classes and their ancestors.
        mean, std: float32 [3], of the train rows, in 0…1.
        digest: over pixels, labels, splits, ids and taxonomy.
        notes: counts for the report, for example ``{"skipped": {"truncated": 2}, "duplicate_groups": 27}``.
        boxes: for detection, else None.
    """

    name: str
    path: Path
    images: NDArray[np.uint8] | Ragged
    labels: NDArray[np.int32] | NDArray[np.int8]
    split: NDArray[np.uint8]
    image_ids: NDArray[np.uint64]
    taxonomy: Taxonomy
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    digest: str
    notes: Mapping[str, object] = field(default_factory=dict[str, object])
    boxes: Boxes | None = None

    @property
    def image_px(self) -> int:
        """The images' side; with boxes, the longest side of all."""
        return int(self.images.sizes.max() if isinstance(self.images, Ragged) else self.images.shape[1])

    @property
    def squares(self) -> NDArray[np.uint8]:
        """The images of a pack without boxes, uint8 [n, s, s, 3].

        Raises:
            UserError: a pack with boxes, whose images differ in size.
        """
        if isinstance(self.images, Ragged):
            raise UserError(
                "these are images with boxes, of several sizes, which only detection can use", self.name,
                "use the images with class labels, or the protocol detect",
            )  # fmt: skip
        return self.images

    @property
    def multi_label(self) -> bool:
        return self.labels.ndim == 2

    def rows(self, split: int) -> NDArray[np.int32]:
        """Ascending row numbers of one split, int32."""
        return np.flatnonzero(self.split == split).astype(np.int32)


@dataclass(frozen=True)
class Design:
    """A rule that draws a subset: its name in ``designs.DESIGNS``, and its settings."""

    TAG: ClassVar[str] = "Design"

    name: str
    knobs: Mapping[str, int | float | str | Sequence[str]] = field(
        default_factory=dict[str, "int | float | str | Sequence[str]"]
    )


@dataclass(frozen=True, eq=False)
class Subset:
    """Which images of a pack, under which labels. Two conditions with the same rows and labels are one subset.

    Args:
        pack: digest of the pack.
        rows: int32 [m], ascending and unique, all of them train rows.
        labels: int32 [m], 0…k-1, k = len(label_names); every label occurs.
        label_names: k names, unique.
        members: for each label the leaves (class ids) merged into it; shuffled labels keep those of the unshuffled ones.
    """

    pack: str
    rows: NDArray[np.int32]
    labels: NDArray[np.int32]
    label_names: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]

    @cached_property
    def digest(self) -> str:
        return digest(self.pack, self.rows, self.labels, list(self.label_names), [list(m) for m in self.members])


@dataclass(frozen=True)
class Examples:
    """Training length: n examples seen, whatever the subset's size (the default)."""

    TAG: ClassVar[str] = "Examples"

    n: int


@dataclass(frozen=True)
class Epochs:
    """Training length: n passes over the subset, which may be a part of one."""

    TAG: ClassVar[str] = "Epochs"

    n: float


@dataclass(frozen=True)
class UntilFlat:
    """Training length: until ``patience`` checks, one every ``check_every`` examples, find no lower validation loss."""

    TAG: ClassVar[str] = "UntilFlat"

    patience: int
    check_every: int
    max_examples: int


Length = Examples | Epochs | UntilFlat


@dataclass(frozen=True)
class Augmentation:
    """Batched augmentation: crop after reflection padding, flip, random-resized crop, colour jitter, cutout.

    Args:
        crop_px: padding before the random crop, pixels; 0 is no crop.
        flip: mirror half of the images.
        cutout_px: side of a grey square, pixels; 0 is none.
        colour: strength of brightness, contrast and saturation jitter, 0…1; 0 is none.
        scale: least share of the area that a random-resized crop keeps, 0…1, its sides in a ratio of 3/4 to 4/3; 1 is
            none.
    """

    TAG: ClassVar[str] = "Augmentation"
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"scale"})

    crop_px: int = 4
    flip: bool = True
    cutout_px: int = 0
    colour: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        name: display only, no part of the identity.
        backbone: ``small``, ``small:WIDTH``, ``alexnet-caffe``, ``timm:NAME`` or ``torchvision:NAME``.
        image_px: side of the network's input in pixels.
        length: see Length.
        batch: examples a step.
        optimiser: ``muon`` (convolutions; the rest by SGD), ``sgd`` (Nesterov, momentum 0.9) or ``adamw``.
        lr: peak learning rate; Muon's filters take a third of it. weight_decay: not on norms, biases, Muon's filters.
        schedule: ``cosine``, ``one-cycle``, or ``steps``: a tenth of the rate after each 2/9 of the steps, as Caffe's
            solver of AlexNet has it. warmup: share of the steps, 0…1.
        label_smoothing: 0…1. ema: decay per step, or None. stem: how the first filters start, ``random`` or ``whitened``: at
            the principal patches of the training images, where the backbone can (``small``); untrained networks never do.
        precision: ``auto`` is bf16 where the device computes in it, else fp32; ``fp32`` is deterministic.
    """

    TAG: ClassVar[str] = "Recipe"
    NOT_IDENTITY: ClassVar[frozenset[str]] = frozenset({"name"})
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"stem"})

    name: str = "small"
    backbone: str = "small"
    image_px: int = 32
    length: Length = Examples(250_000)
    batch: int = 128
    optimiser: str = "muon"
    lr: float = 0.15
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "one-cycle", "steps"] = "one-cycle"
    warmup: float = 0.05
    label_smoothing: float = 0.1
    ema: float | None = None
    augmentation: Augmentation = Augmentation()
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    stem: Literal["random", "whitened"] = "whitened"


@dataclass(frozen=True)
class Protocol:
    """How transfer is measured: a name in ``transfer.protocols.PROTOCOLS``, shots per class (None: all), and settings.

    Shots count training and validation examples together.
    """

    TAG: ClassVar[str] = "Protocol"

    kind: str
    shots: int | None = None
    knobs: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True)
class PretrainCell:
    """One pre-training: its key depends on all of these and on identity.ENGINE.

    Args:
        brought: digests of the code of the definitions from outside the package that it uses.
    """

    TAG: ClassVar[str] = "PretrainCell"
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"brought"})

    subset: str
    recipe: Recipe
    seed: int
    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    brought: tuple[str, ...] = ()


@dataclass(frozen=True)
class TransferCell:
    """One transfer of one network to one target.

    Args:
        network: key of the pre-training, or of the untrained network. target: digest of its pack.
        metric: the metric that the study asks for, where it is not the target's own.
        brought: digests of the code of the definitions from outside the package that it uses.
    """

    TAG: ClassVar[str] = "TransferCell"
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"metric", "brought"})

    network: str
    target: str
    protocol: Protocol
    seed: int
    metric: str = ""
    brought: tuple[str, ...] = ()


@dataclass(frozen=True)
class TargetFacts:
    """What plans, answers and reports need to know about a target without its images.

    Args:
        spec, digest, name: its SPEC; its pack's digest; its display name, unique within the plan.
        metric, chance: the metric that the study compares, and its value for a constant guess, 0…1; None if it is unknown.
        asked: whether the study asks for this metric instead of the target's own.
        own_classes: whether it is the source itself, with its classes as labels.
        apart: whether it is compared by a protocol of its own, and therefore left out of the mean over targets.
        leads: whether the answer begins with it.
        pixels: mean number of pixels per image.
        notes: remarks on its images, in sentences.
        labels: digest of its test labels in the store; "" if no answer needs them.
        rows: the array of a cell whose plain mean is the metric; "" if there is none.
        folds: how many folds all of its images are tested in; 0 if its test split is.
    """

    TAG: ClassVar[str] = "TargetFacts"

    spec: str
    digest: str
    name: str
    metric: str = ""
    chance: float | None = 0.0
    asked: bool = False
    n_classes: int = 0
    n_train: int = 0
    n_val: int = 0
    n_test: int = 0
    has_boxes: bool = False
    many_labels: bool = False
    own_classes: bool = False
    apart: bool = False
    leads: bool = False
    pixels: float = 0.0
    notes: tuple[str, ...] = ()
    labels: str = ""
    rows: str = ""
    folds: int = 0


TREND = "each doubling"  # the name of the contrast that is the mean gain of twice the level


@dataclass(frozen=True)
class Contrast:
    """A comparison of conditions: weights that sum to 0, and the margin, 0…1, within which a difference counts as none."""

    TAG: ClassVar[str] = "Contrast"

    name: str
    weights: Mapping[str, float]
    margin: float = 0.01


@dataclass(frozen=True)
class Study:
    """A question as data.

    Args:
        conditions: level (any text or number) to design, in the order of the question.
        source, targets: SPECs; "" and () leave them to the command line.
        reference: the level that controls are built from; None is the last condition.
        unit: what a numeric level counts, for sentences: "images per class".
        contrasts: contrasts, or a rule of ``transferlab.contrasts`` that makes them from the conditions.
        metric: name of the metric to compare on every target; "" is each target's own.
        notes: sentences for the plan and the report, for example which classes were left out; no part of the identity.
    """

    source: str
    targets: Sequence[str]
    conditions: Mapping[str | int | float, Design]
    contrasts: Sequence[Contrast] | ContrastRule
    controls: Sequence[str] = CONTROLS
    seeds: int = 5
    recipe: Recipe = Recipe()
    protocols: Sequence[Protocol] = (Protocol("probe"),)
    reference: str | None = None
    metric: str = ""
    name: str = "study"
    question: str = ""
    unit: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class ContrastRule:
    """A rule that makes contrasts from the conditions in order: ``levels``, ``steps``, ``against`` one of them, or ``ends``."""

    kind: Literal["levels", "steps", "against", "ends"]
    margin: float
    base: str | None = None
