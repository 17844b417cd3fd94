"""``timm:NAME``: any classification network of timm, pooled, without its head and without pre-trained weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.engine.backbones.definition import BackboneDefinition

if TYPE_CHECKING:
    from torch import nn


def _build(detail: str, image_px: int) -> nn.Module:
    """Raises UserError for a name that timm does not list."""
    import timm

    from transferlab.engine.backbone import must_be_listed

    must_be_listed("timm", detail, timm.list_models())
    try:
        return timm.create_model(detail, num_classes=0, pretrained=False, img_size=image_px)
    except TypeError:  # convolutional networks take no img_size
        return timm.create_model(detail, num_classes=0, pretrained=False)


timm = BackboneDefinition(name="timm", example="timm:resnet18", build=_build)
