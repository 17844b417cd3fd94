"""``hf:PATH``: a Hugging Face data set on disk: Parquet files, or what ``save_to_disk`` wrote. Needs the extra ``hf``."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Format, Request, Text
from transferlab.images.source import Item, Source, Unreadable
from transferlab.images.sources.filetree import visible
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.listing import IMAGE_SUFFIXES, classes_of, fingerprint
from transferlab.images.sources.split_names import split_in, split_in_path
from transferlab.images.sources.wnids import CLASSES, imagenet1k_wnids, named

BATCH = 64  # rows in memory at once
_DESCRIPTIONS = frozenset({"state.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json"})
MOST_GROUP = 1 << 29  # bytes of a group of rows, unpacked
MOST_BATCH = 1 << 26  # bytes of the rows in memory at once, if all of them are as large as possible


@dataclass(frozen=True)
class _Columns:
    """The columns of image and label, and the names of labels if the data set or a class list has them."""

    image: str
    label: str
    names: tuple[str, ...] | None
    are_wnids: bool
    are_lists: bool
    where: str

    @property
    def kind(self) -> str:
        return f"{'lists of ' if self.are_lists else ''}{'numbered classes' if self.names else 'names'}"


def read(request: Request) -> Source:
    """The image column holds bytes, or a struct with bytes; lists in the label column make the source multi-label.

    A word of a file's or folder's name is its split. Each file names its own labels, so that files may number classes
    differently. Files whose labels are all -1 are left out: test sets without labels are published like that. With ``classes=imagenet-1k``, wnids at the end of the images' file names
    must agree with the labels.

    Raises:
        UserError: pyarrow is missing; no data set here, other columns, damaged files, labels without a class.
    """
    root, where = request.path, request.where
    try:
        import pyarrow  # noqa: F401  # pyright: ignore[reportUnusedImport]  # only to see whether it is installed
    except ImportError as error:
        raise UserError("reading this needs pyarrow", where, "pip install 'transferlab[hf]'") from error
    files, left = _files(root, where)
    if odd := next((file for file in files if not file.is_file()), None):
        raise UserError(f"{odd} is missing, or a pipe or a device", where, "copy the whole data set")
    of_files: dict[Path, _Columns] = {}
    labels: list[str | tuple[str, ...]] = []
    empty: list[Path] = []
    for file in files:
        with _damage_named(file, where):
            columns = of_files[file] = _columns_of(file, request, is_first=file == files[0])
            values = [value for batch in _batches(file, [columns.label], where) for value in _values(batch, columns)]
        _must_not_be_one_hot(values, columns)
        if columns.names and set(map(str, values)) == {"-1"}:
            empty.append(file)
        else:
            labels += [_label(value, columns) for value in values]
            left += [] if values else [f"{_shown(file, root)} has no rows"]
    files = [file for file in files if file not in empty]
    notes = left + [f"{file.name} was left out: it has no labels" for file in empty] + _must_agree(of_files, where)
    columns, splits = of_files[files[0] if files else empty[0]], {_split(file, root, where) for file in files}
    return Source(
        name=root.stem if root.is_file() else root.resolve().name,
        classes=classes_of(labels),
        fingerprint=digest(
            "hf",
            columns.image,
            columns.label,
            fingerprint(files, root if root.is_dir() else root.parent),
            *((columns.names or ()) if columns.are_wnids else ()),
        ),
        items=partial(_items, files, root, of_files, where),
        n_images=len(labels),
        multi_label=columns.are_lists,
        has_wnids=columns.are_wnids,
        stated="by the names of files and folders" if splits - {None} else "",
        notes=notes,
    )


def _must_agree(of_files: Mapping[Path, _Columns], where: str) -> list[str]:
    """A note if files number their classes differently; raises UserError if some name them and others do not."""
    first, *others = of_files.items()
    notes: list[str] = []
    for file, columns in others:
        if columns.are_lists != first[1].are_lists or (columns.names is None) != (first[1].names is None):
            raise UserError(
                f"the labels of {first[0].name} are {first[1].kind}, those of {file.name} are {columns.kind}", where,
                "give all files the same columns",
            )  # fmt: skip
        if columns.names != first[1].names:
            notes = [f"files number their classes differently ({first[0].name} and {file.name}); their names count"]
    return notes


def _items(files: list[Path], root: Path, of_files: Mapping[Path, _Columns], where: str) -> Iterator[Item]:
    for file in files:
        columns, split = of_files[file], _split(file, root, where)
        name = _shown(file, root)
        number = 0
        with _damage_named(file, where):
            for batch in _batches(file, [columns.image, columns.label], where):
                pairs = zip(batch.column(columns.image).to_pylist(), _values(batch, columns), strict=True)
                for image, value in pairs:
                    label = _label(value, columns)
                    _must_fit(image, label, columns, f"{where}: {name}")
                    yield Item(f"{name}/{number:07d}", _content(image), label, split)
                    number += 1


def _must_fit(image: Any, label: str | tuple[str, ...], columns: _Columns, where: str) -> None:
    """If labels are indices of wnids, a file name that ends in a wnid, as in ImageNet-1k, must agree with its label."""
    path = cast("dict[str, Any]", image).get("path") if isinstance(image, dict) else None
    match = re.search(r"(?:^|_)(n\d{8})\.\w+$", str(path)) if columns.are_wnids else None
    if match is not None and match[1] != label:
        raise UserError(f"{path} has the label of {label}", where, "these labels are not indices of the class list")


def _content(image: Any) -> bytes | Unreadable:
    data = cast("dict[str, Any]", image).get("bytes") if isinstance(image, dict) else image
    return data if isinstance(data, bytes) else Unreadable("the data set has no bytes of it")


def _files(root: Path, where: str) -> tuple[list[Path], list[str]]:
    """The files to read, and notes on those that are not read."""
    if root.is_file():
        return [root], []
    tree = tree_of(root, where)
    seen = [name for name in tree.files if visible(name)]
    states = [root / name for name in seen if name.rpartition("/")[2] == "state.json"]
    # save_to_disk lists its files in state.json; any other Arrow file is a cache.
    found = [file for state in states for file in _saved(state, where)]
    _must_be_whole([root / name for name in seen if name.rpartition("/")[2] == "dataset_dict.json"], where)
    if not states:
        found = [root / name for name in seen if name.lower().endswith(".parquet")]
    if not found:
        arrow = any(name.endswith(".arrow") for name in seen)
        raise UserError(
            "there is neither a Parquet file nor a saved data set here" + (", only Arrow files without a state.json" * arrow),
            where, "give one Arrow file, or save the data set again" if arrow else "check the path",
        )  # fmt: skip
    taken = {file.relative_to(root).as_posix() for file in found}
    data = (".parquet", ".csv", ".tsv", ".json", ".jsonl", ".zip", ".tar", ".gz", *IMAGE_SUFFIXES)
    left = [
        name for name in seen
        if name not in taken and name.lower().endswith(data) and name.rpartition("/")[2] not in _DESCRIPTIONS
    ]  # fmt: skip
    notes = [f"{len(left):,} other files were not read, for example {left[0]}"] if left else []
    return found, [*tree.notes, *notes, *_several_sets(taken)]


def _several_sets(names: Set[str]) -> list[str]:
    """A note if files lie in several folders that are not named after splits: they may be versions of one set."""
    parents = {"/".join(part for part in name.split("/")[:-1] if split_in(part) is None) for name in names}
    if len(parents) < 2:
        return []
    shown = " and ".join(parent or "at the top" for parent in sorted(parents)[:2])
    return [f"the files of {len(parents)} folders were read as one set, for example {shown}"]


def _saved(state: Path, where: str) -> list[Path]:
    """The files that a state.json lists, in its folder."""
    try:
        entries = json.loads(state.read_text(encoding="utf-8"))["_data_files"]
        return [state.parent / Path(str(entry["filename"])).name for entry in entries]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{state.parent.name}/{state.name} does not list the files of the data set", where, "save it again"
        ) from error


def _must_be_whole(lists: Sequence[Path], where: str) -> None:
    """Raises UserError if a split that a dataset_dict.json lists is not there."""
    for file in lists:
        try:
            splits = [str(split) for split in json.loads(file.read_text(encoding="utf-8"))["splits"]]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError("dataset_dict.json does not list the splits", where, "save the data set again") from error
        if absent := [split for split in splits if not (file.parent / split / "state.json").is_file()]:
            raise UserError(
                f"the split {absent[0]!r}, which dataset_dict.json lists, is not there",
                where,
                "copy the whole data set",
            )


def _shown(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if root.is_dir() else file.name


def _split(file: Path, root: Path, where: str) -> str | None:
    """The split that the file's name or its folders' names state."""
    return split_in_path(file.relative_to(root).parts if root.is_dir() else (file.name,), where)


def _batches(file: Path, columns: list[str], where: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix.lower() == ".parquet":
        with cast(Any, pq.ParquetFile(file)) as table:
            n_bytes = _largest_group(table.metadata, columns, file.name, where)
            # Equal values are kept once in a file, so that each row may be as large as its group.
            n_rows = max(1, min(BATCH, MOST_BATCH // max(1, n_bytes)))
            yield from table.iter_batches(batch_size=n_rows, columns=columns)
        return
    with cast(Any, pa).memory_map(str(file)) as mapped, cast(Any, pa).ipc.open_stream(mapped) as stream:
        for large in stream:
            large.select(columns).validate(full=True)  # damaged offsets would lead outside the file
            for start in range(0, large.num_rows, BATCH):
                yield large.select(columns).slice(start, BATCH)


def _largest_group(metadata: Any, columns: list[str], name: str, where: str) -> int:
    """The most bytes of these columns in a group of rows, which pyarrow reads as a whole.

    Raises:
        UserError: they are too many for the memory.
    """
    sizes = [0]
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        held = [group.column(i) for i in range(group.num_columns)]
        sizes.append(sum(c.total_uncompressed_size for c in held if c.path_in_schema.split(".")[0] in columns))
        if sizes[-1] > MOST_GROUP:
            raise UserError(
                f"{name} has {sizes[-1]:,} bytes in its row group {number}, more than {MOST_GROUP:,}", where,
                "write it again with smaller row groups (row_group_size)",
            )  # fmt: skip
    return max(sizes)


def _schema(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix.lower() == ".parquet":
        return cast(Any, pq).read_schema(file)
    with cast(Any, pa).memory_map(str(file)) as mapped, cast(Any, pa).ipc.open_stream(mapped) as stream:
        return stream.schema


def _columns_of(file: Path, request: Request, *, is_first: bool) -> _Columns:
    try:
        return _columns(file, request)
    except UserError as error:
        if is_first:
            raise
        raise UserError(f"{file.name} cannot be read: {error.what}", error.where, error.remedy) from error


def _columns(file: Path, request: Request) -> _Columns:
    import pyarrow as pa

    types = cast(Any, pa).types
    schema = _schema(file)
    image, label, where = request.options["image"], request.options["label"], request.where
    absent = [name for name in (image, label) if name not in schema.names]
    if absent:
        raise UserError(
            f"there is no column {absent[0]!r}", where,
            f"columns are {', '.join(schema.names)}; choose with ?image=…&label=…",
        )  # fmt: skip
    listed_type = schema.field(label).type
    are_lists = any(is_(listed_type) for is_ in (types.is_list, types.is_large_list, types.is_fixed_size_list))
    if types.is_struct(listed_type):
        raise UserError(f"the column {label!r} has the type {listed_type}", where, "choose another with ?label=…")
    held = schema.field(image).type
    bytes_like = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    if not (types.is_struct(held) or any(is_(held) for is_ in bytes_like)):
        raise UserError(
            f"the column {image!r} has the type {held}, which is not an image", where, "choose another with ?image=…"
        )
    names, listed = _names(schema, label), imagenet1k_wnids() if "classes" in request.options else None
    if listed is not None and names is not None and len(names) != len(listed):
        raise UserError(
            f"the data set names {len(names)} classes", where, f"the class list has {len(listed)}: leave out classes=…"
        )
    if listed is None and names is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"two classes are called {twice!r}", where, "for ImageNet-1k add classes=imagenet-1k: its wnids are unique"
        )
    return _Columns(
        image, label, listed or names, are_wnids=listed is not None, are_lists=are_lists, where=f"{where}, {file.name}"
    )


def _names(schema: Any, label: str) -> tuple[str, ...] | None:
    """The names of labels, which the library datasets keeps in a file's schema."""
    metadata: dict[bytes, bytes] = schema.metadata or {}
    try:
        described: Any = json.loads(metadata.get(b"huggingface", b"{}"))
        feature: Any = described.get("info", {}).get("features", {}).get(label, {})
        if isinstance(feature, list):  # a list of labels, in older versions
            feature = cast("list[Any]", feature)[0]
        feature = cast("dict[str, Any]", feature)
        inner: dict[str, Any] = feature.get("feature", feature)
        names: Any = inner.get("names")
    except (ValueError, LookupError, AttributeError) as error:
        raise ValueError("the description of its columns is damaged") from error
    if names is not None and not isinstance(names, list):
        raise ValueError(f"the names of its labels are {names!r:.80}")
    return tuple(str(name) for name in cast("list[Any]", names)) if names else None


