"""Backbones: networks without a head, one definition a family; importing them loads no torch.

A name such as ``small:48`` comes in, a freshly initialised ``Backbone`` goes out. Nothing here trains one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from transferlab.definitions import Table
from transferlab.engine.backbones.alexnet_caffe import alexnet_caffe
from transferlab.engine.backbones.definition import BackboneDefinition
from transferlab.engine.backbones.small import small
from transferlab.engine.backbones.timm import timm
from transferlab.engine.backbones.torchvision import torchvision
from transferlab.errors import UserError

if TYPE_CHECKING:
    from transferlab.engine.backbone import Backbone

__all__ = ["BACKBONES", "BackboneDefinition", "build", "find"]

BACKBONES = Table("backbone", BackboneDefinition, [small, alexnet_caffe, timm, torchvision])


def find(name: str) -> tuple[BackboneDefinition, str]:
    """The definition of a backbone and the detail after the colon in its name; raises UserError for an unknown name."""
    family, _, detail = name.partition(":")
    try:
        return BACKBONES.find(family, f"backbone {name}"), detail
    except UserError as fault:
        remedy = (
            f"{fault.remedy}; write other networks as torchvision:NAME or timm:NAME, for example torchvision:resnet18"
        )
        raise UserError(fault.what, fault.where, remedy) from None


def build(name: str, image_px: int, seed: int) -> Backbone:
    """A freshly initialised backbone; equal arguments give equal bits.

    Args:
        name: ``NAME`` or ``NAME:DETAIL``, of the table ``BACKBONES``.
        image_px: side of its input in pixels.
        seed: 63-bit seed of the initialisation.

    Raises:
        UserError: an unknown name, or a network that does not fit images of this size or cannot be resumed.
    """
    from transferlab.engine.backbone import initialised  # loads torch

    definition, detail = find(name)
    if definition.check is not None:
        definition.check(detail, image_px)
    return initialised(partial(definition.build, detail, image_px), name, image_px, seed)
