"""Formats that pixels come from: one file each, and the table SOURCES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transferlab.images import toy
from transferlab.images.source import Source
from transferlab.images.sources import (
    cifar,
    coco,
    csvfile,
    digits,
    folder,
    hf,
    imagenet,
    inaturalist,
    npz,
    omniglot,
    scenes,
    tiny,
    tvision,
    voc,
    wds,
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A row of SOURCES.

    Args:
        read: the path and the options of a SPEC to its source. It looks at names and sizes, not at pixels.
        options: the names that it knows, beside those that every format takes.
        needs_path: whether FORMAT alone is no SPEC.
        has_wnids: whether its classes are WordNet ids, above which WordNet stands unless another taxonomy is given.
    """

    read: Callable[[str, Mapping[str, str]], Source]
    options: tuple[str, ...] = ()
    needs_path: bool = True
    has_wnids: bool = False


SOURCES: dict[str, Format] = {
    "imagefolder": Format(folder.read),
    "wds": Format(wds.read, ("classes", "only", "boxes", "boxes_px")),
    "csv": Format(csvfile.read, ("multi_label",)),
    "npz": Format(npz.read),
    "torchvision": Format(tvision.read, ("root",)),
    "hf": Format(hf.read, ("image", "label", "classes")),
    "imagenet": Format(imagenet.read, ("partial",), has_wnids=True),
    "tiny-imagenet": Format(tiny.read, ("task", "only"), has_wnids=True),
    "voc": Format(voc.read, ("year", "task")),
    "coco": Format(coco.read, ("images", "year")),
    "sun397": Format(scenes.read_sun397, ("partition",)),
    "places365": Format(scenes.read_places365),
    "cifar100": Format(cifar.read),
    "omniglot": Format(omniglot.read),
    "inaturalist": Format(inaturalist.read),
    "digits": Format(digits.read, needs_path=False),
    "toy": Format(toy.read, ("task", "images_per_class", "seed"), needs_path=False),
}
