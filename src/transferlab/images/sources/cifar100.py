"""``cifar100:PATH``: CIFAR-100 in its binary or Python version, with its 20 superclasses as taxonomy.

Layouts: www.cs.toronto.edu/~kriz/cifar.html. The Python version is a pickle; as in ``torchvision:cifar100``, nothing in
it is run.
"""

from __future__ import annotations

from dataclasses import replace

from transferlab.errors import UserError
from transferlab.images.format import Format, Request
from transferlab.images.source import Source
from transferlab.images.sources.tvarrays import read_arrays

VERSIONS = {"cifar100-binary": ("train.bin", "cifar-100-binary/train.bin"),
            "cifar100": ("meta", "cifar-100-python/meta")}  # fmt: skip


def read(request: Request) -> Source:
    """The splits are train and test.

    Raises:
        UserError: neither version is there; a file is missing, cut short or has labels without names.
    """
    for version, marks in VERSIONS.items():
        if any((request.path / mark).is_file() for mark in marks):
            return replace(read_arrays(version, request.path, request.where), name="cifar100")
    raise UserError(
        "there is neither cifar-100-binary/train.bin nor cifar-100-python/meta", request.where,
        "unpack cifar-100-binary.tar.gz or cifar-100-python.tar.gz here",
    )  # fmt: skip


FORMAT = Format(
    name="cifar100", title="CIFAR-100", explained="CIFAR-100, binary or Python version",
    path="`cifar-100-binary`, `cifar-100-python`, or the folder that contains one of them", read=read,
)  # fmt: skip
