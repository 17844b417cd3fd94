"""Which split a name states, and where a tree of images states its splits: in folders of one depth, or in file names.

Words: those of the library datasets (its data_files.py), with dev for validation and eval for test, and VOC's trainval.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from transferlab.errors import UserError

WORDS = {
    "train": "train", "training": "train", "trainval": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
# What stands beside such a word without meaning anything: train_images, TestSet.
_FILLERS = frozenset(
    {"set", "data", "dataset", "split", "images", "image", "imgs", "img", "photos", "pictures", "final"}
)
_WORD = re.compile(r"[A-Z]*[a-z]+|[A-Z]+")
_IN_FILE = re.compile(rf"(?:^|/)({'|'.join(WORDS)})[\W_\d][^/\n]*$|[\W_]({'|'.join(WORDS)})[\d_-]*\.\w+$", re.I | re.M)
_STEMS = ("train", "val", "dev", "test", "eval")  # each word has one of them
REMEDY = (
    "name them train, val and test, or add ?splits=FOLDER,FOLDER to take only these as splits, or ?splits=no for none"
)


def words_of(name: str) -> list[str]:
    """The words of a name in lower case, divided at signs, digits and capitals; "trainset" counts as "train", "set"."""
    found = [word.lower() for word in _WORD.findall(name)]
    return [part for word in found for part in _parted(word)]


def _parted(word: str) -> list[str]:
    ends = (word.removesuffix(end) for end in ("set", "data", "images", "imgs") if word.endswith(end))
    return next(([stem, word[len(stem) :]] for stem in ends if stem in WORDS), [word])


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
    name = word.strip().lower()
    if name and name not in WORDS:
        raise UserError(f"there is no split {word!r}", where, "splits are train, val and test")
    return WORDS[name] if name else None


@dataclass(frozen=True)
class Given:
    """The splits that a tree states.

    Args:
        how: where they are stated, for the report; "" if nowhere.
        splits: of each image, in the order given; None for all of them if they are stated nowhere.
        folders: each image's folder without those that state splits.
        left_out: whether an image is outside the folders that were chosen as splits.
        remarks: what looks like a split and is none.
    """

    how: str
    splits: Sequence[str | None]
    folders: Sequence[str]
    left_out: Sequence[bool]
    remarks: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class _Level:
    """The folders at one depth: name to split, and what else is there at this depth."""

    depth: int
    splits: dict[str, str]
    others: list[str]

    @property
    def states_splits(self) -> bool:
        return bool(self.splits) and not self.others

    def __str__(self) -> str:
        shown = [name if name == split else f"{name} ({split})" for name, split in sorted(self.splits.items())]
        return f"by the folder{'s' if len(shown) > 1 else ''} {', '.join(shown)}"


def given(names: Sequence[str], where: str, choice: str = "") -> Given:
    """The splits that files and their folders state.

    A depth at which every image is in a folder named after a split states splits: at the top, below one folder around
    everything, or below the classes. Where no folders do, names of files may, if every file's name begins or ends with a
    split's word.

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
        return _by_level(folders, parts, stating, remarks)
    _must_differ(parts.values(), where, remarks)
    return _by_files(names, folders, remarks)


def _levels(paths: Iterable[list[str]], chosen: Sequence[str]) -> list[_Level]:
    """The depths at which some folder's name states a split, or was chosen."""
    paths = list(paths)
    found: list[_Level] = []
    for depth in range(max(map(len, paths), default=0)):
        here = {path[depth] if len(path) > depth else "" for path in paths}
        if chosen:
            stated = {name: split for name in here & set(chosen) if (split := split_in(name)) is not None}
        else:
            hints = {name: split for name in here if (split := split_in(name)) is not None}
            rests = {tuple(word for word in words_of(name) if word not in WORDS) for name in hints}
            alike = len(rests) == 1 and (len(hints) == len(here) or len(set(hints.values())) > 1)
            stated = hints if alike else {name: split for name, split in hints.items() if is_split(name)}
        if stated:
            found.append(_Level(depth, stated, sorted(here - set(stated))))
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
    """Refuse two splits among other folders; remark one, which may be a class."""
    if not level.splits or not level.others:
        return
    shown = " and ".join(sorted(level.splits)[:3])
    beside = " and ".join(name or "images without such a folder" for name in level.others[:2])
    if len(set(level.splits.values())) > 1:
        raise UserError(f"the folders {shown} look like splits, but {beside} beside them do not", where, REMEDY)
    remarks.append(f"the folder {shown} was taken as a class, not as a split, because of {beside} beside it")


def _must_agree(levels: Sequence[_Level], paths: Iterable[list[str]], where: str) -> None:
    for path in paths:
        stated = {level.splits[path[level.depth]] for level in levels}
        if len(stated) > 1:
            raise UserError(
                f"the folder {'/'.join(path)} states the splits {' and '.join(sorted(stated))}", where, REMEDY
            )


def _must_differ(paths: Iterable[list[str]], where: str, remarks: list[str]) -> None:
    """Refuse top folders that all hold the same classes, which may be parts of one set; remark shared names."""
    below: dict[str, set[str]] = {}
    for path in paths:
        if path:
            below.setdefault(path[0], set()).add("/".join(path[1:]))
    classes = list(below.values())
    if len(classes) < 2:
        return
    tops = sorted(below)
    if len(classes[0]) > 1 and all(held == classes[0] for held in classes):
        raise UserError(
            f"the folders {', '.join(tops[:3])} hold the same {len(classes[0])} classes, for example "
            f"{min(classes[0] - {''})!r}", where,
            "if they are splits, name them train, val and test; if they are parts of one set, join them; if their classes "
            "differ, add ?splits=no",
        )  # fmt: skip
    counts: dict[str, int] = {}
    for held in classes:
        for name in held - {""}:
            counts[name] = counts.get(name, 0) + 1
    if shared := sorted(name for name, n in counts.items() if n > 1):
        remarks.append(
            f"{len(shared)} folder names occur below several others, for example {shared[0]!r}; each counts as a class of its own"
        )


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
        [split is None for _, split in found], remarks,
    )  # fmt: skip


def _by_files(names: Sequence[str], folders: Sequence[str], remarks: list[str]) -> Given:
    """What names of files state: splits if all of them do and some folder has two, else nothing."""
    none: list[str | None] = [None] * len(names)
    everything = [False] * len(names)
    stated: list[str | None] = [None] * len(names)
    kinds: dict[str, set[str]] = {}
    tails = [name[len(folder) :] for name, folder in zip(names, folders, strict=True)]
    text = "\n".join(tails).lower()
    if not any(
        stem in text for stem in _STEMS
    ):  # a million names without such a word take a tenth of a second, not ten
        return Given("", none, folders, everything, remarks)
    for number, (tail, folder) in enumerate(zip(tails, folders, strict=True)):
        if match := _IN_FILE.search(tail):
            split = WORDS[(match[1] or match[2]).lower()]
            stated[number] = split
            kinds.setdefault(folder, set()).add(split)
    if not any(len(found) > 1 for found in kinds.values()):
        return Given("", none, folders, everything, remarks)
    if None not in stated:
        return Given("by a word in each file's name", stated, folders, everything, remarks)
    n = sum(split is not None for split in stated)
    remarks.append(
        f"{n} of {len(names)} file names begin or end with a word such as train or test; they were not taken as splits"
    )
    return Given("", none, folders, everything, remarks)
