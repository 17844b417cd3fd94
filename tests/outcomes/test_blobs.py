"""Laws of blobs, over every kind of blobs there is: a folder; one day a bucket."""

from __future__ import annotations

import errno
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transferlab.outcomes.blobs import Blobs, FolderBlobs
from transferlab.outcomes.files import TEMPORARY

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk that syncs at once, for many tries
# Files end in a letter that no folder's name has: on a disk no name can be both.
NAMES = st.builds(lambda folders, file: "/".join([*folders, file + "f"]), st.lists(st.text("ab-_.é ", min_size=1).filter(
    lambda part: part.strip(".") != ""), max_size=2), st.text("abc.0", max_size=3))  # fmt: skip
WRITES = st.lists(st.tuples(NAMES, st.binary(max_size=9)), max_size=8)
UNSAFE = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "a\\b",
    "a\0",
    f"{TEMPORARY}a",
    f"a/{TEMPORARY}",
]


class Laws(ABC):
    """What holds for all kinds of blobs; a subclass makes empty ones."""

    @abstractmethod
    def made(self, folder: Path) -> Blobs: ...

    @pytest.fixture
    def blobs(self, tmp_path: Path) -> Blobs:
        return self.made(tmp_path)

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other tests run beside it
    @given(writes=WRITES, others=WRITES)
    def test_the_last_bytes_written_are_read_and_listed(self, writes: Any, others: Any) -> None:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            blobs = self.made(Path(folder))
            for name, data in writes:
                blobs.write(name, data)
            with blobs.together() as write:
                for name, data in others:
                    write(name, data)
            held = {**dict(writes), **dict(others)}
            assert {name: blobs.read(name) for name in held} == held
            assert blobs.listing("") == {name: len(data) for name, data in held.items()}
            for prefix in {f"{name.rpartition('/')[0]}/" for name in held if "/" in name}:
                below = {name: len(data) for name, data in held.items() if name.startswith(prefix)}
                assert blobs.listing(prefix) == below

    @given(writes=WRITES)
    def test_what_is_published_first_stays(self, writes: Any) -> None:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            blobs = self.made(Path(folder))
            held: dict[str, bytes] = {}
            for name, data in writes:
                assert blobs.publish(name, data) == (name not in held)
                held.setdefault(name, data)
            assert {name: blobs.read(name) for name in blobs.listing("")} == held

    @given(writes=WRITES, kept=st.sets(st.integers(0, 7)))
    def test_clearing_leaves_what_is_kept_and_what_lies_elsewhere(self, writes: Any, kept: set[int]) -> None:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            blobs = self.made(Path(folder))
            for name, data in writes:
                blobs.write(f"in/{name}", data)
                blobs.write(f"out/{name}", data)
            keep = {f"in/{name}" for i, (name, _) in enumerate(writes) if i in kept}
            blobs.clear("in/", keep)
            assert set(blobs.listing("in/")) == keep
            assert set(blobs.listing("out/")) == {f"out/{name}" for name, _ in writes}

    @pytest.mark.parametrize("name", UNSAFE)
    def test_an_unsafe_name_is_refused_everywhere(self, name: str, blobs: Blobs) -> None:
        for use in (blobs.read, blobs.delete, lambda n: blobs.write(n, b""), lambda n: blobs.publish(n, b""),
                    lambda n: blobs.move(n, "a"), lambda n: blobs.move("a", n)):  # fmt: skip
            with pytest.raises(ValueError, match="not a safe name"):
                use(name)
        for use in (blobs.listing, blobs.clear):
            if name.removesuffix("/") != "a" and name:
                with pytest.raises(ValueError, match="not a safe name"):
                    use(name)

    def test_what_is_not_there_reads_as_none_and_lists_as_nothing(self, blobs: Blobs) -> None:
        blobs.write("file", b"x")
        assert [blobs.read(name) for name in ("a", "a/b", "file/below")] == [None] * 3
        assert blobs.listing("a/") == {}
        blobs.delete("a/b")
        blobs.clear("a/")
        assert blobs.listing("") == {"file": 1}

    def test_a_blob_moves_and_so_do_all_below_a_name(self, blobs: Blobs) -> None:
        for name in ("a/1", "a/b/2", "c"):
            blobs.write(name, name.encode())
        blobs.move("a", "aside/a")
        blobs.move("c", "aside/c")
        assert blobs.listing("") == {"aside/a/1": 3, "aside/a/b/2": 5, "aside/c": 1}
        assert blobs.read("aside/a/b/2") == b"a/b/2"

    def test_blobs_written_together_are_all_there_at_the_end_or_none(self, blobs: Blobs) -> None:
        blobs.write("a/old", b"old")
        with pytest.raises(ZeroDivisionError), blobs.together() as write:
            write("a/old", b"new")
            write("b", b"new")
            raise ZeroDivisionError
        assert blobs.listing("") == {"a/old": 3}
        with blobs.together() as write:
            write("a/old", b"newer")
            write("b", b"new")
            assert blobs.listing("") == {"a/old": 3}
        assert blobs.listing("") == {"a/old": 5, "b": 3}


class TestFolderBlobs(Laws):
    def made(self, folder: Path) -> Blobs:
        return FolderBlobs(folder)


@pytest.fixture
def beginning(tmp_path: Path) -> Iterator[Path]:
    """What a killed writer left in a folder of blobs."""
    path = tmp_path / "a" / f"{TEMPORARY}0123"
    path.parent.mkdir()
    path.write_bytes(b"tor")
    yield path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_pipes_devices_and_huge_files_in_a_blobs_place_hold_nothing_and_are_replaced(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    (tmp_path / "studies").mkdir()
    os.mkfifo(tmp_path / "studies" / "pipe.json")
    (tmp_path / "studies" / "zero.json").symlink_to("/dev/zero")
    with (tmp_path / "studies" / "huge.json").open("wb") as file:
        file.truncate(8 << 30)  # without taking room on the disk
    for name in ("pipe", "zero", "huge"):
        assert blobs.read(f"studies/{name}.json") == b""
        blobs.write(f"studies/{name}.json", b"{}")
        assert blobs.read(f"studies/{name}.json") == b"{}"


def test_what_a_killed_writer_left_is_not_listed_and_is_cleared(beginning: Path, tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    assert blobs.listing("") == blobs.listing("a/") == {}
    blobs.clear("a/")
    assert not beginning.exists()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_where_links_are_not_allowed_a_blob_is_published_by_renaming(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    blobs = FolderBlobs(tmp_path)
    assert [blobs.publish("a/b", b"one"), blobs.publish("a/b", b"two")] == [True, False]
    assert blobs.read("a/b") == b"one"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_writer_whose_beginning_another_clears_writes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs, sync, cleared = FolderBlobs(tmp_path), os.fsync, []

    def clear(handle: int) -> None:
        if not cleared:
            cleared.append(handle)
            blobs.clear("a/")
        sync(handle)

    for write in (blobs.write, blobs.publish):
        cleared.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", clear)
            write("a/b", write.__name__.encode())
        assert cleared
        assert blobs.read("a/b") == write.__name__.encode()
