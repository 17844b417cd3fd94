"""``cifar100:PATH``: CIFAR-100 in its binary or its Python version, with its 20 superclasses as taxonomy.

Layouts: www.cs.toronto.edu/~kriz/cifar.html. The Python version is a pickle, which is taken apart without running
anything in it, as ``torchvision:cifar100`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.listing import existing
from transferlab.images.sources.tvarrays import read_arrays

VERSIONS = {"cifar100-binary": ("train.bin", "cifar-100-binary/train.bin"),
            "cifar100": ("meta", "cifar-100-python/meta")}  # fmt: skip


def read(path: str, options: Mapping[str, str]) -> Source:
    """PATH holds ``cifar-100-binary`` or ``cifar-100-python``, or is one of them. Splits are train and test.

    Raises:
        UserError: neither is there; files that are missing, cut short or with labels that have no names.
    """
    root = existing(path, "cifar100")
    for version, marks in VERSIONS.items():
        if any((root / mark).is_file() for mark in marks):
            return replace(read_arrays(version, root, f"cifar100:{path}"), name="cifar100")
    raise UserError(
        "there is neither cifar-100-binary/train.bin nor cifar-100-python/meta", f"cifar100:{path}",
        "unpack cifar-100-binary.tar.gz or cifar-100-python.tar.gz here",
    )  # fmt: skip
