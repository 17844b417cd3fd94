"""The feature maps of a backbone's layers, from fine to coarse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import find
from transferlab.errors import UserError

FINEST, COARSEST = 4, 32  # strides of a detector's maps; finer ones cost most and help little
MIN_SHARE = 0.5  # of a trunk's weights that must precede the end of its maps
PROBE_PX = 128  # minimum, so that no stage ends in a single cell


class Maps(nn.Module):
    """A trunk's layers in order, in parts; each new part begins with a smaller map.

    Args:
        parts: the stem and the stages; each takes the previous map.
        levels: the parts whose maps are returned, ascending. channels, strides: of these maps; strides in input pixels.
        connected: transferred fully connected layers behind the last map (AlexNet's fc6 and fc7), which take ``n_cells`` ×
            ``n_cells`` cells of it; None if there are none.
    """

    def __init__(
        self, parts: list[nn.Module], levels: list[int], channels: list[int], strides: list[int],
        connected: tuple[nn.Module, int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.levels, self.channels, self.strides = levels, channels, strides
        self.connected, self.n_cells = connected or (None, 0)

    def forward(self, images: Tensor) -> list[Tensor]:
        """From images float [b, 3, h, w] to one map per level, float [b, channels, about h / stride, about w / stride]."""
        found: list[Tensor] = []
        at = images
        for number, part in enumerate(self.parts):
            at = part(at)
            if number in self.levels:
                found.append(at)
        return found


def maps_of(backbone: Backbone, image_px: int, name: str) -> Maps:
    """The maps of a backbone, whose layers they share.

    Args:
        image_px: input size of the backbone. name: of the backbone.

    Raises:
        UserError: the network is not a sequence of layers with maps, for example a transformer.
    """
    trunk = backbone.trunk
    was_training = trunk.training
    trunk.eval()
    probe_px, device = max(PROBE_PX, image_px), next(trunk.parameters()).device
    split = find(name)[0].split
    layers, connected = split(trunk) if split else (_layers(trunk), None)
    parts, shapes = _parts(layers, torch.zeros(1, 3, probe_px, probe_px, device=device))
    enough = _n_weights(parts) >= MIN_SHARE * _n_weights(layers if split else [trunk])
    fits = enough and _are_its_own(trunk, parts, image_px)
    trunk.train(was_training)
    if not fits:
        raise UserError(
            "the backbone has no feature maps for a detector", name,
            "choose a convolutional network, for example small, alexnet-caffe or torchvision:resnet18",
        )  # fmt: skip
    strides = [2 ** round(math.log2(probe_px / shape[-1])) for shape in shapes]
    levels = [i for i, stride in enumerate(strides) if FINEST <= stride <= COARSEST] or [len(parts) - 1]
    n_cells = 0
    if connected is not None:  # one map and the backbone's own connected layers, as Fast R-CNN has it
        levels = levels[-1:]
        first = next(layer for layer in connected.modules() if isinstance(layer, nn.Linear))
        n_cells = round((first.in_features / shapes[-1][1]) ** 0.5)
    channels = [shapes[i][1] for i in levels]
    return Maps(list(parts), levels, channels, [strides[i] for i in levels], connected and (connected, n_cells))


def _layers(trunk: nn.Module) -> list[nn.Module]:
    """A trunk's layers in order; sequences among them are replaced by their layers, one level deep."""
    found: list[nn.Module] = []
    for child in trunk.children():
        found += list(child.children()) if isinstance(child, (nn.Sequential, nn.ModuleList)) else [child]
    return found


def _parts(layers: list[nn.Module], probe: Tensor) -> tuple[list[nn.Sequential], list[torch.Size]]:
    """Layers grouped by the size of their maps, and the maps' shapes, up to the first layer without a map."""
    groups: list[list[nn.Module]] = []
    shapes: list[torch.Size] = []
    at = probe
    with torch.no_grad():
        for layer in layers:
            try:
                at = layer(at)
            # torch and timm raise these for inputs that a layer does not accept: the maps end before it.
            except (RuntimeError, ValueError, TypeError, AssertionError, NotImplementedError):
                break
            if not isinstance(at, Tensor) or at.ndim != 4 or at.shape[-1] != at.shape[-2] or at.shape[-1] < 2:
                break
            if not groups or (at.shape[-1] != shapes[-1][-1] and _n_weights(groups[-1])):
                groups.append([])
                shapes.append(at.shape)
            groups[-1].append(layer)
            shapes[-1] = at.shape
    while groups and not _n_weights(groups[-1]):  # a pool at the end
        groups.pop()
        shapes.pop()
    return [nn.Sequential(*group) for group in groups], shapes


def _n_weights(modules: Sequence[nn.Module]) -> int:
    return sum(weights.numel() for module in modules for weights in module.parameters())


def _are_its_own(trunk: nn.Module, parts: Sequence[nn.Sequential], image_px: int) -> bool:
    """Whether the trunk calls these layers in sequence: each part's output equals that in the trunk."""
    if not parts:
        return False
    random = torch.Generator().manual_seed(0)
    at = torch.randn(1, 3, image_px, image_px, generator=random).to(next(trunk.parameters()).device)
    of_trunk: dict[int, Tensor] = {}

    def keep(module: nn.Module, _: object, output: Tensor) -> None:
        of_trunk[id(module)] = output.clone()  # later layers may work in place

    hooks = [part[-1].register_forward_hook(keep) for part in parts]
    with torch.no_grad():
        trunk(at)
        for hook in hooks:
            hook.remove()
        for part in parts:
            at = part(at)
            theirs = of_trunk.get(id(part[-1]))
            if theirs is None or theirs.shape != at.shape or not torch.allclose(theirs, at, rtol=1e-4, atol=1e-5):
                return False
    return True
