"""Names of the kit's files: where the set ends and the class begins, if both may contain underscores."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.runners.score_kit import kit_files, kit_of

KNOWN = {"traffic_light", "car", "light", "stop sign"}


def read(
    tmp_path: Path, *names: str, known: Collection[str] = KNOWN, lists: Collection[str] = ()
) -> tuple[str, set[str]]:
    for name in names:
        (tmp_path / f"comp4_det_{name}.txt").write_text("")
    kit = kit_of(tmp_path, kit_files(tmp_path), lambda: known, lists)
    return kit.set, set(kit.files)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["test_car"], ("test", {"car"})),
        (["test_2007_traffic_light", "test_2007_car"], ("test_2007", {"traffic_light", "car"})),
        (["train_small_traffic_light", "train_small_stop sign"], ("train_small", {"traffic_light", "stop sign"})),
        (["test_emu", "test_night_owl"], ("test", {"emu", "night_owl"})),  # neither is known, and one has one reading
        (["test_2007_car", "test_2007_emu"], ("test_2007", {"car", "emu"})),
    ],
)
def test_the_set_is_what_all_files_share_before_classes_that_are_known(
    names: list[str], expected: tuple[str, set[str]], tmp_path: Path
) -> None:
    assert read(tmp_path, *names) == expected


def test_of_two_readings_that_with_a_list_counts_else_both_are_shown(tmp_path: Path) -> None:
    shown = "traffic_light.txt may be of the set 'test' and the class 'traffic_light' or of the set 'test_traffic' and the class 'light'"
    with pytest.raises(UserError, match=shown):
        read(tmp_path, "test_traffic_light")
    assert read(tmp_path, "test_traffic_light", lists={"test", "val"}) == ("test", {"traffic_light"})
    assert read(tmp_path, "test_traffic_light", lists={"test_traffic"}) == ("test_traffic", {"light"})
    with pytest.raises(UserError, match="may be of the set 'test' and the class 'traffic_light' or of"):
        read(tmp_path, "test_traffic_light", known=())


def test_names_without_set_or_class_are_no_files_of_the_kit(tmp_path: Path) -> None:
    for name in (
        "comp4_det_test.txt",
        "comp4_det__.txt",
        "comp4_det_test_.txt",
        "comp4_det__car.txt",
        "comp4_seg_test_car.txt",
    ):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match="there are no files comp"):
        kit_files(tmp_path)
    with pytest.raises(UserError, match="comp4_det_test.txt does not say its set and class"):
        kit_files(tmp_path / "comp4_det_test.txt")
