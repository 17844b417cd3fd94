"""Backbones by name: networks without a head, images in, one feature vector an image out."""

from __future__ import annotations

import copy
import difflib
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from transferlab.engine import drops
from transferlab.engine.alexnet import AlexNet
from transferlab.engine.recipes import small_width
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


def build(name: str, image_px: int, seed: int) -> Backbone:
    """A freshly initialised backbone; equal arguments give equal bits.

    Args:
        name: ``small``, ``small:WIDTH`` (default 32), ``alexnet-caffe``, ``timm:NAME`` or ``torchvision:NAME``.
        image_px: side of its input in pixels.
        seed: 63-bit seed of the initialisation.

    Raises:
        UserError: an unknown name, or a network that does not fit images of this size.
    """
    family, _, detail = name.partition(":")
    if family not in BACKBONES:
        raise UserError(
            f"there is no backbone {name!r}",
            f"backbone families are {', '.join(BACKBONES)}",
            "name one of them, for example small, small:48, timm:resnet18 or torchvision:resnet18",
        )
    # Other people's constructors draw from torch's global generator; forking it keeps that from leaking out.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = BACKBONES[family](detail, image_px)
    return backbone.to(memory_format=cast(Any, torch.channels_last))


class Small(nn.Module):
    """Four shallow, wide, early-pooling stages; its features see three scales.

    The last stage is averaged, the two before it are averaged in each quarter of the image. Against the average of
    the last stage alone, at equal cost: mean probe accuracy 65.0 against 58.9 after 330,000 examples (one seed each,
    other rates of the head), most of it on Omniglot and clothing; untrained 46.7 against 37.0 (LOG.md).

    Args:
        width: of the stem; the stages have twice, four and eight times as many channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stages = nn.ModuleList(
            # Pooling before the norm is the same network up to the order of max and a positive scale, on a quarter
            # of the elements.
            nn.Sequential(
                nn.Conv2d(n_in, 2 * n_in, 3, padding=1, bias=False),
                nn.MaxPool2d(2),
                nn.BatchNorm2d(2 * n_in),
                nn.ReLU(),
            )
            for n_in in (width, 2 * width, 4 * width)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        early, middle, late = self.scales(images)
        return torch.cat([areas(late, 1), areas(middle, 2), areas(early, 2)], 1)

    def scales(self, images: Tensor) -> list[Tensor]:
        """Outputs of the three stages, float [b, channels, s / 4, s / 4] to [b, channels, s / 16, s / 16]."""
        found = [self.stem(images)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found[1:]


def areas(maps: Tensor, n: int) -> Tensor:
    """Means over the n × n areas of an image, [b, c, s, s] to [b, n · n · c]; an odd side's middle line counts for both.

    What ``adaptive_avg_pool2d`` gives, area by area, as one matrix product: its gradient is channels last like the
    maps, which makes whole steps 1.04 times as fast (one thread), and it is deterministic on CUDA too.
    """
    b, c, side, _ = maps.shape
    pixels = maps.permute(0, 2, 3, 1).reshape(b, side * side, c)
    return torch.matmul(_shares(side, n, pixels.dtype, pixels.device), pixels).flatten(1)


@cache
def _shares(side: int, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Each pixel's share of each area, [n · n, side · side]."""
    with torch.inference_mode(False):  # it outlives the call
        at = torch.arange(side)
        inside = [(at >= side * i // n) & (at < -(-side * (i + 1) // n)) for i in range(n)]
        line = torch.stack([part / part.sum() for part in inside])
        return torch.einsum("iy,jx->ijyx", line, line).reshape(n * n, side * side).to(device, dtype)


def small(detail: str, image_px: int) -> Backbone:
    """The built-in network for 32 to 64 px; ``detail`` is the stem's width (default 32).

    At 32 px and width 32: 0.39 million parameters, 14.5 million multiply-adds an image, 1,024 features. Deeper,
    residual and coarse-stem nets of the same cost gave worse transfer after one to five minutes on two cores.
    """
    width = small_width(detail, image_px)
    return Backbone(Small(width), 32 * width)


def alexnet_caffe(detail: str, image_px: int) -> Backbone:
    """AlexNet as Caffe has it (``engine.alexnet``): 4,096 features, 57 million weights at 224 and 227 px.

    Raises:
        UserError: a detail after the name, or images under 63 px, of which its pools leave nothing.
    """
    if detail or image_px < 63:
        raise UserError(
            f"alexnet-caffe cannot be built{f' with {detail!r}' if detail else ''} at {image_px} px",
            f"backbone alexnet-caffe{':' * bool(detail)}{detail}",
            "it takes nothing after its name, and images of 63 px or more; Caffe's own size is 227, here 224",
        )
    return _measured(AlexNet(image_px), "alexnet-caffe", image_px)


def from_timm(name: str, image_px: int) -> Backbone:
    """Any classification network of timm, pooled, without its head and without pre-trained weights."""
    import timm

    if name not in timm.list_models():
        raise _unknown("timm", name, timm.list_models())
    try:
        trunk = timm.create_model(name, num_classes=0, pretrained=False, img_size=image_px)
    except TypeError:  # convolutional networks take no img_size
        trunk = timm.create_model(name, num_classes=0, pretrained=False)
    return _measured(trunk, f"timm:{name}", image_px)


def from_torchvision(name: str, image_px: int) -> Backbone:
    """Any classification network of torchvision without its head.

    Below 96 px ResNets get a 3×3 stem and no first pool.
    """
    import torchvision.models as models

    known = models.list_models(module=models)
    if name not in known:
        raise _unknown("torchvision", name, known)
    kwargs: dict[str, Any] = {"image_size": image_px} if name.startswith("vit_") else {}
    network = models.get_model(name, weights=None, **kwargs)
    if image_px < 96 and isinstance(network, models.ResNet):
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = cast(Any, nn.Identity())
    for head in ("fc", "head", "heads", "classifier"):
        if head in dict(network.named_children()):
            setattr(network, head, nn.Flatten())
            return _measured(network, f"torchvision:{name}", image_px)
    raise UserError(
        f"transferlab does not know where the head of {name} is", f"torchvision:{name}", "use another network"
    )


def _measured(trunk: nn.Module, name: str, image_px: int) -> Backbone:
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
            "the backbone draws random numbers while it trains, from a generator that cannot be set back: a training "
            "that is resumed would differ", name, "choose another --backbone, for example torchvision:resnet18"
        )  # fmt: skip
    return Backbone(trunk.train(), n_features)


def _draws(trunk: nn.Module, image_px: int) -> bool:
    """Whether a training step moves torch's global generator; ``build`` has forked it."""
    tried = copy.deepcopy(trunk).train()
    drops.give(tried, torch.Generator())
    before = torch.get_rng_state()
    with torch.no_grad():
        tried(torch.zeros(2, 3, image_px, image_px))
    return not torch.equal(before, torch.get_rng_state())


def _unknown(family: str, name: str, known: list[str]) -> UserError:
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}" if close else f"see {family}'s list of {len(known)} models"
    return UserError(f"{family} has no network {name!r}", f"backbone {family}:{name}", hint)


BACKBONES = {"small": small, "alexnet-caffe": alexnet_caffe, "timm": from_timm, "torchvision": from_torchvision}
