from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.images.source import Source, Unreadable, at_hand
from transferlab.images.sources.filetree import is_housekeeping
from transferlab.images.sources.imagefolder import FORMAT

Png = Callable[..., bytes]


def tree(root: Path, png: Png, *names: str) -> Path:
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    return root


def facts(source: Source) -> list[tuple[str, object, str | None]]:
    return [(item.key, item.label, item.split) for item in source.items()]


def test_folders_are_classes(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "dog/1.png", "cat/2.JPG", "cat/deep sea.webp")), {})
    assert source.classes == ("cat", "dog") and source.n_images == 3
    assert facts(source) == [("cat/2.JPG", "cat", None), ("cat/deep sea.webp", "cat", None), ("dog/1.png", "dog", None)]
    assert at_hand(next(iter(source.items())).data) == png(1)


def test_nested_folders_are_the_taxonomy_and_one_name_may_occur_twice(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "animal/bat/1.png", "sports/bat/1.png", "sports/ball/1.png")), {})
    assert source.classes == ("animal/bat", "sports/ball", "sports/bat")
    assert source.taxonomy is not None and source.taxonomy.leaves_under("sports") == ("sports/ball", "sports/bat")


LAYOUTS = {
    "at the top": ("Training/cat/1", "training/dog/2", "Testing/cat/3"),
    "below the class": ("cat/train/1", "dog/Train/2", "cat/test/3"),
    "below one folder": ("images/train/cat/1", "images/train/dog/2", "images/TEST/cat/3"),
    "with more in their names": ("seg_train/cat/1", "seg_train/dog/2", "seg_test/cat/3"),
    "twice": ("seg_train/seg_train/cat/1", "seg_train/seg_train/dog/2", "seg_test/seg_test/cat/3"),
    "with years": ("train2017/cat/1", "train2017/dog/2", "test2017/cat/3"),
    "as sets": ("TrainSet/cat/1", "trainset/dog/2", "test_images/cat/3"),
    "as prefixes": ("cat/train_1", "dog/train-2", "cat/TEST_3"),
    "as suffixes": ("cat/1_train", "dog/2-training", "cat/3_test"),
    "in capitals inside": ("tRain/cat/1", "TraiN/dog/2", "TesT/cat/3"),
    "in other words": ("trainval/cat/1", "trainval/dog/2", "eval/cat/3"),
}  # fmt: skip


@pytest.mark.parametrize("names", LAYOUTS.values(), ids=LAYOUTS)
def test_splits_are_found_wherever_they_are_stated(names: tuple[str, ...], tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, *(f"{name}.png" for name in names))), {})
    assert [(at_hand(i.data), i.label, i.split) for i in sorted(source.items(), key=lambda i: names.index(i.key[:-4]))] == [
        (png(0), "cat", "train"), (png(1), "dog", "train"), (png(2), "cat", "test")
    ]  # fmt: skip
    assert source.classes == ("cat", "dog") and source.stated.startswith("by ")


def test_classes_below_split_folders_keep_their_taxonomy(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "train/cat/1.png", "Validation/cat/2.png", "dev/pets/dog/3.png")), {})
    assert {(label, split) for _, label, split in facts(source)} == {
        ("cat", "val"),
        ("pets/dog", "val"),
        ("cat", "train"),
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/cat/1", "test/cat/2", "extra/cat/3"), "test and train look like splits, but extra beside"),
        (("cat/train/1", "cat/test/2", "dog/3"), "look like splits, but images without such a folder beside"),
        (("a/x/train/1", "a/x/test/2", "b/y/q/3"), "look like splits, but q beside"),
        (("train/cat/test/1", "test/cat/train/2"), "states the splits test and train"),
        (("train_cat/1", "train_dog/2", "test_cat/3", "test_dog/4"), "test_cat and train_cat look like splits and classes"),
        (("trainA/1", "val/cat/2"), "trainA and val look like splits and classes"),
        (("set/cat/1", "set/dog/2", "set/set/cat/3", "set/set/dog/4"), "folders set, set/set hold the same 2 classes"),
        (("set/a/images/1", "set/a/masks/1", "set/b/images/1", "set/b/masks/1"), "folders set/a, set/b hold the same"),
        (("day/cat/1", "day/dog/2", "night/cat/3", "night/dog/4"), "day, night hold the same 2 classes, for example 'cat'"),
    ],
)  # fmt: skip
def test_what_may_be_splits_is_never_taken_for_classes(
    names: tuple[str, ...], message: str, tmp_path: Path, png: Png
) -> None:
    root = str(tree(tmp_path, png, *(f"{name}.png" for name in names)))
    with pytest.raises(UserError, match=message):
        FORMAT.open(root, {})
    assert {split for _, _, split in facts(FORMAT.open(root, {"splits": "no"}))} == {None}


