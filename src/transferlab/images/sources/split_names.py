"""Which split a name states, and where a tree of images states its splits: in folders of one depth, or in file names.

Words: those of the library datasets (its data_files.py), with dev for validation and eval for test, and VOC's trainval.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from transferlab.errors import UserError
from transferlab.text import number_of

WORDS = {
    "train": "train", "training": "train", "trainval": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
# What stands beside such a word without meaning anything: train_images, TestSet.
_FILLERS = frozenset(
    {"set", "data", "dataset", "split", "images", "image", "imgs", "img", "photos", "pictures", "final"}
)
_LETTERS = re.compile(r"[A-Za-z]+")
_WORD = re.compile(r"[A-Z]*[a-z]+|[A-Z]+")
_STEM = re.compile("train|val|dev|test|eval", re.I)  # each word has one of them
REMEDY = (
    "name them train, val and test, or add ?splits=FOLDER,FOLDER to take only these as splits, or ?splits=no for none"
)


def words_of(name: str) -> list[str]:
    """The words of a name in lower case, divided at signs, digits and capitals; "trainset" counts as "train", "set"."""
    found = [
        word.lower()
        for letters in _LETTERS.findall(name)
        for word in ([letters] if letters.lower() in WORDS else _WORD.findall(letters))
    ]
    return [part for word in found for part in _parted(word)]


def _parted(word: str) -> list[str]:
    ends = (word.removesuffix(end) for end in ("set", "data", "images", "imgs") if word.endswith(end))
    return next(([stem, word[len(stem) :]] for stem in ends if stem in WORDS), [word])


def names_split(name: str) -> bool:
    """Whether one of a name's words is that of a split, as in "train_test_split.txt"."""
    return not WORDS.keys().isdisjoint(words_of(name))


def split_in(name: str) -> str | None:
    """The split that one of a name's words states, as in "imagenet1k-train-0000"; None if none or several do."""
    found = {WORDS[word] for word in words_of(name) if word in WORDS}
    return found.pop() if len(found) == 1 else None


def split_in_path(parts: Sequence[str], where: str) -> str | None:
    """The split that the names of a file and its folders state; None if none of them does.

    Raises:
        UserError: they state several.
    """
    stated = {part: {WORDS[word] for word in words_of(part) if word in WORDS} for part in parts}
    found = set[str]().union(*stated.values())
    if len(found) > 1:
        raise UserError(f"{'/'.join(parts)} states the splits {' and '.join(sorted(found))}", where, "rename it")
    return found.pop() if found else None


def is_split(name: str) -> bool:
    """Whether a name is that of a split and nothing else, such as "Training", "val2017" or "test_images"."""
    rest = [word for word in words_of(name) if word not in _FILLERS]
    return len(rest) == 1 and rest[0] in WORDS


def split_of(word: str, where: str) -> str | None:
    """The split that the cell of a table states, None for an empty one; raises UserError for another word."""
    name = word.strip()
    if name and not is_split(name):
        raise UserError(f"there is no split {word!r}", where, "splits are train, val and test")
    return split_in(name)


@dataclass(frozen=True)
class Given:
    """The splits that a tree states.

    Args:
        how: where they are stated, for the report; "" if nowhere.
        splits: of each image, in the order given; None for all of them if they are stated nowhere.
        folders: each image's folder without those that state splits.
        left_out: whether an image is outside the folders that were chosen as splits.
        remarks: what looks like a split and is none.
        stating: the folders that state splits, with the split of each.
    """

    how: str
    splits: Sequence[str | None]
    folders: Sequence[str]
    left_out: Sequence[bool]
    remarks: list[str] = field(default_factory=list[str])
    stating: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class _Level:
    """The folders at one depth: name to split, what else is there, and all names with a split's word in them."""

    depth: int
    splits: dict[str, str]
    others: list[str]
    hints: dict[str, str]

    @property
    def states_splits(self) -> bool:
        return bool(self.splits) and not self.others

    def __str__(self) -> str:
        shown = [name if name == split else f"{name} ({split})" for name, split in sorted(self.splits.items())]
        return f"by the folder{'s' if len(shown) > 1 else ''} {', '.join(shown)}"


