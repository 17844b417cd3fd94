from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.images.source import Source, Unreadable, at_hand
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


def test_split_folders_give_the_splits(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "train/cat/1.png", "Validation/cat/2.png", "test/pets/dog/3.png")), {})
    assert {(label, split) for _, label, split in facts(source)} == {
        ("cat", "val"), ("pets/dog", "test"), ("cat", "train")
    }  # fmt: skip


def test_a_class_called_test_beside_others_is_a_class(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "test/1.png", "cat/1.png")), {})
    assert source.classes == ("cat", "test") and all(split is None for _, _, split in facts(source))


def test_numbered_classes_are_in_the_order_of_numbers(tmp_path: Path, png: Png) -> None:
    assert FORMAT.open(str(tree(tmp_path, png, "10/a.png", "9/a.png", "0/a.png")), {}).classes == ("0", "9", "10")


def test_hidden_and_other_files_are_skipped_and_counted(tmp_path: Path, png: Png) -> None:
    root = tree(tmp_path, png, "cat/1.png", "dog/1.png", "cat/.DS_Store", ".git/x.png", "LICENSE", "cat/boxes.txt")
    source = FORMAT.open(str(root), {})
    assert source.n_images == 2 and source.notes == ("4 files that are not images were skipped",)


def test_files_of_unknown_kind_are_left_to_the_decoder(tmp_path: Path, png: Png) -> None:
    source = FORMAT.open(str(tree(tmp_path, png, "cat/1", "dog/scan.dat")), {})
    assert source.n_images == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no images here"), (["notes.txt"], "no images here"), (["1.png", "cat/2.png"], "1 images are outside"),
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
    # Those with dots count as hidden; the others are names like any.
    assert [at_hand(item.data) for item in source.items()] == [png(2), png(3)]
    assert source.notes == ("2 files that are not images were skipped",)
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
NAMES = SAFE.filter(lambda name: not name.startswith(".") and len(name.encode()) < 60 and name != "__MACOSX")


@settings(deadline=None, max_examples=40)
@given(paths=st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=6))
def test_any_tree_gives_each_folder_its_own_class(
    paths: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    folders = {"/".join(["c", *parts]) for parts in paths}
    for folder in folders:
        tree(root / folder, lambda number: b"", "image.png")
    source = FORMAT.open(str(root), {})
    assert set(source.classes) == folders and source.n_images == len(folders)
    assert all(item.key == f"{item.label}/image.png" for item in source.items())
