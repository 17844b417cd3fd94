from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.pack import write_pack
from transferlab.images.source import Box, Objects, Source
from transferlab.images.sources.held_out import is_held_out
from transferlab.images.sources.wds import FORMAT

Png = Callable[..., bytes]
Members = list[tuple[str, bytes]]


def shard(path: Path, members: Members, links: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for info in links:
            tar.addfile(info)
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def pairs(png: Png, *labels: str) -> Members:
    return [m for i, label in enumerate(labels) for m in ((f"k{i}.png", png(i)), (f"k{i}.cls", label.encode()))]


def facts(source: Source) -> list[tuple[str, object, str | None]]:
    return [(item.key, item.label, item.split) for item in source.items()]


def test_shards_are_read_in_place_with_the_split_of_their_names(tmp_path: Path, png: Png) -> None:
    shard(tmp_path / "train-000.tar.gz", pairs(png, "cat", "dog"))
    shard(tmp_path / "val_0.tar", pairs(png, "dog"))
    shard(tmp_path / "test.tgz", pairs(png, "cat"))
    (tmp_path / "words.txt").write_text("not a shard")
    source = FORMAT.open(str(tmp_path), {})
    assert list(source.classes) == ["cat", "dog"] and source.classes[0] == "cat"
    assert facts(source) == [
        ("test/k0", "cat", "test"), ("train-000/k0", "cat", "train"), ("train-000/k1", "dog", "train"),
        ("val_0/k0", "dog", "val"),
    ]  # fmt: skip
    assert [item.data for item in source.items()][2] == png(1)
    assert sorted(os.listdir(tmp_path)) == ["test.tgz", "train-000.tar.gz", "val_0.tar", "words.txt"]


def test_folders_of_shards_are_splits_and_what_is_hidden_is_not_read(tmp_path: Path, png: Png) -> None:
    shard(tmp_path / "Training" / "000.tar", pairs(png, "cat", "dog"))
    shard(tmp_path / "eval" / "000.tar", pairs(png, "dog"))
    shard(tmp_path / "eval" / "._000.tar", [("a.png", png(0))])
    source = FORMAT.open(str(tmp_path), {})
    assert facts(source) == [
        ("Training/000/k0", "cat", "train"), ("Training/000/k1", "dog", "train"), ("eval/000/k0", "dog", "test")
    ]  # fmt: skip
    shard(tmp_path / "eval" / "train-1.tar", pairs(png, "cat"))
    with pytest.raises(UserError, match=r"eval/train-1\.tar states the splits test and train"):
        FORMAT.open(str(tmp_path), {})


def test_several_images_of_one_key_are_refused(tmp_path: Path, png: Png) -> None:
    shard(tmp_path / "a.tar", [("k0.left.png", png(0)), ("k0.right.png", png(1)), ("k0.cls", b"cat")])
    with pytest.raises(UserError, match="'k0' has several images"):
        list(FORMAT.open(str(tmp_path / "a.tar"), {}).items())


def test_a_single_shard_of_another_name_has_no_split(tmp_path: Path, png: Png) -> None:
    assert facts(FORMAT.open(str(shard(tmp_path / "trains.tar", pairs(png, "a", "b"))), {}))[0] == (
        "trains/k0",
        "a",
        None,
    )


def test_the_label_may_come_before_the_image_and_other_members_between(tmp_path: Path, png: Png) -> None:
    members = [("a.cls", b" cat\n"), ("a.json", b"{}"), ("a.PNG", png()), ("b.jpg", png(1)), ("b.cls", b"dog")]
    assert [f[1] for f in facts(FORMAT.open(str(shard(tmp_path / "x.tar", members)), {}))] == ["cat", "dog"]


def test_keys_may_hold_dots_folders_and_hostile_parts(tmp_path: Path, png: Png) -> None:
    keys = ["v1.2/a.b", "../../etc/passwd", "/absolute/c", "caf\u00e9", "x" * 300]
    members = [m for key in keys for m in ((f"{key}.png", png()), (f"{key}.cls", b"cat"))]
    found = facts(FORMAT.open(str(shard(tmp_path / "s.tar", members)), {}))
    assert [key for key, _, _ in found] == [f"s/{key}" for key in keys]
    assert os.listdir(tmp_path) == ["s.tar"]


def test_links_and_devices_are_passed_over(tmp_path: Path, png: Png) -> None:
    odd: list[tarfile.TarInfo] = []
    for name, kind in (("l.png", tarfile.SYMTYPE), ("h.png", tarfile.LNKTYPE), ("d.png", tarfile.CHRTYPE),
                       ("f.png", tarfile.FIFOTYPE), ("dir.png", tarfile.DIRTYPE)):  # fmt: skip
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        odd.append(info)
    found = facts(FORMAT.open(str(shard(tmp_path / "s.tar", pairs(png, "cat", "dog"), tuple(odd))), {}))
    assert [key for key, _, _ in found] == ["s/k0", "s/k1"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda png: [("a.png", png()), ("b.cls", b"cat")], "'a' is not an image with its label"),
        (lambda png: [("a.png", png())], "'a' is not an image with its label"),
        (lambda png: [("a.cls", b"cat"), ("b.cls", b"cat"), ("b.png", png())], "'a' is not an image with its label"),
        (lambda png: [("a.png", png()), ("b.png", png()), ("b.cls", b"cat")], "'a' is not an image with its label"),
        (lambda png: pairs(png, "cat") + pairs(png, "cat"), "'k0' occurs twice"),
        (lambda png: [("a.png", png()), ("a.cls", b" ")], "label of 'a' is empty"),
        (lambda png: [("a.png", png()), ("a.cls", b"\xff\xfe")], "not UTF-8"),
        (lambda png: [("a.png", png()), ("a.cls", b"x" * 5000)], "claims 5,000 bytes"),
    ],
)  # fmt: skip
def test_shards_that_are_not_pairs_are_told(
    make: Callable[[Png], Members], message: str, tmp_path: Path, png: Png
) -> None:
    with pytest.raises(UserError, match=message):
        facts(FORMAT.open(str(shard(tmp_path / "s.tar", make(png))), {}))


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz"])
@pytest.mark.parametrize("share", [0.2, 0.55, 0.9])
def test_a_shard_that_is_cut_short_is_named(name: str, share: float, tmp_path: Path, png: Png) -> None:
    members = [m for i in range(40) for m in ((f"{i}.png", png(i, (64, 64), noise=True)), (f"{i}.cls", b"cat"))]
    path = shard(tmp_path / name, members)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"cannot be read to its end|is not an image with its label"):
        facts(FORMAT.open(str(path), {}))


