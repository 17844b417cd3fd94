"""What a protocol is given, and what it gives back: no test label is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from transferlab.engine.backbone import Backbone
from transferlab.engine.batches import Examples, Images, Place, features
from transferlab.engine.fit import Hooks
from transferlab.specs import Protocol, Recipe
from transferlab.transfer.targets import Target

Split = Literal["train", "val", "test"]
HELD_BYTES = 2**30  # features of a split that are kept whole; ImageNet's of AlexNet would take 21 GB
AT_ONCE = 512  # images of a forward pass


@dataclass(frozen=True, eq=False)
class Network:
    """A backbone with what using it takes: its recipe (input size, augmentation), and its pixels' mean and deviation."""

    backbone: Backbone
    recipe: Recipe
    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True, eq=False)
class Problem:
    """A network and a target, for one protocol and seed. Test labels are not reachable from here.

    Args:
        cache: features by split and rows' bytes, shared by the protocols of one network and target.
        hooks: progress and checkpoints of a protocol that trains for minutes.
    """

    network: Network
    target: Target
    protocol: Protocol
    seed: int
    place: Place
    cache: dict[tuple[str, bytes], Tensor] = field(default_factory=dict[tuple[str, bytes], Tensor])
    hooks: Hooks = field(default_factory=Hooks)

    @property
    def n_classes(self) -> int:
        return self.target.n_classes

    @property
    def multi_label(self) -> bool:
        return self.target.pack.multi_label

    @property
    def train_labels(self) -> Tensor:
        """int64 [m], or int8 [m, c] of 1, 0, -1."""
        return self._labels("train")

    @property
    def val_labels(self) -> Tensor:
        """As ``train_labels``, for validation; empty at one shot."""
        return self._labels("val")

    def features(self, split: Split) -> Tensor:
        """Frozen features, float32 [m, d]; computed once per network, target and rows."""
        rows = self.rows(split)
        key = (split, rows.tobytes())
        if key not in self.cache:
            found = features(self.network.backbone, self.examples(split), self.place, self.network.recipe.image_px)
            self.cache[key] = found
        return self.cache[key]

    def holds(self, split: Split) -> bool:
        """Whether the features of a split are few enough to be kept whole."""
        return len(self.rows(split)) * self.network.backbone.n_features * 4 <= HELD_BYTES

    def features_at(self, split: Split, positions: np.ndarray) -> Tensor:
        """Frozen features of some of a split's rows, float32 [b, d], on the problem's device; in bounded memory.

        Args:
            positions: int64 [b], among the split's rows.
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
        """The split as training examples; those of the test carry empty labels."""
        pack, rows = self.target.pack, self.rows(split)
        labels = np.zeros_like(pack.labels[rows]) if split == "test" else pack.labels[rows]
        return Examples(pack.squares, rows, labels, self.n_classes, self.network.mean, self.network.std)

    def rows(self, split: Split) -> np.ndarray:
        """Row numbers of a split, int32."""
        return {"train": self.target.train, "val": self.target.val, "test": self.target.test}[split]

    def _labels(self, split: Split) -> Tensor:
        labels = self.examples(split).labels
        return torch.from_numpy(labels.astype(np.int8 if self.multi_label else np.int64))


@dataclass(frozen=True, eq=False)
class Prediction:
    """Scores of the test examples, and what was chosen.

    Args:
        scores: float32 [e, c]: log-probabilities, unless ``probabilities`` says otherwise.
        label_of_class: int32 [c], the coarse label of each class, where predictions are judged under these as well.
    """

    scores: Tensor
    chosen: Mapping[str, float] = field(default_factory=dict[str, float])
    probabilities: bool = True
    label_of_class: np.ndarray | None = None
