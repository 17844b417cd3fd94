from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.images.sources.tarstream import files

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def archive(path: Path, members: list[tuple[str, bytes]], form: int, mode: str = "w", mtime: float = 0) -> Path:
    with tarfile.open(path, mode, format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            tar.addfile(info, io.BytesIO(data))
    return path


def by_tarfile(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path, "r|*") as tar:
        return [(m.name, file.read()) for m in tar if m.isreg() and (file := tar.extractfile(m))]


def everything(path: Path) -> list[tuple[str, bytes]]:
    return list(files(path, lambda name, size: True))


@settings(deadline=None, max_examples=40)
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=150), max_size=6
    ),
    sizes=st.lists(st.integers(0, 1100), min_size=6, max_size=6),
    form=st.sampled_from(["gnu", "pax"]),
    mtime=st.sampled_from([0, 1.5]),  # fractions of a second make pax headers
)
def test_archives_are_read_as_tarfile_reads_them(
    names: list[str], sizes: list[int], form: str, mtime: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    members = [(name, bytes([len(name) % 256]) * size) for name, size in zip(names, sizes, strict=False)]
    mode = "w:gz" if len(names) % 2 else "w"
    path = archive(tmp_path_factory.mktemp("tar") / "a.tar", members, FORMATS[form], mode, mtime)
    assert everything(path) == by_tarfile(path)


def test_long_names_in_old_headers_are_put_together(tmp_path: Path) -> None:
    name = f"{'folder' * 20}/{'name' * 20}.jpg"
    path = archive(tmp_path / "a.tar", [("x.jpg", b"1"), (name, b"2")], tarfile.USTAR_FORMAT)
    assert everything(path) == [("x.jpg", b"1"), (name, b"2")]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_only_what_is_wanted_is_read(mode: str, tmp_path: Path) -> None:
    members = [(f"{i}.{suffix}", bytes(i * 400)) for i in range(9) for suffix in ("jpg", "cls")]
    path = archive(tmp_path / "a.tar", members, tarfile.GNU_FORMAT, mode)
    asked: list[tuple[str, int]] = []

    def wanted(name: str, size: int) -> bool:
        asked.append((name, size))
        return name.endswith(".cls")

    assert list(files(path, wanted)) == [m for m in members if m[0].endswith(".cls")]
    assert asked == [(name, len(data)) for name, data in members]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("first", [True, False])
def test_extended_headers_of_any_length_are_refused_before_they_are_read(
    kind: bytes, first: bool, tmp_path: Path
) -> None:
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, 3 << 30
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        if not first:  # after a header that tarfile reads
            file.write(tarfile.TarInfo("x" * 150).tobuf(tarfile.GNU_FORMAT))
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(4 << 30)
    with pytest.raises(tarfile.ReadError, match="an extended header claims 3,221,225,472 bytes"):
        everything(path)


def test_folders_and_links_in_between_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (
            ("a", None),
            ("folder", tarfile.DIRTYPE),
            ("b", None),
            ("link", tarfile.SYMTYPE),
            ("c", None),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind or tarfile.REGTYPE, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            tar.addfile(info, None)
    assert everything(tmp_path / "a.tar") == [("a", b""), ("b", b""), ("c", b"")]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_every_cut_is_noticed_that_loses_content(mode: str, tmp_path: Path) -> None:
    members = [(f"{i}.jpg", bytes([i]) * 700) for i in range(3)]
    whole = archive(tmp_path / "a.tar", members, tarfile.GNU_FORMAT, mode).read_bytes()
    cut = tmp_path / "cut.tar"
    for n_bytes in range(0, len(whole), len(whole) // 80):
        cut.write_bytes(whole[:n_bytes])
        try:
            found = everything(cut)
        except (tarfile.TarError, EOFError, OSError):
            continue
        # Between two members, or after the last, nothing tells a cut from the end.
        assert found == members[: len(found)] and (mode == "w") and n_bytes >= 1536 * len(found)
        assert n_bytes % 512 == 0 or len(found) == 3


def test_a_flipped_bit_in_a_header_is_noticed(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", [(f"{i}.jpg", bytes(100)) for i in range(3)], tarfile.GNU_FORMAT)
    whole = path.read_bytes()
    for place in (0, 100, 130, 156, 300):  # of the second member's header: name, mode, size, type, owner
        damaged = bytearray(whole)
        damaged[1024 + place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(tarfile.ReadError, match="checksum"):
            everything(path)
