"""Opens a folder, or a zip that is read in place, as a tree of files."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Sequence, Set
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.bounded import is_the_systems
from transferlab.images.source import Unreadable
from transferlab.images.sources.filetree import Tree, is_housekeeping, may_be_image
from transferlab.images.sources.listing import MAX_FILE_BYTES, content_of, printable, stamp
from transferlab.images.sources.split_names import split_in

# What zipfile raises on damaged archives; NotImplementedError is for versions and compression methods that it does not know.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)
OWN = ({"lab.json"}, {"manifest.json", "images.u8"})  # files that mark a store and a pack of ours


def tree_of(root: Path, where: str, skip: Set[str] = frozenset()) -> Tree:
    """The files of a folder or zip, except those below folders with the names to skip.

    Hidden folders and those of systems and tools, and stores and packs of this program, are left out and counted in the
    tree's notes.

    Raises:
        UserError: it is neither; a folder cannot be read; the zip is damaged or encrypted, or has impossible names.
    """
    return _walked(root, where, skip) if root.is_dir() else _zipped(root, where, skip)


def _walked(root: Path, where: str, skip: Set[str]) -> Tree:
    found: dict[str, tuple[int, ...]] = {}
    odd: dict[str, str] = {}  # paths whose names are not UTF-8; all other paths follow from their names
    seen: set[tuple[int, int]] = set()
    closed: list[OSError] = []
    waiting = deque([root])  # real folders come before linked ones, so that they keep their names
    passed: Counter[str] = Counter()
    while waiting:
        for folder, folders, files in os.walk(waiting.popleft(), onerror=closed.append):
            facts = Path(folder).stat()
            device = facts.st_dev
            if (facts.st_dev, facts.st_ino) in seen:  # also ends loops
                folders.clear()
                passed["links to folders that were already read"] += 1
                continue
            seen.add((facts.st_dev, facts.st_ino))
            if Path(folder) != root and any(marks <= set(files) for marks in OWN):
                folders.clear()
                passed["stores or packs of transferlab"] += 1
                continue
            open_ = [name for name in folders if name not in skip and not is_housekeeping(name.lower())]
            passed["hidden or housekeeping folders"] += len([name for name in folders if name not in skip]) - len(open_)
            folders[:] = open_
            linked = sorted(path for path in (Path(folder, name) for name in folders) if path.is_symlink())
            waiting.extend(path for path in linked if not is_the_systems(path))
            passed["links to what the system makes up"] += sum(map(is_the_systems, linked))
            within = "" if Path(folder) == root else f"{Path(folder).relative_to(root).as_posix()}/"
            for file in files:  # as text: a million Paths would take longer than listing the files
                path = os.path.join(folder, file)  # noqa: PTH118
                try:
                    facts = os.stat(path)  # noqa: PTH116
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ELOOP):  # not a dangling link: the folder is closed
                        closed.append(error)
                        break
                    facts = None
                if facts is None or not stat.S_ISREG(facts.st_mode):  # a dangling link, a device, a pipe
                    passed["dangling links or special files"] += 1
                    continue
                if facts.st_dev != device and is_the_systems(path):
                    passed["links to what the system makes up"] += 1
                    continue
                name = printable(f"{within}{file}")
                found[name] = stamp(facts)
                if name != f"{within}{file}":
                    odd[name] = path
    if closed:
        first = f"{closed[0].filename}: {closed[0].strerror}"
        raise UserError(
            f"{len(closed)} folder{'s' if len(closed) > 1 else ''} cannot be read ({first})", where,
            "make them readable, or move them away",
        )  # fmt: skip
    notes = [f"{n:,} {what} were skipped" for what, n in passed.items() if n]
    return Tree(where, dict(sorted(found.items())), lambda name: content_of(Path(odd.get(name) or root / name)), notes)


def _zipped(path: Path, where: str, skip: Set[str]) -> Tree:
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise UserError(f"this is neither a folder nor a readable zip: {error}", where, "check it") from error
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.endswith("\\")]
    if any(m.flag_bits & 1 for m in members):
        raise UserError("the zip is encrypted", where, "pack it again without a password")
    with_slash = any("/" in m.filename for m in members)
    named = [(_name(m, with_slash=with_slash), m) for m in members]
    outside = [m.filename for name, m in named if name is None]
    members = [m for name, m in named if name is not None]
    names = _unwrapped([name for name, _ in named if name is not None])
    if repeated := len(names) - len(set(names)):
        twice = Counter(names).most_common(1)[0][0]
        raise UserError(f"{repeated} names occur twice in the zip, for example {twice}", where, "pack it again")
    pairs = [pair for pair in zip(names, members, strict=True) if not skip & set(pair[0].split("/")[:-1])]
    by_name = dict(sorted(pairs, key=lambda pair: pair[0]))

    def content(name: str) -> bytes | Unreadable:
        member = by_name[name]
        if member.file_size > MAX_FILE_BYTES:
            return Unreadable(f"file too large ({member.file_size:,} bytes)")
        try:
            return archive.read(member)
        except DAMAGED as error:
            return Unreadable(f"damaged in the zip ({error})")

    notes = [f"{len(outside):,} members that lead outside the zip were skipped ({outside[0]})"] if outside else []
    return Tree(where, {name: (m.file_size, m.CRC) for name, m in by_name.items()}, content, notes)


def _name(member: zipfile.ZipInfo, *, with_slash: bool) -> str | None:
    """A member's name as a path below the zip: UTF-8 even where its flag is missing, "/" between folders.

    Returns:
        None if it has ".." and so may lead outside.
    """
    name = member.orig_filename.partition("\0")[0] or member.filename
    if not member.flag_bits & 0x800:  # zipfile takes it for code page 437
        with contextlib.suppress(UnicodeError):  # then it is in that code page
            name = name.encode("cp437").decode("utf-8")
    if member.create_system == 0 or not with_slash:  # made by Windows, which some programs' backslashes show
        name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return None if ".." in parts or not parts else printable("/".join(parts))


def _unwrapped(names: Sequence[str]) -> list[str]:
    """Names without a single folder around everything: it is not a class."""
    images = [name for name in names if may_be_image(name)]
    tops = {name.split("/")[0] for name in images}
    if len(tops) != 1 or any(name.count("/") < 2 for name in images) or split_in(next(iter(tops))):
        return list(names)
    prefix = f"{tops.pop()}/"
    return [name.removeprefix(prefix) for name in names]