def test_chosen_folders_alone_are_splits_and_the_others_are_left_out_and_counted(tmp_path: Path, png: Png) -> None:
    names = ("seg_train/seg_train/cat/1.png", "seg_test/seg_test/cat/2.png", "seg_pred/seg_pred/3.png")
    source = FORMAT.open(str(tree(tmp_path, png, *names)), {"splits": "seg_train,seg_test"})
    assert {(label, split) for _, label, split in facts(source)} == {("cat", "train"), ("cat", "test")}
    assert "1 image outside the folders seg_train and seg_test was left out" in source.notes
    with pytest.raises(UserError, match="no folders seg_train and val at one depth"):
        FORMAT.open(str(tmp_path), {"splits": "seg_train,val"})
    with pytest.raises(UserError, match="'seg_pred' in splits= states no split"):
        FORMAT.open(str(tmp_path), {"splits": "seg_pred"})


def test_a_test_set_without_labels_is_left_out_on_request(tmp_path: Path, png: Png) -> None:
    root = str(tree(tmp_path, png, "train/cat/1.png", "train/dog/2.png", "test/3.png"))
    with pytest.raises(UserError, match=r"1 image is outside class folders.*leave them out: [?]splits=train"):
        FORMAT.open(root, {})
    source = FORMAT.open(root, {"splits": "train"})
    assert [label for _, label, _ in facts(source)] == ["cat", "dog"]
    assert "1 image outside the folders train was left out" in source.notes


@pytest.mark.parametrize("form", ["{}_1", "1_{}", "{}set_1", "{}Images1", "1-{}-1", "cat.{}.1", "IMG {}"])
@pytest.mark.parametrize("words", [("train", "val", "testing"), ("Train", "Valid", "Test")])
def test_a_word_anywhere_in_all_file_names_states_the_splits(
    form: str, words: tuple[str, ...], tmp_path: Path, png: Png
) -> None:
    names = [f"{folder}/{form.format(word)}.png" for folder in ("a", "b") for word in words]
    source = FORMAT.open(str(tree(tmp_path, png, *names)), {})
    assert source.stated == "by a word in each file's name"
    assert sorted(str(split) for _, _, split in facts(source)) == ["test", "test", "train", "train", "val", "val"]


@pytest.mark.parametrize(
    ("names", "remark"),
    [
        (("car/1", "train/2", "bus/3"), "the folder train was taken as a class"),
        (("a/bat/1", "a/cat/2", "b/bat/3"), "1 folder names occur below several others, for example 'bat'"),
        (
            ("cat/1", "train_station/2", "test_tube/3"),
            "2 folders, such as test_tube and train_station, have words of splits",
        ),
        (("pets/cat/1", "pets/dog/2", "pets/3"), "images lie beside the class folders in 'pets'"),
        (("cat/train_1", "dog/test_2"), "each folder has one of them only"),
        (("a/train_1", "a/test_2", "b/x"), "2 of 3 file names have a word such as test"),
        (("a/test_1", "a/2", "b/3"), "1 of 3 file names have a word such as test"),
    ],
)
def test_what_only_resembles_splits_is_remarked(names: tuple[str, ...], remark: str, tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, *(f"{name}.png" for name in names))), {})
    assert any(remark in note for note in source.notes) and {split for _, _, split in facts(source)} == {None}


def test_lists_named_after_splits_and_folders_without_images_are_told(tmp_path: Path, png: Png) -> None:
    root = tree(
        tmp_path, png, "cat/1.png", "dog/test_1.png", "train.txt", "meta/Test.csv", "boxes/test_1.txt", ".cache/val.txt"
    )
    (root / "owl").mkdir()
    notes = FORMAT.open(str(root), {}).notes
    assert any("2 files named after splits were not read (meta/Test.csv, train.txt)" in note for note in notes)
    assert "1 empty folder was skipped" in notes and "2 folders have no images, for example 'boxes'" in notes


