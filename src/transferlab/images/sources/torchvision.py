"""``torchvision:NAME?root=PATH``: data sets as torchvision keeps them on disk. Nothing is downloaded, no pickle is run.

The small ones are read here: torchvision's own reader of CIFAR, for example, runs whatever a pickle contains.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Format, Request, Text
from transferlab.images.source import Source
from transferlab.images.sources.listing import fingerprint, items_of_files, printable
from transferlab.images.sources.split_names import split_of
from transferlab.images.sources.tvarrays import ARRAYS, read_arrays

# Data sets of image files, whose paths and labels torchvision itself lists: its class, and its name of each split.
FILES: dict[str, tuple[str, tuple[tuple[str, str | None], ...]]] = {
    "country211": ("Country211", (("train", "train"), ("val", "valid"), ("test", "test"))),
    "dtd": ("DTD", (("train", "train"), ("val", "val"), ("test", "test"))),
    "eurosat": ("EuroSAT", (("", None),)),
    "fgvcaircraft": ("FGVCAircraft", (("train", "train"), ("val", "val"), ("test", "test"))),
    "flowers102": ("Flowers102", (("train", "train"), ("val", "val"), ("test", "test"))),
    "food101": ("Food101", (("train", "train"), ("test", "test"))),
    "imagenette": ("Imagenette", (("train", "train"), ("val", "val"))),
    "renderedsst2": ("RenderedSST2", (("train", "train"), ("val", "val"), ("test", "test"))),
    "stanfordcars": ("StanfordCars", (("train", "train"), ("test", "test"))),
    "sun397": ("SUN397", (("", None),)),
}


def read(request: Request) -> Source:
    """CIFAR-100 has a taxonomy; raises UserError for an unknown name, missing or damaged files."""
    name, where = request.text.lower(), request.where
    known = sorted([*ARRAYS, *FILES])
    if name not in known:
        raise UserError(f"the data set {request.text!r} is not known", where, f"known are {', '.join(known)}")
    return read_arrays(name, request.path, where) if name in ARRAYS else _of_files(name, request.path, where)


def _of_files(name: str, root: Path, where: str) -> Source:
    from torchvision import datasets

    form, splits = FILES[name]
    make: Any = getattr(datasets, form)
    rows: list[tuple[str, Path, str, str | None]] = []
    classes: list[str] = []
    for ours, theirs in splits:
        choice = {} if theirs is None else {"split": theirs}
        try:
            # This loader returns the path: the pixels are decoded here, within our limits.
            held = make(root=str(root), download=False, loader=_same, **choice)
        except (RuntimeError, OSError) as error:
            reason = (str(error).splitlines() or ["?"])[0]
            raise UserError(f"torchvision cannot read it: {reason}", f"{where}?root={root}", "check root") from error
        pairs = [cast("tuple[Any, int]", held[i]) for i in range(len(held))]
        classes = _classes(held, pairs)
        for file, label in pairs:  # two splits may list the same file
            key = f"{ours or 'all'}/{printable(Path(file).relative_to(root).as_posix())}"
            rows.append((key, Path(file), classes[label], split_of(ours, where)))
    return Source(
        name=name,
        classes=tuple(classes),
        fingerprint=digest(name, fingerprint([row[1] for row in rows], root), [row[2:] for row in rows]),
        items=partial(items_of_files, rows),
        n_images=len(rows),
    )


def _same(path: Any) -> Any:
    return path


def _classes(held: Any, pairs: list[tuple[Any, int]]) -> list[str]:
    """torchvision's names of the classes, or their numbers if it has none."""
    if "classes" in dir(held):
        names = cast("list[str | tuple[str, ...]]", held.classes)  # Imagenette has several names for each
        return [name if isinstance(name, str) else name[0] for name in names]
    return [f"{label:03d}" for label in range(max(label for _, label in pairs) + 1)]


FORMAT = Format(
    name="torchvision", title="torchvision data set", explained="a data set as torchvision keeps it on disk",
    path="torchvision's name of it, in lower case", root="root", read=read,
    parameters={"root": Text(means="the folder that torchvision keeps it in", required=True)},
)  # fmt: skip
