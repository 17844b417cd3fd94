"""Opens a folder, or a zip that is read in place, as a tree of files."""

from __future__ import annotations

import contextlib
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.source import Data, Unreadable
from transferlab.images.sources.filetree import Tree, may_be_image
from transferlab.images.sources.listing import MAX_FILE_BYTES, printable
from transferlab.images.sources.split_names import split_in
from transferlab.images.sources.walk import walked
from transferlab.text import number_of

# What zipfile raises on damaged archives; NotImplementedError is for versions and compression methods that it does not know.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, NotImplementedError)


def tree_of(root: Path, where: str, skip: Set[str] = frozenset()) -> Tree:
    """The files of a folder or zip, except those below folders with the names to skip.

    Hidden folders and those of systems and tools, and stores and packs of this program, are left out and counted in the
    tree's notes.

    Raises:
        UserError: it is neither; a folder cannot be read; the zip is damaged or encrypted, or has impossible names.
    """
    return walked(root, where, skip) if root.is_dir() else _unwrapped(_zipped(root, where, skip))


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
    pairs = [(name, m) for name, m in named if name is not None]
    if repeated := len(pairs) - len({name for name, _ in pairs}):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise UserError(f"{repeated} names occur twice in the zip, for example {twice}", where, "pack it again")
    by_name = dict(
        sorted((pair for pair in pairs if not skip & set(pair[0].split("/")[:-1])), key=lambda pair: pair[0])
    )

    def content(name: str) -> bytes | Unreadable:
        member = by_name[name]
        if member.file_size > MAX_FILE_BYTES:
            return Unreadable(f"file too large ({member.file_size:,} bytes)")
        try:
            return archive.read(member)
        except DAMAGED as error:
            return Unreadable(f"damaged in the zip ({error})")

    notes: list[str] = []
    if outside:
        told = number_of(
            len(outside), "member that leads outside the zip was", "members that lead outside the zip were"
        )
        notes.append(f"{told} skipped ({outside[0]})")
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


def _unwrapped(tree: Tree) -> Tree:
    """The files of a tree without a single folder around all images: it is not a class."""
    images = [name for name in tree.files if may_be_image(name)]
    tops = {name.split("/")[0] for name in images}
    if len(tops) != 1 or any(name.count("/") < 2 for name in images) or split_in(next(iter(tops))):
        return tree
    prefix = f"{tops.pop()}/"
    longer = {name.removeprefix(prefix): name for name in tree.files}
    if len(longer) < len(tree.files):  # a file beside the folder has the name of one inside
        return tree
    files = {name: tree.files[long] for name, long in sorted(longer.items())}

    def content(name: str) -> Data:
        return tree.content(longer[name])

    return replace(tree, files=files, content=content)
