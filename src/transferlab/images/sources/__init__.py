"""The formats that images can have: one file each, and the table SOURCES."""

from __future__ import annotations

from transferlab.definitions import Table
from transferlab.images import toy
from transferlab.images.format import Format
from transferlab.images.sources import (
    cifar100,
    coco,
    csv,
    digits,
    hf,
    imagefolder,
    imagenet,
    inaturalist,
    npz,
    omniglot,
    pack,
    places365,
    sun397,
    tiny_imagenet,
    torchvision,
    voc,
    wds,
)  # fmt: skip

SOURCES = Table(
    "image format",
    Format,
    [
        form.FORMAT
        for form in (
            imagefolder, wds, csv, npz, torchvision, hf, imagenet, tiny_imagenet, voc, coco, sun397, places365, cifar100,
            omniglot, inaturalist, digits, toy, pack,
        )
    ],
)  # fmt: skip