def given(names: Sequence[str], where: str, choice: str = "") -> Given:
    """The splits that files and their folders state.

    A depth at which every image is in a folder named after a split states splits: at the top, below one folder around
    everything, or below the classes. Where no folders do, names of files may, if every file's name has a word of a split.

    Args:
        names: of image files, with "/".
        choice: "" to find out; "no" for no splits; or names of folders, with commas, that alone are splits.

    Raises:
        UserError: folders that look like splits stand among others that do not; two levels contradict each other; a
            folder that was chosen is not there; several folders hold the same classes.
    """
    folders = [name.rpartition("/")[0] for name in names]
    parts = {folder: folder.split("/") if folder else [] for folder in set(folders)}
    if choice == "no":
        return Given("", [None] * len(names), folders, [False] * len(names))
    levels = _levels(parts.values(), choice.split(",") if choice else [])
    if choice:
        return _by_level(folders, parts, _chosen(levels, choice.split(","), where), [])
    remarks: list[str] = []
    for level in levels:
        _must_be_clear(level, where, remarks)
    stating = [level for level in levels if level.states_splits]
    if stating:
        _must_agree(stating, parts.values(), where)
        found = _by_level(folders, parts, stating, remarks)
        taken = ",".join(sorted(stating[0].splits))
        remarks += _must_differ(
            set(found.folders),
            where,
            f"join them, or move the others away; to take all of them as \
they are, add ?splits={taken}",
        )
        return found
    remarks += _must_differ(
        parts, where,
        "if they are splits, name them train, val and test; if they are parts of one set, join them; if their classes "
        "differ, add ?splits=no",
    )  # fmt: skip
    return _by_files(names, folders, remarks)


def _levels(paths: Iterable[list[str]], chosen: Sequence[str]) -> list[_Level]:
    """The depths at which some folder's name states a split, or was chosen."""
    paths = list(paths)
    found: list[_Level] = []
    for depth in range(max(map(len, paths), default=0)):
        here = {path[depth] if len(path) > depth else "" for path in paths}
        hints = {name: split for name in here if (split := split_in(name)) is not None}
        if chosen:
            stated = {name: hints[name] for name in set(hints) & set(chosen)}
        else:
            rests = {tuple(word for word in words_of(name) if word not in WORDS) for name in hints}
            alike = len(rests) == 1 and (len(hints) == len(here) or len(set(hints.values())) > 1)
            stated = hints if alike else {name: split for name, split in hints.items() if is_split(name)}
        if stated or len(set(hints.values())) > 1:
            found.append(_Level(depth, stated, sorted(here - set(stated)), hints))
    return found


def _chosen(levels: Sequence[_Level], names: Sequence[str], where: str) -> list[_Level]:
    """The depths that have all chosen folders; raises UserError if there is none."""
    for name in names:
        if split_in(name) is None:
            raise UserError(f"the name {name!r} in splits= states no split", where, "rename it to train, val or test")
    if found := [level for level in levels if set(names) <= set(level.splits)]:
        return found
    raise UserError(f"there are no folders {' and '.join(names)} at one depth", where, "check the names in splits=")


def _must_be_clear(level: _Level, where: str, remarks: list[str]) -> None:
    """Refuse two splits among other folders, or in the names of all; remark one split, or some names, which may be classes."""
    if not level.others:
        return
    shown = " and ".join(sorted(level.splits)[:3])
    beside = " and ".join(name or "images without such a folder" for name in level.others[:2])
    if len(set(level.splits.values())) > 1:
        raise UserError(f"the folders {shown} look like splits, but {beside} beside them do not", where, REMEDY)
    kinds = set(level.hints.values())
    if len(kinds) > 1 and not set(level.others) - set(level.hints):
        first = sorted(min(name for name, split in level.hints.items() if split == kind) for kind in kinds)
        raise UserError(
            f"the folders {' and '.join(first)} look like splits and classes in one", where,
            "put each class into folders train, val and test, or add ?splits=no to take every folder as a class",
        )  # fmt: skip
    if level.splits:
        remarks.append(f"the folder {shown} was taken as a class, not as a split, because of {beside} beside it")
    else:
        words = " and ".join(sorted(level.hints)[:2])
        remarks.append(
            f"{len(level.hints)} folders, such as {words}, have words of splits in their names; they are classes"
        )


def _must_agree(levels: Sequence[_Level], paths: Iterable[list[str]], where: str) -> None:
    for path in paths:
        stated = {level.splits[path[level.depth]] for level in levels}
        if len(stated) > 1:
            raise UserError(
                f"the folder {'/'.join(path)} states the splits {' and '.join(sorted(stated))}", where, REMEDY
            )