def test_the_folder_of_a_class_is_no_set(tmp_path: Path, png: Png) -> None:
    with pytest.raises(UserError, match="2 images are outside .*; if this folder is a class, name the one around it"):
        FORMAT.open(str(tree(tmp_path, png, "1.png", "2.png")), {})


def test_the_remedy_names_the_folders_of_splits_that_have_labels(tmp_path: Path, png: Png) -> None:
    with pytest.raises(UserError, match=r"leave them out: [?]splits=Train_Images,Val"):
        FORMAT.open(str(tree(tmp_path / "1", png, "Train_Images/cat/1.png", "Test/3.png", "Val/cat/2.png")), {})
    with pytest.raises(UserError) as told:
        FORMAT.open(str(tree(tmp_path / "2", png, "train/cat_1.png", "test/3.png")), {})
    assert "leave them out" not in str(told.value)


def test_a_folder_of_archives_is_told_as_such(tmp_path: Path, png: Png) -> None:
    with pytest.raises(UserError, match=r"no images here: 1 file that is not an image was skipped \(1 .zip\)"):
        FORMAT.open(str(tree(tmp_path, png, "train.zip")), {})


def test_a_store_and_a_pack_below_the_images_are_passed_over(tmp_path: Path, png: Png) -> None:
    before = FORMAT.open(str(tree(tmp_path, png, "cat/1.png", "dog/2.png")), {})
    for name in ("lab/lab.json", "lab/cells/1.png", "my-pack/manifest.json", "my-pack/images.u8", "report.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(9))
    source = FORMAT.open(str(tmp_path), {})
    assert facts(source) == facts(before) and source.fingerprint == before.fingerprint
    assert "2 stores or packs of transferlab were skipped" in source.notes


def test_a_file_changed_in_place_with_its_old_size_and_time_is_noticed(tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path, png, "cat/1.png", "dog/2.png")
    before, file = FORMAT.open(str(root), {}).fingerprint, root / "cat" / "1.png"
    held = file.stat()
    file.write_bytes(bytes(held.st_size))
    os.utime(file, ns=(held.st_atime_ns, held.st_mtime_ns))
    assert FORMAT.open(str(root), {}).fingerprint != before


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o000, 0o644])  # closed; listable, but nothing in it can be reached
def test_a_folder_that_cannot_be_read_is_an_error(mode: int, tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path / "set", png, "cat/1.png", "dog/2.png")
    for folder in root.parents:
        if not folder.stat().st_mode & 0o077:  # pytest's own folders are closed to others
            folder.chmod(0o755)
    (root / "cat").chmod(mode)
    assert "1 folder cannot be read" in (told := as_nobody(root)) and "cat" in told and "Permission denied" in told


