"""``hf:PATH``: a Hugging Face set on disk, saved by ``save_to_disk`` or as Parquet files; extra ``hf``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read(path: str, options: Mapping[str, str]) -> Source:
    """Columns ``image`` and ``label`` unless the options of these names say otherwise; splits by their names.

    Raises:
        UserError: the extra is not installed, no such set, columns that are not there.
    """
    where, root = f"hf:{path}", Path(path)
    if not root.exists():
        raise UserError("there is no such set", where, "check the path")
    try:
        import datasets
    except ImportError as error:
        raise UserError("reading it needs the package datasets", where, "pip install 'transferlab[hf]'") from error
    parts = _parts(cast(Any, datasets), root, where)
    image, label = options.get("image", "image"), options.get("label", "label")
    first = next(iter(parts.values()))
    absent = [name for name in (image, label) if name not in first.column_names]
    if absent:
        raise UserError(f"there is no column {absent[0]!r}", where, f"columns are {', '.join(first.column_names)}")
    feature = first.features[label]
    names = [str(n) for n in feature.names] if isinstance(feature, datasets.ClassLabel) else None
    parts = {
        k: v.select_columns([image, label]).cast_column(image, datasets.Image(decode=False)) for k, v in parts.items()
    }

    def name_of(value: Any) -> str:
        return names[int(value)] if names is not None else str(value)

    classes = sorted({name_of(value) for part in parts.values() for value in part[label]})

    def items() -> Iterator[Item]:
        for split, part in parts.items():
            for i, row in enumerate(part):
                held = row[image]
                data = held["bytes"] if held["bytes"] is not None else Path(held["path"]).read_bytes()
                yield Item(f"{split}/{i:07d}", data, name_of(row[label]), SPLITS.get(split))

    stamp = [
        [p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in sorted(root.rglob("*") if root.is_dir() else [root])
    ]
    return Source(
        name=root.stem, classes=classes, fingerprint=digest("hf", image, label, stamp), items=items,
        n_images=sum(len(part) for part in parts.values()),
    )  # fmt: skip


def _parts(datasets: Any, root: Path, where: str) -> dict[str, Any]:
    """Split name to set; one whole without splits is called "all"."""
    try:
        if root.is_dir() and ((root / "dataset_info.json").is_file() or (root / "dataset_dict.json").is_file()):
            held = datasets.load_from_disk(str(root))
            return dict(held) if isinstance(held, datasets.DatasetDict) else {"all": held}
        files = [root] if root.is_file() else sorted(root.rglob("*.parquet"))
        if not files or files[0].suffix != ".parquet":
            raise UserError("there is neither a saved set nor a Parquet file", where, "name one")
        groups: dict[str, list[str]] = {}
        for file in files:
            word = file.stem.split("-")[0].split("_")[0].lower()
            groups.setdefault(word if word in SPLITS else "all", []).append(str(file))
        return {split: datasets.Dataset.from_parquet(paths) for split, paths in groups.items()}
    except (ValueError, OSError) as error:
        raise UserError(f"the set cannot be read: {str(error).splitlines()[0]}", where, "save it again") from error