def test_what_is_no_tar_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tar shards here"):
        FORMAT.open(str(tmp_path), {})
    (tmp_path / "train-0.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(UserError, match="cannot be read to its end"):
        list(FORMAT.open(str(tmp_path), {}).classes)


def test_the_fingerprint_needs_no_pass_over_the_shards(tmp_path: Path) -> None:
    (tmp_path / "train-0.tar").write_bytes(b"no tar at all")
    first = FORMAT.open(str(tmp_path), {}).fingerprint
    os.utime(tmp_path / "train-0.tar", ns=(1, 1))
    assert FORMAT.open(str(tmp_path), {}).fingerprint != first


def test_integer_labels_become_wnids_by_a_class_list(tmp_path: Path, png: Png) -> None:
    shard(tmp_path / "imagenet1k-train-0000.tar", pairs(png, "0", "999"))
    shard(tmp_path / "imagenet1k-validation-00.tar", pairs(png, "1"))
    source = FORMAT.open(str(tmp_path), {"classes": "imagenet-1k"})
    assert [(label, split) for _, label, split in facts(source)] == [
        ("n01440764", "train"), ("n15075141", "train"), ("n01443537", "val")
    ]  # fmt: skip
    assert list(source.classes) == ["n01440764", "n01443537", "n15075141"]
    assert source.fingerprint != FORMAT.open(str(tmp_path), {}).fingerprint
    for label in ("1000", "-1", "cat"):
        shard(tmp_path / "imagenet1k-train-0000.tar", pairs(png, label))
        with pytest.raises(UserError, match=rf"the label '{label}' is not an index .*train-0000.tar.*0 to 999"):
            facts(FORMAT.open(str(tmp_path), {"classes": "imagenet-1k"}))
    with pytest.raises(UserError, match="classes=imagenet-21k is not valid.*choose imagenet-1k"):
        FORMAT.open(str(tmp_path), {"classes": "imagenet-21k"})


TABLE = "key,x0,y0,x1,y1\nk0,0,0,7,3\nk1,4,4,4,7\nk2,0,0,15,15\nk3,2,2,5,5\n"


def test_a_table_of_boxes_makes_shards_a_target_for_localisation(tmp_path: Path, png: Png) -> None:
    for split in ("train", "val"):
        shard(tmp_path / "set" / f"{split}-0.tar", pairs(png, "cat", "dog", "dog", "emu"))
    (tmp_path / "boxes.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    options = {"boxes": str(tmp_path / "boxes.csv.gz"), "boxes_px": "16", "only": "cat,dog"}
    source = FORMAT.open(str(tmp_path / "set"), options)
    assert tuple(source.classes) == ("cat", "dog") and source.metric == "mAP"
    assert source.notes == ("1 image is left out because its box has no area",)
    items = list(source.items())
    assert [(item.key, item.split) for item in items] == [
        ("train-0/k0", "train"), ("train-0/k2", "train"), ("val-0/k0", "test"), ("val-0/k2", "test")
    ]  # fmt: skip
    assert items[0].objects == Objects((16, 16), (Box("cat", 0, 0, 8, 4),), reduced=True)
    pack = write_pack(source, tmp_path / "pack", 8, skip_bad=False, progress=lambda *_: None, workers=1)
    assert pack.boxes is not None  # images of 8 px, boxes in 16
    assert pack.boxes.boxes[0].tolist() == [0, 0, 4, 2] and pack.boxes.original_sizes[0].tolist() == [16, 16]
    assert tuple(FORMAT.open(str(tmp_path / "set"), {"only": "kept"}).classes) == tuple(
        name for name in ("cat", "dog", "emu") if not is_held_out(name)
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("key,x,y\n", "boxes.csv has the columns key,x,y"),
        ("key,x0,y0,x1,y1\nk0,1,2,3\n", "line 2 of .*boxes.csv is 'k0,1,2,3'"),
        ("key,x0,y0,x1,y1\nk0,1,2,3,x\n", "line 2 of .*boxes.csv is 'k0,1,2,3,x'"),
        ("key,x0,y0,x1,y1\nk0,1,2,3,4\nk0,1,2,3,4\n", "line 3 of .*boxes.csv gives k0 a second box"),
        ("", "boxes.csv cannot be read"),
        (b"\x1f\x8b broken", "boxes.csv cannot be read"),
        (b"\xff\xfe", "boxes.csv cannot be read"),
    ],
)
def test_a_table_that_does_not_fit_is_named(table: bytes | str, message: str, tmp_path: Path, png: Png) -> None:
    shard(tmp_path / "set.tar", pairs(png, "cat", "dog"))
    (tmp_path / "boxes.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(tmp_path / "set.tar"), {"boxes": str(tmp_path / "boxes.csv")})


def test_an_image_that_the_table_leaves_out_is_named(tmp_path: Path, png: Png) -> None:
    shard(tmp_path / "set.tar", pairs(png, "cat", "dog", "dog"))
    (tmp_path / "boxes.csv").write_text("key,x0,y0,x1,y1\nk0,0,0,7,3\nk1,0,0,3,3\n")
    source = FORMAT.open(str(tmp_path / "set.tar"), {"boxes": str(tmp_path / "boxes.csv")})
    with pytest.raises(UserError, match=r"set/k2: without a box \(the table has no row for k2\)"):
        write_pack(source, tmp_path / "pack", 8, skip_bad=False, progress=lambda *_: None, workers=1)
    with pytest.raises(UserError, match="boxes_px=0 is not valid"):
        FORMAT.open(str(tmp_path / "set.tar"), {"boxes": str(tmp_path / "boxes.csv"), "boxes_px": "0"})


def test_files_beside_the_shards_are_told_and_capitals_do_not_matter(tmp_path: Path, png: Png) -> None:
    shard(tmp_path / "TRAIN-0.TAR", pairs(png, "cat", "dog"))
    shard(tmp_path / "val-0.tar", pairs(png, "cat"))
    for name in ("classnames.txt", ".cache/a.tar", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    source = FORMAT.open(str(tmp_path), {})
    assert facts(source) == [("TRAIN-0/k0", "cat", "train"), ("TRAIN-0/k1", "dog", "train"), ("val-0/k0", "cat", "val")]
    assert source.notes == [
        "1 hidden or housekeeping folder was skipped",
        "1 file that is not a shard was skipped, for example classnames.txt",
    ]


def test_shards_that_cannot_be_read_are_never_passed_over(tmp_path: Path, png: Png) -> None:
    shard(tmp_path / "train-0.tar", pairs(png, "cat", "dog"))
    (tmp_path / "test-0.tar.bz2").write_bytes(b"BZh")
    with pytest.raises(UserError, match=r"1 shard is compressed .* for example test-0.tar.bz2"):
        FORMAT.open(str(tmp_path), {})
    (tmp_path / "test-0.tar.bz2").unlink()
    shard(tmp_path / "test-0.tar", [])
    with pytest.raises(UserError, match="the shard holds no images"):
        list(FORMAT.open(str(tmp_path), {}).items())


def test_members_and_boxes_that_are_not_used_are_counted_once_the_shards_are_read(tmp_path: Path, png: Png) -> None:
    extra = [("k0.json", b"{}"), ("k1.json", b"{}"), ("README", b"x"), ("._k0.png", b"x")]
    shard(tmp_path / "set.tar", [*pairs(png, "cat", "dog"), *extra])
    (tmp_path / "boxes.csv").write_text("key,x0,y0,x1,y1\nk0,0,0,7,3\nk1,0,0,3,3\nk8,0,0,3,3\nk9,0,0,3,3\n")
    members = "4 members that are neither images nor labels were skipped (2 .json, 1 without a suffix, 1 hidden)"
    for options, notes in (({}, []), ({"boxes": str(tmp_path / "boxes.csv")}, ["k8"])):
        source = FORMAT.open(str(tmp_path / "set.tar"), options)
        for _ in range(2):  # a second pass counts anew
            assert len(list(source.items())) == 2
        boxes = [f"2 boxes belong to no image that is used, for example that of {key}" for key in notes]
        assert source.late_notes == [members, *boxes]
        pack = write_pack(
            source, tmp_path / f"pack{len(notes)}", 8, skip_bad=False, progress=lambda *_: None, workers=1
        )
        assert {members, *boxes} <= {*pack.notes["source"]}  # pyright: ignore[reportGeneralTypeIssues]
