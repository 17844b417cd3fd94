"""``hf:PATH``: a Hugging Face set on disk: Parquet files, or a folder that ``save_to_disk`` wrote. Extra ``hf``."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source, Unreadable
from transferlab.images.sources.listing import SPLIT_NAMES, class_order, existing, fingerprint
from transferlab.images.sources.wnids import class_names, named

BATCH = 64  # rows in memory at once


@dataclass(frozen=True)
class _Columns:
    """Where image and label are, and the label's names where the set or a class list has them."""

    image: str
    label: str
    names: tuple[str, ...] | None
    are_wnids: bool


def read(path: str, options: Mapping[str, str]) -> Source:
    """Columns ``image`` (bytes, or a struct with bytes) and ``label``, unless the options of these names say otherwise.

    Files are read by pyarrow in batches; a split is how a file's or folder's name begins. A label that is a list
    makes the set multi-label. Files of which every label is -1, as test sets without labels are published, are left
    out. By the option ``classes=imagenet-1k`` labels stand for ImageNet-1k's wnids in their usual order; the wnids that
    its files' names end in must agree.

    Raises:
        UserError: pyarrow is missing, no set here, other columns, damaged files, labels without a class.
    """
    root, where = existing(path, "hf"), f"hf:{path}"
    try:
        import pyarrow  # noqa: F401  # pyright: ignore[reportUnusedImport]  # whether it is there
    except ImportError as error:
        raise UserError("reading this needs pyarrow", where, "pip install 'transferlab[hf]'") from error
    files = _files(root, where)
    with _telling(files[0], where):
        columns, several = _columns(files[0], options, where)
    of_files: dict[Path, list[Any]] = {}
    for file in files:
        with _telling(file, where):
            of_files[file] = [value for batch in _batches(file, [columns.label]) for value in _values(batch, columns)]
    empty = [file for file, values in of_files.items() if columns.names and set(map(str, values)) == {"-1"}]
    files = [file for file in files if file not in empty]
    labels = [_label(value, columns) for file in files for value in of_files[file]]
    return Source(
        name=root.stem if root.is_file() else root.resolve().name,
        classes=class_order(n for label in labels for n in ((label,) if isinstance(label, str) else label)),
        fingerprint=digest(
            "hf",
            columns.image,
            columns.label,
            fingerprint(files, root if root.is_dir() else root.parent),
            *((columns.names or ()) if columns.are_wnids else ()),
        ),
        items=partial(_items, files, root, columns, where),
        n_images=len(labels),
        multi_label=several,
        notes=[f"{file.name} was left out: it has no labels" for file in empty],
    )


def _items(files: list[Path], root: Path, columns: _Columns, where: str) -> Iterator[Item]:
    for file in files:
        split = _split(file, root)
        name = file.relative_to(root).as_posix() if root.is_dir() else file.name
        number = 0
        with _telling(file, where):
            for batch in _batches(file, [columns.image, columns.label]):
                pairs = zip(batch.column(columns.image).to_pylist(), _values(batch, columns), strict=True)
                for image, value in pairs:
                    label = _label(value, columns)
                    _must_fit(image, label, columns, f"{where}: {name}")
                    yield Item(f"{name}/{number:07d}", _content(image), label, split)
                    number += 1


def _must_fit(image: Any, label: str | tuple[str, ...], columns: _Columns, where: str) -> None:
    """Where labels are places among wnids: a file that ends in one, as in ImageNet-1k, must have that label."""
    path = cast("dict[str, Any]", image).get("path") if isinstance(image, dict) else None
    told = re.search(r"(?:^|_)(n\d{8})\.\w+$", str(path)) if columns.are_wnids else None
    if told is not None and told[1] != label:
        raise UserError(
            f"{path} has the label of {label}", where, "these labels do not count in the order of the class list"
        )


def _content(image: Any) -> bytes | Unreadable:
    data = cast("dict[str, Any]", image).get("bytes") if isinstance(image, dict) else image
    return data if isinstance(data, bytes) else Unreadable("the set holds no bytes of it")