def as_nobody(root: Path) -> str:
    """What opening a folder says to a user without rights, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setuid(65534)
            FORMAT.open(str(root), {})
        except UserError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)  # never back into pytest
    os.close(writing)
    with os.fdopen(reading) as said:
        told = said.read()
    os.waitpid(child, 0)
    return told


@pytest.mark.parametrize(
    ("member", "flag", "windows", "expected"),
    [
        ("./cat/1.png", 0, False, "cat/1.png"), ("cat\\1.png", 0, True, "cat/1.png"), ("/cat/1.png", 0, False, "cat/1.png"),
        ("k\u00e4tzchen/1.png", 0, False, "k\u00e4tzchen/1.png"), ("k\u00e4tzchen/1.png", 0x800, False, "k\u00e4tzchen/1.png"),
    ],
)  # fmt: skip
def test_names_in_zips_are_paths_below_it(
    member: str, flag: int, windows: bool, expected: str, tmp_path: Path, png: Png
) -> None:
    whole = raw_zip([(member, png(0)), ("dog/2.png", png(1))] if not windows else [(member, png(0)), ("dog\\2.png", png(1))],
                    flag, 0 if windows else 3)  # fmt: skip
    (tmp_path / "set.zip").write_bytes(whole)
    assert {key for key, _, _ in facts(FORMAT.open(str(tmp_path / "set.zip"), {}))} == {expected, "dog/2.png"}


def raw_zip(files: list[tuple[str, bytes]], flag: int, system: int) -> bytes:
    """A zip of stored files whose names and flags are written as given, which zipfile would correct."""
    body, directory = b"", b""
    for name, data in files:
        raw = name.encode()
        facts_ = struct.pack("<HHHHLLLHH", flag, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(raw), 0)
        directory += (
            b"PK\1\2"
            + bytes([20, system])
            + struct.pack("<H", 20)
            + facts_
            + struct.pack("<HHHLL", 0, 0, 0, 0, len(body))
        )
        directory += raw
        body += b"PK\3\4" + struct.pack("<H", 20) + facts_ + raw + data
    end = struct.pack("<HHHHLLH", 0, 0, len(files), len(files), len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def test_a_class_called_test_beside_others_is_a_class(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "test/1.png", "cat/1.png")), {})
    assert source.classes == ("cat", "test") and all(split is None for _, _, split in facts(source))


def test_numbered_classes_are_in_the_order_of_numbers(tmp_path: Path, png: Png) -> None:
    assert FORMAT.open(str(tree(tmp_path, png, "10/a.png", "9/a.png", "0/a.png")), {}).classes == ("0", "9", "10")


def test_hidden_and_other_files_are_skipped_and_counted(tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path, png, "cat/1.png", "dog/1.png", "cat/.DS_Store", ".git/x.png", "LICENSE", "cat/boxes.txt")
    source = FORMAT.open(str(root), {})
    assert source.n_images == 2 and source.notes == (
        "1 hidden or housekeeping folder was skipped", "2 files that are not images were skipped (1 license, 1 .txt)",
        "1 hidden or housekeeping file was skipped",
    )  # fmt: skip


def test_files_of_unknown_kind_are_left_to_the_decoder(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "cat/1", "dog/scan.dat")), {})
    assert source.n_images == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no images here"), (["notes.txt"], "no images here"), (["1.png", "cat/2.png"], "1 image is outside"),
        (["train/1.png", "test/2.png"], "2 images are outside"),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_used_are_told(names: list[str], message: str, tmp_path: Path, png: Png) -> None:
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(tree(tmp_path, png, *names)), {})


def test_links_are_followed_once_and_loops_end(tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path / "set", png, "dog/1.png")
    tree(tmp_path / "elsewhere", png, "2.png")
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(root / "dog")
    (root / "dog" / "loop").symlink_to(root)
    (root / "dog" / "dangling.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "dog" / "pipe.png")
    source = FORMAT.open(str(root), {})
    assert [key for key, _, _ in facts(source)] == ["cat/2.png", "dog/1.png"]
    assert any("links to folders" in note for note in source.notes)
    assert any(note.startswith("2 dangling") for note in source.notes)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="the system makes up no files in /proc")
def test_links_into_what_the_system_makes_up_are_not_followed(tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path / "set", png, "cat/1.png", "dog/1.png")
    (root / "processes").symlink_to("/proc")  # from there, links lead to everything on the disk
    (root / "dog" / "2.png").symlink_to("/proc/self/status")
    source = FORMAT.open(str(root), {})
    assert [key for key, _, _ in facts(source)] == ["cat/1.png", "dog/1.png"]
    assert "2 links to what the system makes up were skipped" in source.notes
    with pytest.raises(UserError, match="made up by the system"):
        FORMAT.open("/proc/self", {})


def test_a_file_without_permission_is_named_not_lost(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "cat/1.png", "dog/2.png")), {})
    (tmp_path / "dog" / "2.png").unlink()  # gone after it was listed: the same road as one that may not be read
    assert isinstance([at_hand(item.data) for item in source.items()][1], Unreadable)


def test_names_that_are_not_utf8_become_printable(tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path, png, "cat/1.png")
    folder = root / os.fsdecode(b"d\xf6g")
    folder.mkdir()
    (folder / "1.png").write_bytes(png(9))
    source = FORMAT.open(str(root), {})
    assert source.classes == ("cat", "d\\xf6g")
    assert [at_hand(item.data) for item in source.items()][1] == png(9)


def test_composed_and_decomposed_accents_and_cases_are_kept_apart(tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path, png, "caf\u00e9/1.png", "cafe\u0301/1.png", "Cat/1.png", "cat/1.png", "-rf/1.png", " /1.png")
    assert len(FORMAT.open(str(root), {}).classes) == len({path.name for path in root.iterdir()}) == 6


def test_the_fingerprint_follows_names_sizes_and_times(tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path, png, "cat/1.png", "dog/2.png")
    prints = [FORMAT.open(str(root), {}).fingerprint, FORMAT.open(str(root), {}).fingerprint]
    os.utime(root / "cat" / "1.png", ns=(1, 1))
    prints.append(FORMAT.open(str(root), {}).fingerprint)
    (root / "cat" / "1.png").rename(root / "cat" / "3.png")
    prints.append(FORMAT.open(str(root), {}).fingerprint)
    assert prints[0] == prints[1] and len(set(prints)) == 3


def zipped(path: Path, png: Png, *names: str) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, png(number))
    return str(path)


def test_a_zip_is_read_like_the_folder_inside_it(tmp_path: Path, png: Png) -> None:
    names = ["train/cat/1.png", "train/dog/2.png", "test/cat/3.png"]
    folder, archive = (
        FORMAT.open(str(tree(tmp_path / "f", png, *names)), {}),
        FORMAT.open(zipped(tmp_path / "z.zip", png, *names), {}),
    )
    assert facts(folder) == facts(archive) and archive.classes == folder.classes and archive.name == "z"
    assert {i.key: at_hand(i.data) for i in archive.items()} == {name: png(number) for number, name in enumerate(names)}


def test_one_folder_around_everything_in_a_zip_is_its_packaging(tmp_path: Path, png: Png) -> None:
    wrapped = FORMAT.open(zipped(tmp_path / "a.zip", png, "set/cat/1.png", "set/dog/2.png", "__MACOSX/set/._x.png"), {})
    assert wrapped.classes == ("cat", "dog")
    bare = FORMAT.open(zipped(tmp_path / "b.zip", png, "cat/1.png", "dog/2.png"), {})
    assert bare.classes == ("cat", "dog")


def test_hostile_member_names_lead_nowhere(tmp_path: Path, png: Png) -> None:
    names = ["../../outside/1.png", "cat/../dog/2.png", "/absolute/3.png", "c:\\windows/4.png"]
    source = FORMAT.open(zipped(tmp_path / "z.zip", png, *names), {})
    assert [at_hand(item.data) for item in source.items()] == [png(2), png(3)]
    assert source.notes == ("2 members that lead outside the zip were skipped (../../outside/1.png)",)
    assert os.listdir(tmp_path) == ["z.zip"]


def test_damaged_members_are_named_and_the_rest_goes_on(tmp_path: Path, png: Png) -> None:
    path = Path(zipped(tmp_path / "z.zip", png, "cat/1.png", "dog/2.png"))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(png(1), bytes(len(png(1)))))
    found = [at_hand(item.data) for item in FORMAT.open(str(path), {}).items()]
    assert found[0] == png(0) and isinstance(found[1], Unreadable) and "damaged in the zip" in found[1].reason


def test_zips_that_cannot_be_used_are_told(tmp_path: Path, png: Png) -> None:
    (tmp_path / "not.zip").write_bytes(b"PK but no more")
    with pytest.raises(UserError, match="neither a folder nor a readable zip"):
        FORMAT.open(str(tmp_path / "not.zip"), {})
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = zipped(tmp_path / "twice.zip", png, "cat/1.png", "cat/1.png", "dog/2.png")
    with pytest.raises(UserError, match="occur twice"):
        FORMAT.open(twice, {})


SAFE = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=15
)
NAMES = SAFE.filter(lambda name: not is_housekeeping(name.lower()) and len(name.encode()) < 60)


@settings(deadline=None, max_examples=40)
@given(paths=st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=6))
def test_any_tree_gives_each_folder_its_own_class(
    paths: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    folders = {"/".join(["c", *parts]) for parts in paths}
    for folder in folders:
        tree(root / folder, lambda number: b"", "image.png")
    source = FORMAT.open(str(root), {"splits": "no"})  # names may be words of splits
    assert set(source.classes) == folders and source.n_images == len(folders)
    assert all(item.key == f"{item.label}/image.png" for item in source.items())
