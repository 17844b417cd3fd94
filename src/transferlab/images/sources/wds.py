"""``wds:PATH``: tar shards in WebDataset style, read in place: consecutive members ``KEY.jpg`` and ``KEY.cls``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from transferlab.definitions import Parameter
from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Format, Request, Text
from transferlab.images.source import Item, LateClasses, Source
from transferlab.images.sources import tarstream
from transferlab.images.sources.box_table import has_area, located, note_on_area, note_on_surplus, read_tables
from transferlab.images.sources.filetree import visible
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.held_out import ONLY, chosen, restricted
from transferlab.images.sources.listing import IMAGE_SUFFIXES, MAX_FILE_BYTES, fingerprint
from transferlab.images.sources.split_names import split_in_path
from transferlab.images.sources.wnids import CLASSES, imagenet1k_wnids, named
from transferlab.text import number_of

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
OTHER_ARCHIVES = (".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4")
MAX_LABEL_BYTES = 4096
_WANTED = IMAGE_SUFFIXES | {".cls"}


def read(request: Request) -> Source:
    """Labels are UTF-8 text; with ``classes=imagenet-1k`` they are indices of ImageNet-1k's wnids in their usual order.

    A word of a shard's name, or of its folder's, gives its split: ``train-000.tar.gz`` and ``imagenet1k-train-0000.tar`` are for training.
    Members are read one after another and never extracted; links and devices are skipped, other files counted. With
    ``boxes`` the source is for localisation.

    Raises:
        UserError: no shards; a damaged shard, an image without a label or the reverse, a repeated key; a label that is
            not an index of the class list, a table of boxes that cannot be read.
    """
    root, where, only = request.path, request.where, request.options.get("only", "")
    names = imagenet1k_wnids() if "classes" in request.options else None
    shards, notes = _shards(root)
    settled = partial(restricted, only=only, where=where)
    classes = LateClasses(
        lambda: settled({named(label, names, str(shard)) for shard in shards for label in _labels(shard)})
    )
    stamp = fingerprint(shards, root if root.is_dir() else root.parent)
    late: list[str] = []
    plain = Source(
        name=root.name.split(".")[0],
        classes=classes,
        fingerprint=digest("wds", stamp, *(names or ()), *([only] if only else [])),
        has_wnids=names is not None,
        items=partial(_items, root, shards, names, chosen(only), lambda labels: classes.found(settled(labels)), late),
        notes=notes,
        late_notes=late,
        stated="by the names of shards and folders" if any(_split(shard, root) for shard in shards) else "",
    )
    splits = {_split(shard, root) for shard in shards}
    return _with_boxes(plain, request, splits) if "boxes" in request.options else plain


def _with_boxes(plain: Source, request: Request, splits: Set[str | None]) -> Source:
    """The images of a source with their boxes; val is the test split if there is no other."""
    boxes = read_tables(request.options["boxes"], request.where)
    side = int(request.options.get("boxes_px", 0))
    size = (side, side) if side else None
    late: list[str] = []
    as_test = "test" not in splits and "val" in splits

    def items() -> Iterator[Item]:
        used: set[str] = set()
        for item in plain.items():
            key = item.key.partition("/")[2]
            used.add(key)
            if key not in boxes or has_area(boxes[key]):
                split = "test" if as_test and item.split == "val" else item.split
                yield replace(located(item, boxes.get(key), size, key), split=split)
        late[:] = [*plain.late_notes, *note_on_surplus(boxes, used)]

    return replace(
        plain, name=f"{plain.name}-localisation", items=items, late_notes=late, multi_label=True, metric="mAP",
        fingerprint=digest(plain.fingerprint, list(boxes.items()), size), notes=(*plain.notes, *note_on_area(boxes.values())),
    )  # fmt: skip


def _shards(root: Path) -> tuple[list[Path], list[str]]:
    """The shards of a folder, and notes on what else is there."""
    if root.is_file():
        return [root], []
    tree = tree_of(root, f"wds:{root}")
    names = [name for name in tree.files if visible(name)]
    shards = [name for name in names if name.lower().endswith(SHARD_SUFFIXES)]
    if packed := [name for name in names if name.lower().endswith(OTHER_ARCHIVES)]:
        raise UserError(
            f"{number_of(len(packed), 'shard is', 'shards are')} compressed in a way that is not read, for example {packed[0]}", str(root),
            f"save them as {', '.join(SHARD_SUFFIXES)}, or move them away",
        )  # fmt: skip
    if not shards:
        raise UserError("there are no tar shards here", str(root), f"shards end in {', '.join(SHARD_SUFFIXES)}")
    others = sorted(set(names) - set(shards))
    notes = (
        [
            f"{number_of(len(others), 'file that is not a shard was', 'files that are not shards were')} skipped, for example {others[0]}"
        ]
        if others
        else []
    )
    return [root / name for name in shards], [*tree.notes, *notes]


def _items(
    root: Path, shards: list[Path], names: tuple[str, ...] | None, keeps: Callable[[str], bool],
    found: Callable[[Set[str]], None], late: list[str],
) -> Iterator[Item]:  # fmt: skip
    labels: set[str] = set()
    others: Counter[str] = Counter()
    for shard in shards:
        split = _split(shard, root)
        stem = _stem(shard, root)
        seen: set[str] = set()
        for key, image, label in _pairs(shard, others):
            if key in seen:
                raise UserError(f"the key {key!r} occurs twice", str(shard), "give every image a key of its own")
            seen.add(key)
            label = named(label, names, str(shard))
            if not keeps(label):
                continue
            labels.add(label)
            yield Item(f"{stem}/{key}", image, label, split)
        if not seen:
            raise UserError("the shard holds no images", str(shard), "get it again, or move it away")
    found(labels)  # saves another pass over the shards
    late[:] = _note_on_members(others)


def _pairs(shard: Path, others: Counter[str]) -> Iterator[tuple[str, bytes, str]]:
    """Key, image and label of each pair of members; counts the others by suffix."""
    image: tuple[str, bytes] | None = None
    label: tuple[str, str] | None = None
    for key, suffix, content in _members(shard, _WANTED, others):
        if suffix == ".cls":
            _must_be_new(label, image, shard)
            label = key, _text(content, shard, key)
        else:
            if image is not None and image[0].partition(".")[0] == key.partition(".")[0]:
                raise UserError(
                    f"{key.partition('.')[0]!r} has several images",
                    str(shard),
                    "keep one image and its .cls for each key",
                )
            _must_be_new(image, label, shard)
            image = key, content
        if image and label:
            if image[0] != label[0]:
                raise _unpaired(image[0], shard)
            yield key, image[1], label[1]
            image = label = None
    for leftover in (image, label):
        if leftover:
            raise _unpaired(leftover[0], shard)


def _note_on_members(others: Counter[str]) -> list[str]:
    """A note on the members that are neither images nor labels, with their number and types."""
    if not others:
        return []
    types = ", ".join(f"{n:,} {suffix or 'without a suffix'}" for suffix, n in others.most_common(5))
    one, several = "member that is neither an image nor a label was", "members that are neither images nor labels were"
    return [f"{number_of(others.total(), one, several)} skipped ({types})"]


def _labels(shard: Path) -> Iterator[str]:
    for key, _, content in _members(shard, {".cls"}, Counter()):
        yield _text(content, shard, key)


def _members(shard: Path, suffixes: Set[str], others: Counter[str]) -> Iterator[tuple[str, str, bytes]]:
    """Key, suffix and content of each member with one of these suffixes, in order; counts the others by suffix."""

    def wanted(name: str, size: int) -> bool:
        suffix = _key_and_suffix(name)[1]
        if suffix not in suffixes:
            others[suffix if visible(name) else "hidden"] += 1
            return False
        limit = MAX_LABEL_BYTES if suffix == ".cls" else MAX_FILE_BYTES
        if size > limit:
            raise UserError(f"the member {name!r} claims {size:,} bytes", str(shard), f"keep below {limit:,}")
        return True

    try:
        for name, content in tarstream.files(shard, wanted):
            yield *_key_and_suffix(name), content
    except tarstream.DAMAGED as error:
        raise UserError(f"the shard cannot be read to its end: {error}", str(shard), "copy it again") from error


def _key_and_suffix(name: str) -> tuple[str, str]:
    """The two parts of a member's name, the suffix in lower case; a hidden member has no suffix."""
    dot = name.rfind(".")
    if "/" not in name and 0 < dot < len(name) - 1:  # as PurePosixPath does, in a tenth of the time
        key, suffix = name[:dot], name[dot:]
    else:
        path = PurePosixPath(name)
        key, suffix = str(path.with_suffix("")) if path.name else "", path.suffix
        name = path.name
    return key, "" if name.startswith(".") else suffix.lower()