def _must_differ(folders: Iterable[str], where: str, remedy: str) -> list[str]:
    """Remarks on class folders of one name; refuses folders that all hold the same classes, which may be parts of one set."""
    classes = {folder for folder in folders if folder}
    paths = [folder.split("/") for folder in classes] or [[""]]
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(min(paths), max(paths), strict=False))
    around = "/".join(part for part, _ in same)  # folders around everything
    within = len(around) + 1 if around and around not in classes else 0
    tops: dict[str, set[str]] = {}
    parents: dict[str, set[str]] = {}
    places: dict[str, list[str]] = {}
    for name in sorted(classes):
        top, _, below = name[within:].partition("/")
        parent, _, last = name.rpartition("/")
        tops.setdefault(name[:within] + top, set()).add(below)
        parents.setdefault(parent, set()).add(last)
        places.setdefault(last, []).append(name)
    for held in (tops, parents):
        first = next(iter(held.values()), set[str]())
        if len(held) > 1 and len(first) > 1 and all(each == first for each in held.values()):
            shown = ", ".join(name or "at the top" for name in sorted(held)[:3])
            raise UserError(
                f"the folders {shown} hold the same {len(first)} classes, for example {min(first - {''})!r}",
                where,
                remedy,
            )
    shared = {last: names for last, names in places.items() if len(names) > 1}
    notes = _within(classes)
    if shared:
        last, names = min(shared.items())
        notes.append(
            f"{len(shared)} folder names occur below several others, for example {last!r} ({names[0]} and {names[1]}); "
            "each counts as a class of its own"
        )
    return notes


def _within(classes: Set[str]) -> list[str]:
    """A remark if images lie beside folders of classes, which is how unlabelled images are often kept."""
    above = {name[: match.start()] for name in classes for match in re.finditer("/", name)} & classes
    if not above:
        return []
    return [f"images lie beside the class folders in {min(above)!r}; this folder counts as a class of its own"]


def _by_level(
    folders: Sequence[str], parts: dict[str, list[str]], levels: Sequence[_Level], remarks: list[str]
) -> Given:
    """What folders of these depths, which agree with each other, state."""
    first, at = levels[0], {level.depth: level.splits for level in levels}
    above = {tuple(path[: first.depth]) for path in parts.values()}
    around = first.depth if len(above) == 1 else 0  # folders around everything are no classes
    of_folder: dict[str, tuple[str, str | None]] = {}
    for folder, path in parts.items():
        rest = "/".join(part for depth, part in enumerate(path) if depth >= around and part not in at.get(depth, ()))
        of_folder[folder] = rest, first.splits.get(path[first.depth]) if len(path) > first.depth else None
    found = [of_folder[folder] for folder in folders]
    return Given(
        str(first), [split for _, split in found], [folder for folder, _ in found],
        [split is None for _, split in found], remarks, first.splits,
    )  # fmt: skip


def _by_files(names: Sequence[str], folders: Sequence[str], remarks: list[str]) -> Given:
    """What names of files state: splits if all of them do and some folder has two, else nothing."""
    everything = [False] * len(names)
    stated = [_of_file(name[len(folder) :]) for name, folder in zip(names, folders, strict=True)]
    kinds: dict[str, set[str]] = {}
    for split, folder in zip(stated, folders, strict=True):
        if split is not None:
            kinds.setdefault(folder, set()).add(split)
    n, all_kinds = len(stated) - stated.count(None), sorted(set[str]().union(*kinds.values()))
    if n == len(names) and any(len(found) > 1 for found in kinds.values()):
        return Given("by a word in each file's name", stated, folders, everything, remarks)
    if n == len(names) and len(all_kinds) > 1:
        remarks.append(f"file names have words of the splits {' and '.join(all_kinds)}, but each folder has one of them only; they "
                       "were not taken as splits")  # fmt: skip
    elif 0 < n < len(names):
        remarks.append(f"{n:,} of {number_of(len(names), 'file name')} have a word such as {all_kinds[0]}; they were not taken as "
                       "splits")  # fmt: skip
    return Given("", [None] * len(names), folders, everything, remarks)


def _of_file(tail: str) -> str | None:
    """The split that a file's name states; most names of a million have no such word, and are not looked at closely."""
    return split_in(os.path.splitext(tail)[0]) if _STEM.search(tail) else None  # noqa: PTH122
