"""``alexnet-caffe``: AlexNet as Caffe has it, the network of Huh et al. (2016) as far as it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.engine.backbones.definition import BackboneDefinition
from transferlab.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def _check(detail: str, image_px: int) -> None:
    """Below 63 px the pools leave nothing."""
    if detail or image_px < 63:
        raise UserError(
            f"alexnet-caffe cannot be built{f' with {detail!r}' if detail else ''} at {image_px} px",
            f"backbone alexnet-caffe{':' * bool(detail)}{detail}",
            "its name has no detail, and images must have 63 px or more; Caffe's own size is 227, here 224",
        )


def _build(detail: str, image_px: int) -> nn.Module:
    from transferlab.engine.alexnet import AlexNet

    return AlexNet(image_px)


def _split(trunk: nn.Module) -> tuple[list[nn.Module], nn.Module]:
    from transferlab.engine.alexnet import split

    return split(trunk)


alexnet_caffe = BackboneDefinition(
    name="alexnet-caffe", example="alexnet-caffe", build=_build, check=_check,
    weight_bytes=lambda detail, image_px: 228e6, has_maps=True, split=_split,
)  # fmt: skip