def _values(batch: Any, columns: _Columns) -> list[Any]:
    return cast("list[Any]", batch.column(columns.label).to_pylist())


def _must_not_be_one_hot(values: list[Any], columns: _Columns) -> None:
    """Refuse lists of zeros and ones, one for each class: they would be read as the numbers of classes."""
    if not columns.are_lists or columns.names:
        return
    lengths = {len(cast("list[Any]", value)) for value in values if value is not None}
    held = {each for value in values if value is not None for each in cast("list[Any]", value)}
    if len(lengths) == 1 and max(lengths) > 1 and held == {0, 1}:
        raise UserError(
            "the labels are lists of zeros and ones", columns.where, "list the names or numbers of each image's classes"
        )


def _label(value: Any, columns: _Columns) -> str | tuple[str, ...]:
    def name(value: Any) -> str:
        if value is None:
            raise UserError(f"an image has the label {value}", columns.where, "give every image a label")
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        if not str(value).strip():
            raise UserError("an image has an empty label", columns.where, "give every image a label")
        return named(str(value), columns.names, columns.where)

    return tuple(name(v) for v in cast("list[Any]", value)) if isinstance(value, list) else name(value)


@contextmanager
def _damage_named(file: Path, where: str) -> Generator[None]:
    """Raises UserError with the file's name for whatever pyarrow raises on damaged files."""
    import pyarrow as pa

    try:
        yield
    except UserError:
        raise
    except (
        cast("type[Exception]", pa.ArrowException),
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise UserError(f"{file.name} cannot be read: {reason}", where, "get or save it again") from error


FORMAT = Format(
    name="hf", title="Hugging Face data set", explained="Parquet files, or a data set that `save_to_disk` wrote",
    path="a Parquet file, or a folder", tasks=("classes", "labels"), read=read,
    parameters={"image": Text(means="the column of images", default="image"),
                "label": Text(means="the column of labels", default="label"), "classes": CLASSES},
)  # fmt: skip
