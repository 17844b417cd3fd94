"""Lists the files below a folder; nothing is passed over uncounted."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, deque
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.bounded import is_the_systems
from transferlab.images.sources.filetree import Tree, is_housekeeping
from transferlab.images.sources.listing import content_of, printable, stamp
from transferlab.text import number_of

OWN = ({"lab.json"}, {"manifest.json", "images.u8"})  # files that mark a store and a pack of ours
# What is passed over, in the singular and plural.
SEEN = "link to a folder that was already read", "links to folders that were already read"
OURS = "store or pack of transferlab", "stores or packs of transferlab"
EMPTY = "empty folder", "empty folders"
UNUSED = "folder that this format does not use", "folders that this format does not use"
HIDDEN = "hidden or housekeeping folder", "hidden or housekeeping folders"
SYSTEMS = "link to what the system makes up", "links to what the system makes up"
SPECIAL = "dangling link or special file", "dangling links or special files"
_DANGLING = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)  # of a link; any other error is of its folder


def walked(root: Path, where: str, skip: Set[str]) -> Tree:
    """The files of a folder, except those below folders with the names to skip; links are followed.

    Raises:
        UserError: a folder cannot be read.
    """
    walk = _Walk(root, skip)
    while walk.waiting:
        for folder, folders, files in os.walk(walk.waiting.popleft(), onerror=walk.closed.append):
            if walk.enters(folder, folders, files):
                walk.look_at(folder, folders, files)
    if walk.closed:
        first = f"{walk.closed[0].filename}: {walk.closed[0].strerror}"
        raise UserError(
            f"{number_of(len(walk.closed), 'folder')} cannot be read ({first})", where, "make them readable, or move them away"
        )  # fmt: skip
    notes = [
        f"{number_of(n, f'{one} was', f'{several} were')} skipped" for (one, several), n in walk.passed.items() if n
    ]
    odd = walk.odd
    return Tree(
        where, dict(sorted(walk.found.items())), lambda name: content_of(Path(odd.get(name) or root / name)), notes
    )


@dataclass(eq=False)
class _Walk:
    """The state of a walk.

    Args:
        waiting: folders to begin at: the root, then linked ones, so that real folders keep their names.
        found: name to size and times. odd: paths whose names are not UTF-8; all other paths follow from their names.
        passed: numbers of what is passed over. closed: errors of folders that cannot be read.
    """

    root: Path
    skip: Set[str]
    waiting: deque[Path] = field(default_factory=deque[Path])
    found: dict[str, tuple[int, ...]] = field(default_factory=dict[str, "tuple[int, ...]"])
    odd: dict[str, str] = field(default_factory=dict[str, str])
    passed: Counter[tuple[str, str]] = field(default_factory=Counter["tuple[str, str]"])
    closed: list[OSError] = field(default_factory=list[OSError])
    _seen: set[tuple[int, int]] = field(default_factory=set["tuple[int, int]"])
    _device: int = 0

    def __post_init__(self) -> None:
        self.waiting.append(self.root)

    def enters(self, folder: str, folders: list[str], files: list[str]) -> bool:
        """Whether a folder is looked at; if not, neither are those below it."""
        facts = Path(folder).stat()
        self._device, at = facts.st_dev, (facts.st_dev, facts.st_ino)
        reason = SEEN if at in self._seen else None  # also ends loops
        if reason is None and Path(folder) != self.root and any(marks <= set(files) for marks in OWN):
            reason = OURS
        self._seen.add(at)
        if reason is not None:
            folders.clear()
            self.passed[reason] += 1
        return reason is None

    def look_at(self, folder: str, folders: list[str], files: list[str]) -> None:
        """Keep the folders to go into, and the files."""
        self.passed[EMPTY] += not folders and not files
        used = [name for name in folders if name not in self.skip]
        self.passed[UNUSED] += len(folders) - len(used)
        folders[:] = [name for name in used if not is_housekeeping(name.lower())]
        self.passed[HIDDEN] += len(used) - len(folders)
        for path in sorted(path for path in (Path(folder, name) for name in folders) if path.is_symlink()):
            if is_the_systems(path):
                self.passed[SYSTEMS] += 1
            else:
                self.waiting.append(path)
        within = "" if Path(folder) == self.root else f"{Path(folder).relative_to(self.root).as_posix()}/"
        for file in files:
            # As text: a million Paths would take longer than listing the files.
            if not self._keeps(os.path.join(folder, file), f"{within}{file}"):  # noqa: PTH118
                break

    def _keeps(self, path: str, given: str) -> bool:
        """Keep a file or count why not; returns whether the folder can be read."""
        try:
            facts = os.stat(path)  # noqa: PTH116
        except OSError as error:
            if error.errno not in _DANGLING:
                self.closed.append(error)
                return False
            facts = None
        if facts is None or not stat.S_ISREG(facts.st_mode):
            self.passed[SPECIAL] += 1
        elif facts.st_dev != self._device and is_the_systems(path):
            self.passed[SYSTEMS] += 1
        else:
            name = printable(given)
            self.found[name] = stamp(facts)
            if name != given:
                self.odd[name] = path
        return True