def _text(content: bytes, shard: Path, key: str) -> str:
    try:
        label = content.decode().strip()
    except UnicodeDecodeError as error:
        raise UserError(f"the label of {key!r} is not UTF-8 text", str(shard), "write the class's name") from error
    if not label:
        raise UserError(f"the label of {key!r} is empty", str(shard), "write the class's name")
    return label


def _must_be_new(one: tuple[str, object] | None, other: tuple[str, object] | None, shard: Path) -> None:
    if one and not other:
        raise _unpaired(one[0], shard)


def _unpaired(key: str, shard: Path) -> UserError:
    return UserError(
        f"{key!r} is not an image with its label", str(shard), "put KEY.cls directly before or after the image"
    )


def _below(shard: Path, root: Path) -> str:
    return shard.relative_to(root).as_posix() if root != shard else shard.name


def _stem(shard: Path, root: Path) -> str:
    name = _below(shard, root)
    return next((name[: -len(s)] for s in reversed(SHARD_SUFFIXES) if name.lower().endswith(s)), name)


def _split(shard: Path, root: Path) -> str | None:
    return split_in_path(_below(shard, root).split("/"), f"wds:{root}")


FORMAT = Format(
    name="wds", title="WebDataset shards", explained="tar files of images, each beside a .cls file with its label",
    path="a shard, or a folder of shards", tasks=("classes", "detection"), read=read,
    parameters={"classes": CLASSES, "only": ONLY,
                "boxes": Text(means="tables of one box per image, with commas between their names"),
                "boxes_px": Parameter(means="side in pixels of the square images that the boxes were drawn on, if those "
                                      "here are smaller copies", whole=True, low=1)},
)  # fmt: skip
