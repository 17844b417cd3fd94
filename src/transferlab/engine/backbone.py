"""A backbone: a network without a head and the length of its feature vector, made from any family's trunk."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from transferlab.engine import drops
from transferlab.errors import UserError


class Backbone(nn.Module):
    """A trunk with the length of its feature vector.

    Args:
        trunk: float [b, 3, s, s] to float [b, n_features].
        n_features: length of the feature vector.
    """

    def __init__(self, trunk: nn.Module, n_features: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.n_features = n_features

    def forward(self, images: Tensor) -> Tensor:
        return self.trunk(images)


def initialised(make: Callable[[], nn.Module], name: str, image_px: int, seed: int) -> Backbone:
    """The backbone around the trunk that ``make`` builds with torch's global generator at this seed.

    Raises:
        UserError: the trunk does not fit images of this size, or draws random numbers that cannot be reproduced.
    """
    # Other people's constructors draw from torch's global generator; forking it keeps that from leaking out.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = _measured(make(), name, image_px)
    return backbone.to(memory_format=cast(Any, torch.channels_last))


def must_be_listed(family: str, name: str, known: list[str]) -> None:
    """Raise UserError, with the names that come close, if a library does not have a network."""
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(close)}" if close else f"see {family}'s list of {len(known)} models"
        raise UserError(f"{family} has no network {name!r}", f"backbone {family}:{name}", hint)


def _measured(trunk: nn.Module, name: str, image_px: int) -> Backbone:
    if not isinstance(trunk, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"{trunk!r:.40} is no network", f"backbone {name}", "let its build return a torch.nn.Module")
    try:
        with torch.no_grad():
            n_features = trunk.eval()(torch.zeros(2, 3, image_px, image_px)).shape[1]
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f"the backbone does not fit images of {image_px} px: {str(error).splitlines()[0]}",
            name,
            "choose a larger --size or another --backbone",
        ) from error
    drops.exchange(trunk)
    if _draws(trunk, image_px):
        raise UserError(
            "the backbone draws random numbers during training from a generator whose state cannot be restored, so that "
            "a resumed training would differ", name, "choose another --backbone, for example torchvision:resnet18"
        )  # fmt: skip
    return Backbone(trunk.train(), n_features)


def _draws(trunk: nn.Module, image_px: int) -> bool:
    """Whether a training step moves torch's global generator, which the caller has forked."""
    tried = copy.deepcopy(trunk).train()
    drops.give(tried, torch.Generator())
    before = torch.get_rng_state()
    with torch.no_grad():
        tried(torch.zeros(2, 3, image_px, image_px))
    return not torch.equal(before, torch.get_rng_state())
