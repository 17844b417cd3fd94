"""Contact sheets: a few images of each class, with their boxes if any, to see what a data set contains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from transferlab.errors import UserError
from transferlab.images.boxes import usable
from transferlab.images.decode import BadImage, decode, decode_whole
from transferlab.images.source import Box, Data, Objects
from transferlab.images.spec import open_source, parse_spec
from transferlab.specs import Pack

MAX_CLASSES, PER_CLASS, SIDE_PX, GAP_PX, CAPTION_PX = 64, 4, 48, 2, 15
BOXED_PX = 128  # longer side of images with boxes
GROUND, INK = (255, 255, 255), (60, 60, 60)
COUNTED, IGNORED = (255, 220, 0), (170, 170, 170)  # frames of objects that count, and of difficult ones and crowds


def _unsaid(_: str) -> None: ...


def write_sheet(text: str, out: Path, told: Callable[[str], None] = _unsaid) -> None:
    """Write the contact sheet of a SPEC as a PNG: up to 64 classes, four images of each.

    Args:
        told: receives a sentence for each image on the way that cannot be used.

    Raises:
        UserError: something is wrong with the spec; the file cannot be written.
    """
    save(contact_sheet(first_of_each(text, told)), out)


def save(sheet: Image.Image, out: Path) -> None:
    """Write a picture as a PNG; raises UserError if the file cannot be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(out, "PNG", optimize=True)
    except OSError as error:
        raise UserError(
            f"the picture cannot be written: {error.strerror or error}", str(out), "name another file"
        ) from error


def first_of_each(text: str, told: Callable[[str], None] = _unsaid) -> dict[str, list[NDArray[np.uint8]]]:
    """Class name to its first images, uint8 [48, 48, 3]; of more than 64 classes an even selection.

    Images with boxes are whole, up to 128 pixels long, with the boxes of that class.
    """
    spec = parse_spec(text)
    groups: dict[str, list[NDArray[np.uint8]]] = {}
    pack = spec.pack()
    if pack is not None:
        for index in _spread(len(pack.taxonomy.leaves)):
            of_class = pack.labels == index if pack.labels.ndim == 1 else pack.labels[:, index] > 0
            rows = np.flatnonzero(of_class)[:PER_CLASS]
            name = pack.taxonomy.leaves[index]
            groups[name] = [_shown(np.asarray(pack.images[row]), _objects(pack, row), name) for row in rows]
        return groups
    source = open_source(spec)
    groups = {source.classes[index]: [] for index in _spread(len(source.classes))}
    for item in source.items():
        for name in (item.label,) if isinstance(item.label, str) else item.label:
            if name in groups and len(groups[name]) < PER_CLASS:
                try:
                    groups[name].append(_shown(item.data, item.objects, name))
                except BadImage as reason:
                    told(f"not on the sheet: {item.key}: {reason}")
        if all(len(images) == PER_CLASS for images in groups.values()):
            break
    return groups


def _objects(pack: Pack, row: int | np.integer) -> Objects | None:
    """The boxes of a pack's image, in its stored pixels."""
    held = pack.boxes
    if held is None:
        return None
    boxes: list[Box] = []
    for i in range(int(held.first[row]), int(held.first[row + 1])):
        x0, y0, x1, y1 = held.boxes[i].tolist()
        boxes.append(Box(pack.taxonomy.leaves[held.labels[i]], x0, y0, x1, y1, bool(held.ignored[i])))
    return Objects(None, tuple(boxes))


def _shown(data: Data, objects: Objects | None, name: str) -> NDArray[np.uint8]:
    """An image as a sheet shows it; raises BadImage if it cannot be decoded."""
    if objects is None:
        return decode(data, SIDE_PX)
    pixels, size = decode_whole(data, BOXED_PX, objects)
    image = Image.fromarray(pixels)
    pen, scale = ImageDraw.Draw(image), pixels.shape[1] / size[1]
    for box in usable(objects, size)[0]:
        if box.label == name:
            x0, y0, x1, y1 = (scale * edge for edge in box[1:5])
            frame = x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)
            pen.rectangle(frame, outline=IGNORED if box.ignored else COUNTED)
    return np.asarray(image)


def contact_sheet(groups: dict[str, list[NDArray[np.uint8]]], n_images: int = PER_CLASS) -> Image.Image:
    """A block of n images for each class, with its name above; the sheet is wider than high."""
    cell = max([SIDE_PX, *(max(image.shape) for images in groups.values() for image in images)]) + GAP_PX
    width, height = n_images * cell + 10, CAPTION_PX + cell + 8
    columns = max(1, min(len(groups), round((1.6 * len(groups) * height / width) ** 0.5)))
    sheet = Image.new("RGB", (columns * width + 8, max(1, -(-len(groups) // columns)) * height + 8), GROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, (name, images) in enumerate(groups.items()):
        x, y = 8 + number % columns * width, 6 + number // columns * height
        pen.text((x, y), _fitted(name, pen, font, width - 14), fill=INK, font=font)
        for i, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (x + i * cell, y + CAPTION_PX))
    return sheet


def _spread(n: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, n - 1, min(n, MAX_CLASSES)).round())]


def _fitted(name: str, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    kept = "".join(c if c.isprintable() else " " for c in name)[:80]
    if pen.textlength(kept, font=font) <= width:
        return kept
    while kept and pen.textlength("…" + kept, font=font) > width:
        kept = kept[1:]  # the end of a path tells more than its beginning
    return "…" + kept
