"""The paper's levels: its own numbers on ImageNet's classes, the same shares elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.questions import QUESTIONS, levels
from transferlab.specs import TRAIN, Pack
from transferlab.taxonomy import classlists
from transferlab.taxonomy.tree import flat

MakePack = Callable[..., Pack]


def of_list(name: str, n_each: int, make_pack: MakePack) -> Pack:
    """A pack of a class list's classes in WordNet, so many training images each; its pixels are not there."""
    taxonomy = classlists.taxonomy(name)
    labels = np.repeat(np.arange(len(taxonomy.leaves), dtype=np.int32), n_each)
    pack = make_pack((4, 4))
    return replace(pack, name=name, taxonomy=taxonomy, labels=labels, split=np.full(len(labels), TRAIN, np.uint8),
                   images=np.broadcast_to(pack.images[:1], (len(labels), *pack.images.shape[1:])),
                   image_ids=np.arange(len(labels), dtype=np.uint64))  # fmt: skip


def test_on_imagenet_the_levels_are_the_papers(make_pack: MakePack) -> None:
    source = of_list("imagenet-1k", 750, make_pack)
    assert levels.images_per_class(source) == [50, 125, 250, 500, 750]
    assert list(levels.label_sets(source)) == [
        "9 labels", "79 labels", "127 labels (merged)", "486 labels", "753 labels", "918 labels", "1000 classes"
    ]  # fmt: skip
    assert levels.cuts(source) == {9: 3, 79: 6, 486: 9, 753: 12, 918: 15}
    ways = levels.budgets(source)
    assert [more for _, more in ways] == [(1000, 500), (1000, 250), (1000, 125)]
    assert [fewer for fewer, _ in ways] == [(667, 749), (334, 748), (167, 748)]
    assert levels.scaled(source, "levels", [1], [1]) == ()


def test_on_tiny_imagenet_they_are_the_same_shares(make_pack: MakePack) -> None:
    source = of_list("tiny-imagenet", 500, make_pack)
    assert levels.images_per_class(source) == [25, 62, 125, 250, 500]
    assert list(levels.label_sets(source)) == [
        "2 labels", "18 labels", "88 labels (merged)", "107 labels", "159 labels", "185 labels", "200 classes"
    ]  # fmt: skip
    assert levels.budgets(source) == [((100, 500), (200, 250)), ((50, 500), (200, 125)), ((25, 496), (200, 62))]
    assert "are scaled to this source: 25, 62" in levels.scaled(source, "levels", [50], [25, 62])[0]


def test_pascals_classes_are_left_out_whatever_the_targets(make_pack: MakePack) -> None:
    source = of_list("tiny-imagenet", 4, make_pack)
    study = QUESTIONS["exclude-target"].paper(source, [make_pack((4, 4), name="target")])
    left_out = study.conditions["without PASCAL's classes"].knobs["nodes"]
    assert len(left_out) == 29  # pyright: ignore[reportArgumentType]
    assert "n02814533" in left_out  # pyright: ignore[reportOperatorIssue]
    assert any("29 of 200 classes" in note for note in study.notes)


@pytest.mark.parametrize(("sizes", "rule"), [((1, 1, 1), levels.images_per_class), ((2, 2, 2), levels.budgets)])
def test_sources_that_leave_no_room_are_told_so(
    sizes: tuple[int, ...], rule: Callable[[Pack], object], make_pack: MakePack
) -> None:
    with pytest.raises(UserError, match="bring"):
        rule(make_pack(sizes))


def test_a_flat_source_has_no_label_sets(make_pack: MakePack) -> None:
    source = make_pack((8,) * 8)
    with pytest.raises(UserError, match="no coarser labels"):
        levels.label_sets(replace(source, taxonomy=flat(source.taxonomy.leaves)))
