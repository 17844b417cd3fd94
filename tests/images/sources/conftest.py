"""Trees of small files, as data sets lay them out."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from transferlab.identity import digest
from transferlab.images.source import Item, Source, Unreadable, at_hand
from transferlab.images.sources import SOURCES

WriteTree = Callable[[Path, Mapping[str, "bytes | str"]], Path]


@pytest.fixture
def write_tree() -> WriteTree:
    """Write files by their names below a folder."""

    def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return write


@pytest.fixture
def zipped() -> Callable[[Path, str], Path]:
    """A folder as a zip beside it, its files below one folder of this name."""

    def pack(folder: Path, top: str) -> Path:
        archive = folder.parent / f"{top}.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    file.write(path, f"{top}/{path.relative_to(folder).as_posix()}")
        return archive

    return pack


@pytest.fixture
def opened() -> Callable[..., Source]:
    """A format's source of a path, with options; read twice, which must give the same."""

    def open_(form: str, path: Path, **options: str) -> Source:
        first, again = SOURCES[form].open(str(path), options), SOURCES[form].open(str(path), options)
        assert first.fingerprint == again.fingerprint and tuple(first.classes) == tuple(again.classes)
        items = list(first.items())
        assert len({item.key for item in items}) == len(items) == first.n_images
        assert [facts(item) for item in items] == [facts(item) for item in again.items()]
        if first.taxonomy is not None:
            assert tuple(first.taxonomy.leaves) == tuple(first.classes)
        return first

    def facts(item: Item) -> list[object]:
        data = at_hand(item.data)
        assert not isinstance(data, Unreadable), data.reason
        return [item.key, item.label, item.split, item.unscored, item.crop, digest(data)]

    return open_
