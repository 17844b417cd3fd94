"""The input of a protocol, without test labels, and its output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from transferlab.engine.backbone import Backbone
from transferlab.engine.batches import Examples, Images, Place, features
from transferlab.engine.fit import Hooks, Progress
from transferlab.errors import UserError
from transferlab.specs import Protocol, Ragged, Recipe
from transferlab.transfer.detect.metrics import Found
from transferlab.transfer.targets import Labelled, TargetData

Split = Literal["train", "val", "test"]
HELD_BYTES = 2**30  # largest features of a split that are held in memory; AlexNet's of ImageNet take 21 GB
AT_ONCE = 512  # images per forward pass


@dataclass(frozen=True, eq=False)
class Network:
    """A backbone with its recipe (input size, augmentation) and the mean and standard deviation of its pixels."""

    backbone: Backbone
    recipe: Recipe
    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True, eq=False)
class Pool:
    """Features float32 [n, d] of rows int32 [n], ascending: all images of a target that is divided into folds."""

    rows: np.ndarray
    features: Tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """A network and a target's data without test labels, for one protocol and seed.

    Args:
        cache: features by split and bytes of the rows, shared by the protocols of one network and target.
        hooks: progress and checkpoints of a long training.
        settings: the protocol's settings, including defaults.
        pool: where the features are taken from, if this is one of several folds.
        shared: what folds with the same training images share, by the bytes of these rows; nothing in it may depend on
            other labels than those of the training images. None without folds.
    """

    network: Network
    data: TargetData
    protocol: Protocol
    seed: int
    place: Place
    cache: dict[tuple[str, bytes], Tensor] = field(default_factory=dict[tuple[str, bytes], Tensor])
    hooks: Hooks = field(default_factory=Hooks)
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    pool: Pool | None = None
    shared: dict[bytes, Any] | None = None

    @property
    def n_classes(self) -> int:
        return len(self.data.taxonomy.leaves)

    @property
    def multi_label(self) -> bool:
        return self.data.many_labels

    @property
    def train_labels(self) -> Tensor:
        """int64 [m], or int8 [m, c] of 1, 0, -1."""
        return self._labels("train")

    @property
    def val_labels(self) -> Tensor:
        """Like ``train_labels``, for validation; empty at one shot."""
        return self._labels("val")

    def features(self, split: Split) -> Tensor:
        """Frozen features, float32 [m, d]; computed once per network, target and rows."""
        rows = self.rows(split)
        if self.pool is not None:
            return self.pool.features[torch.from_numpy(np.searchsorted(self.pool.rows, rows))]
        key = (split, rows.tobytes())
        if key not in self.cache:
            tell, px = partial(self.tell, of=len(rows)), self.network.recipe.image_px
            self.cache[key] = features(self.network.backbone, self.examples(split), self.place, px, tell)
        return self.cache[key]

    def tell(self, done: int, of: int) -> None:
        """Report that ``done`` of ``of`` parts of a long pass are done; a cell that reports nothing is taken as hung."""
        self.hooks.progress(Progress(done, of, done, math.nan))

    def holds(self, split: Split) -> bool:
        """Whether the features of a split fit in HELD_BYTES."""
        return len(self.rows(split)) * self.network.backbone.n_features * 4 <= HELD_BYTES

    def features_at(self, split: Split, positions: np.ndarray) -> Tensor:
        """Frozen features of some rows of a split, float32 [b, d], on the problem's device, in bounded memory.

        Args:
            positions: int64 [b], indices into the split's rows.
        """
        if self.holds(split):
            return self.features(split)[torch.from_numpy(positions)].to(self.place.device)
        images = Images(self.examples(split), self.place, self.network.recipe.image_px)
        backbone = self.network.backbone.eval()
        parts: list[Tensor] = []
        with torch.no_grad(), self.place.autocast():
            for start in range(0, len(positions), AT_ONCE):
                parts.append(backbone(images.normalised(images.fetch(positions[start : start + AT_ONCE]))).float())
        return torch.cat(parts)

    def examples(self, split: Split) -> Examples:
        """A split's images with their labels; test labels are all 0."""
        data, rows = self.data, self.rows(split)
        if isinstance(data.images, Ragged):
            raise UserError("the target's images differ in size, which only detection can use", data.name,
                            "use the images with class labels, or the protocol detect")  # fmt: skip
        known = data.train.labels
        labels: Any = np.zeros((len(rows), *known.shape[1:]), known.dtype)
        if split != "test":
            labels = self._part(split).labels
        return Examples(data.images, rows, labels, self.n_classes, self.network.mean, self.network.std)

    def rows(self, split: Split) -> np.ndarray:
        """Row numbers of a split, int32."""
        return self.data.test if split == "test" else self._part(split).rows

    def _part(self, split: Split) -> Labelled:
        return self.data.train if split == "train" else self.data.val

    def _labels(self, split: Split) -> Tensor:
        return torch.from_numpy(self._part(split).labels.astype(np.int8 if self.multi_label else np.int64))


@dataclass(frozen=True, eq=False)
class Prediction:
    """Scores of the test images or detections in them.

    Args:
        scores: float32 [e, c], log-probabilities unless ``probabilities`` is false; None for detections.
        chosen: settings chosen on validation, and other numbers for the record.
        notes: further inputs of the protocol's ``judge``.
        found: detections in the test images, with boxes in pixels of the originals.
    """

    scores: Tensor | None = None
    chosen: Mapping[str, float] = field(default_factory=dict[str, float])
    probabilities: bool = True
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    found: Found | None = None
