"""``torchvision:NAME``: any classification network of torchvision; below 96 px ResNets get a 3×3 stem and no first pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from transferlab.engine.backbones.definition import BackboneDefinition
from transferlab.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def _build(detail: str, image_px: int) -> nn.Module:
    """Raises UserError for a name that torchvision does not list, or a network whose head is not found."""
    import torchvision.models as models
    from torch import nn

    from transferlab.engine.backbone import must_be_listed

    must_be_listed("torchvision", detail, models.list_models(module=models))
    kwargs: dict[str, Any] = {"image_size": image_px} if detail.startswith("vit_") else {}
    network = models.get_model(detail, weights=None, **kwargs)
    if image_px < 96 and isinstance(network, models.ResNet):
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = cast(Any, nn.Identity())
    for head in ("fc", "head", "heads", "classifier"):
        if head in dict(network.named_children()):
            setattr(network, head, nn.Flatten())
            return network
    raise UserError(
        f"transferlab does not know where the head of {detail} is", f"torchvision:{detail}", "use another network"
    )


torchvision = BackboneDefinition(name="torchvision", example="torchvision:resnet18", build=_build)
