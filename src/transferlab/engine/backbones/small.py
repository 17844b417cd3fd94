"""``small`` and ``small:WIDTH``: the built-in network for images of 32 to 64 px."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from transferlab.engine.backbones.definition import BackboneDefinition
from transferlab.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def width_of(detail: str, image_px: int) -> int:
    """The stem's number of channels.

    Raises:
        UserError: a width that is no number or out of range, or images that are too small.
    """
    width = int(detail or 32) if detail.isdecimal() or not detail else 0
    if not 4 <= width <= 512 or image_px < 16:
        raise UserError(
            f"the small backbone cannot be built as small:{detail} at {image_px} px",
            "widths are whole numbers from 4 to 512, images 16 px or more",
            "use for example small or small:48",
        )
    return width


def _build(detail: str, image_px: int) -> nn.Module:
    from transferlab.engine.small import Small

    return Small(width_of(detail, image_px))


small = BackboneDefinition(
    name="small", example="small:48", build=_build, check=width_of,
    weight_bytes=lambda detail, image_px: 1.6e6 * (width_of(detail, image_px) / 32) ** 2, has_maps=True,
    stem=lambda trunk: cast(Any, trunk).stem[0],
)  # fmt: skip