def _files(root: Path, where: str) -> list[Path]:
    if root.is_file():
        return [root]
    saved = sorted(root.rglob("state.json"))
    if saved:
        # save_to_disk names its files in state.json; others beside them are caches.
        return [
            state.parent / Path(str(entry["filename"])).name
            for state in saved
            for entry in json.loads(state.read_text(encoding="utf-8"))["_data_files"]
        ]
    found = sorted(file for file in root.rglob("*.parquet") if not file.name.startswith("."))
    if not found:
        raise UserError("there is neither a Parquet file nor a saved set here", where, "check the path")
    return found


def _split(file: Path, root: Path) -> str | None:
    """By the file's name, or by the folders that it lies in, the innermost first."""
    inner = file.relative_to(root).parts if root.is_dir() else (file.name,)
    words = [re.split(r"[^a-z]", part.lower(), maxsplit=1)[0] for part in reversed(inner)]
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def _batches(file: Path, columns: list[str]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix == ".parquet":
        with cast(Any, pq.ParquetFile(file)) as table:
            yield from table.iter_batches(batch_size=BATCH, columns=columns)
        return
    with cast(Any, pa).memory_map(str(file)) as mapped, cast(Any, pa).ipc.open_stream(mapped) as stream:
        for large in stream:
            for start in range(0, large.num_rows, BATCH):
                yield large.select(columns).slice(start, BATCH)


def _schema(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix == ".parquet":
        return cast(Any, pq).read_schema(file)
    with cast(Any, pa).memory_map(str(file)) as mapped, cast(Any, pa).ipc.open_stream(mapped) as stream:
        return stream.schema


def _columns(file: Path, options: Mapping[str, str], where: str) -> tuple[_Columns, bool]:
    """The columns, and whether labels are lists."""
    import pyarrow as pa

    types = cast(Any, pa).types
    schema = _schema(file)
    image, label = options.get("image", "image"), options.get("label", "label")
    absent = [name for name in (image, label) if name not in schema.names]
    if absent:
        raise UserError(
            f"there is no column {absent[0]!r}",
            where,
            f"columns are {', '.join(schema.names)}; choose with ?image=…&label=…",
        )
    several = bool(types.is_list(schema.field(label).type))
    held = schema.field(image).type
    if not (types.is_struct(held) or types.is_binary(held) or types.is_large_binary(held)):
        raise UserError(f"the column {image!r} is {held}, no image", where, "choose another with ?image=…")
    names, listed = _names(schema, label), class_names(options, where)
    if listed is not None and names is not None and len(names) != len(listed):
        raise UserError(
            f"the set names {len(names)} classes", where, f"the class list has {len(listed)}: leave out classes=…"
        )
    if listed is None and names is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"two classes of the set are called {twice!r}",
            where,
            "for ImageNet-1k add classes=imagenet-1k: wnids differ",
        )
    return _Columns(image, label, listed or names, listed is not None), several


def _names(schema: Any, label: str) -> tuple[str, ...] | None:
    """The label's names, from what the library datasets notes in a file's schema."""
    metadata: dict[bytes, bytes] = schema.metadata or {}
    described: Any = json.loads(metadata.get(b"huggingface", b"{}"))
    feature: Any = described.get("info", {}).get("features", {}).get(label, {})
    if isinstance(feature, list):  # a list of labels, as older versions note it
        feature = cast("list[Any]", feature)[0]
    feature = cast("dict[str, Any]", feature)
    inner: dict[str, Any] = feature.get("feature", feature)
    names: list[Any] | None = inner.get("names")
    return tuple(str(name) for name in names) if names else None


def _values(batch: Any, columns: _Columns) -> list[Any]:
    return cast("list[Any]", batch.column(columns.label).to_pylist())


def _label(value: Any, columns: _Columns) -> str | tuple[str, ...]:
    def name(value: Any) -> str:
        if value is None:
            raise UserError(f"an image has the label {value}", columns.label, "give every image a label")
        return named(str(value), columns.names, columns.label)

    return tuple(name(v) for v in cast("list[Any]", value)) if isinstance(value, list) else name(value)


@contextmanager
def _telling(file: Path, where: str) -> Generator[None]:
    """Raises UserError with the file's name for what pyarrow raises on damage."""
    import pyarrow as pa

    try:
        yield
    except (cast("type[Exception]", pa.ArrowException), OSError, LookupError) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise UserError(
            f"{file.name} cannot be read: {reason}", where, "get it again, or save the set again"
        ) from error
