"""``pack:DIR``: images that ``transferlab pack`` has decoded already."""

from __future__ import annotations

from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.format import Format, Request
from transferlab.images.source import Source
from transferlab.specs import Pack


def read(request: Request) -> Source:
    """Raises UserError: a pack keeps no images to decode."""
    raise UserError("a pack is decoded already", request.where, "name the images that it was made from")


def _open(path: Path) -> Pack:
    from transferlab.images.pack import open_pack  # a SPEC is parsed without Pillow

    return open_pack(path)


FORMAT = Format(
    name="pack", title="Pack", explained="images that transferlab pack has decoded",
    path="the folder of the pack", tasks=("classes", "labels", "detection"), read=read, open_pack=_open,
)  # fmt: skip
