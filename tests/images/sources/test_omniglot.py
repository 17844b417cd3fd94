from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources.omniglot import FORMAT

Open = Callable[..., Source]


def characters(n: int, alphabets: tuple[str, ...]) -> Iterator[str]:
    """So many characters, dealt to the alphabets."""
    for k in range(n):
        yield f"{alphabets[k % len(alphabets)]}/character{k // len(alphabets) + 1:02d}"


def archive(
    folder: Path, name: str, n: int, alphabets: tuple[str, ...] = ("Greek", "Latin"),
    change: Mapping[str, bool] | None = None,
) -> Path:  # fmt: skip
    """A set as a zip, with 20 drawings of each character; ``change`` takes drawings out or puts files in."""
    odd = change or {}
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as file:
        for number, character in enumerate(characters(n, alphabets), 1):
            for drawer in range(1, 21):
                drawing = f"{name}/{character}/{number:04d}_{drawer:02d}.png"
                if odd.get(drawing, True):
                    file.writestr(drawing, f"{number} {drawer}")
        for extra in (drawing for drawing, there in odd.items() if there):
            file.writestr(extra, "extra")
    return folder / f"{name}.zip"


def test_alphabets_are_the_taxonomy(tmp_path: Path, opened: Open) -> None:
    source = opened("omniglot", archive(tmp_path, "images_background_small1", 136))
    assert len(source.classes) == 136 and source.classes[0] == "Greek/character01" and source.n_images == 2720
    assert source.taxonomy is not None and len(source.taxonomy.leaves_under("Latin")) == 68
    item = next(iter(source.items()))
    assert (item.key, item.label, item.split) == (
        "images_background_small1/Greek/character01/0001_01.png", "Greek/character01", None
    )  # fmt: skip


def test_several_sets_are_read_together_as_zips_and_folders(tmp_path: Path, opened: Open) -> None:
    archive(tmp_path, "images_background_small1", 136)
    second = archive(tmp_path, "images_background_small2", 156, ("Bengali", "Korean"))
    with zipfile.ZipFile(second) as file:
        file.extractall(tmp_path)
    second.unlink()
    source = opened("omniglot", tmp_path)
    assert len(source.classes) == 292 and source.taxonomy is not None
    assert {str(i.label).split("/")[0] for i in source.items()} == {"Greek", "Latin", "Bengali", "Korean"}


def test_a_drawing_of_two_sets_is_taken_once(tmp_path: Path, opened: Open) -> None:
    archive(tmp_path, "images_background_small1", 136)
    archive(tmp_path, "images_background_small2", 156)
    source = opened("omniglot", tmp_path)
    assert len(source.classes) == 156 and source.n_images == 156 * 20
    assert any("2,720 drawings are in two of the sets" in note for note in source.notes)


@pytest.mark.parametrize(
    ("n", "change", "message"),
    [
        (135, {}, r"images_background_small1 holds 135 characters, 136 were expected"),
        (136, {"images_background_small1/Latin/character02/0004_07.png": False},
         r"images_background_small1/Latin/character02 holds 19 drawings, 20 were expected"),
        (136, {"images_background_small1/Latin/1.png": True}, r"images_background_small1/Latin/1.png is at the wrong"),
    ],
)  # fmt: skip
def test_sets_that_are_not_whole_are_named(n: int, change: dict[str, bool], message: str, tmp_path: Path) -> None:
    archive(tmp_path, "images_background_small1", n, change=change)
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(tmp_path), {})


def test_a_folder_without_sets_or_a_damaged_zip_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no images_background or images_evaluation"):
        FORMAT.open(str(tmp_path), {})
    whole = archive(tmp_path, "images_background_small1", 136).read_bytes()
    (tmp_path / "images_background_small1.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="neither a folder nor a readable zip"):
        FORMAT.open(str(tmp_path), {})


def test_the_genuine_sets_are_read(real_data: Path, opened: Open) -> None:
    source = opened("omniglot", real_data / "omniglot")
    assert len(source.classes) == 242 and source.n_images == 242 * 20  # Greek and Latin lie in both sets
    assert source.taxonomy is not None and len(source.taxonomy.leaves_under("Greek")) == 24
