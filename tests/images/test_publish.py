"""What a pack says about its classes, and which classes its splits must share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.pack import NAMED, described, write_pack
from transferlab.images.source import Item, Source
from transferlab.specs import Pack

Make = Callable[..., Source]


def _packed(source: Source, out: Path) -> Pack:
    return write_pack(source, out, 8, skip_bad=False, progress=lambda done, total: None, workers=1)


def test_a_pack_is_described_by_its_splits_and_its_first_classes(make_source: Make, tmp_path: Path) -> None:
    few = described(_packed(make_source(10), tmp_path / "few"))
    assert few[:2] == ["2 classes, images: 6 train, 2 val, 2 test", "classes: cat, dog"]
    classes = [f"c{number}" for number in range(NAMED + 1)]
    many = described(_packed(make_source(30, classes=classes), tmp_path / "many"))
    assert many[1] == f"classes: {', '.join(classes[:NAMED])} and 1 more"


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_whose_classes_have_other_names_is_an_error(split: str, make_source: Make, tmp_path: Path) -> None:
    made = make_source(12, classes=["Cat", "Dog", "cat", "dog"])

    def items() -> Iterator[Item]:
        for item in made.items():
            yield replace(item, split="train" if str(item.label).istitle() else split)

    with pytest.raises(UserError, match=f"no class of the {split} images has training images"):
        _packed(replace(made, items=items), tmp_path / "pack")
    assert not (tmp_path / "pack").exists()
