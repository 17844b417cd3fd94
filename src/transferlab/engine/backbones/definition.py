"""What a family of backbones must say of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transferlab.definitions import Definition

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class BackboneDefinition(Definition):
    """A family of backbones; recipes name a member as ``NAME`` or ``NAME:DETAIL``.

    Every function takes the detail ("" if there is none) and the side of the input in pixels.

    Args:
        build: makes the trunk, a network without a head: float [b, 3, s, s] to float [b, n_features]. It draws initial
            weights from torch's global generator, which the caller seeds.
        example: the full name of a member.
        check: raises ``UserError`` for a member that cannot be built, without loading torch; None if only building tells.
        weight_bytes: about how many bytes the weights take.
        has_maps: every member is known to have feature maps that a detector can use; otherwise the network is tried.
        split: divides a trunk into its layers up to the last feature map and the fully connected layers after it, which
            a detector transfers too. None: the layers are the trunk's children, and none after the maps is transferred.
        stem: finds the trunk's first convolution if its filters may start whitened (see ``Recipe.stem``); None: they may not.
    """

    build: Callable[[str, int], nn.Module]
    example: str = ""
    check: Callable[[str, int], object] | None = None
    weight_bytes: Callable[[str, int], float] = lambda detail, image_px: 45e6  # as a ResNet-18
    has_maps: bool = False
    split: Callable[[nn.Module], tuple[list[nn.Module], nn.Module]] | None = None
    stem: Callable[[nn.Module], nn.Conv2d] | None = None

    def __call__(self, detail: object = "") -> str:
        """The name of a member, for a recipe: ``mixer(192)`` is "mixer:192"."""
        return f"{self.name}:{detail}" if detail != "" else self.name
