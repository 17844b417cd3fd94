"""Targets: what is refused, metrics and guessing, shots within their budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.specs import TEST, TRAIN, VAL, Pack
from transferlab.transfer.targets import take_shots, view

MakePack = Callable[..., Pack]


@pytest.mark.parametrize("gone", [TRAIN, VAL, TEST])
def test_a_target_needs_every_split(gone: int, make_pack: MakePack) -> None:
    pack = make_pack()
    with pytest.raises(UserError, match="resplit"):
        view(replace(pack, split=np.where(pack.split == gone, (gone + 1) % 3, pack.split).astype(np.uint8)))


def test_the_source_itself_may_be_a_target_without_a_test_split(make_pack: MakePack) -> None:
    pack = make_pack((40,) * 6)
    whole = replace(pack, split=np.where(pack.split == TEST, VAL, pack.split).astype(np.uint8))
    target = view(whole, own_classes=True)
    assert (whole.split[target.test] == VAL).all()
    assert not set(target.train.tolist()) & set(target.val.tolist())
    assert (whole.split[target.val] == TRAIN).all()


def test_metric_and_guessing_follow_the_test_set(make_pack: MakePack) -> None:
    balanced = view(make_pack())
    assert (balanced.metric.name, balanced.chance) == ("top1", pytest.approx(1 / 6))
    several = view(make_pack(multi_label=True))
    assert several.metric.name == "mean average precision"
    assert several.chance == pytest.approx(1 / 6)
    pack = make_pack()
    rows = np.flatnonzero((pack.split == TEST) & (pack.labels == 0))[:4]
    split = pack.split.copy()
    split[rows] = VAL
    assert view(replace(pack, split=split)).metric.name == "mean class accuracy"


@pytest.mark.parametrize("shots", [1, 2, 5, 10, 18])
def test_shots_count_training_and_validation_together(shots: int, make_pack: MakePack) -> None:
    pack = make_pack()
    target = view(pack)
    few = take_shots(target, shots, 3)
    both = np.concatenate([few.train, few.val])
    assert (np.bincount(pack.labels[both]) == shots).all()
    assert len(np.unique(both)) == len(both)
    assert (pack.split[both] != TEST).all()
    assert (len(few.val) == 0) == (shots == 1)
    if shots > 1:
        fewer = take_shots(target, shots - 1, 3)
        assert {*fewer.train.tolist(), *fewer.val.tolist()} < set(both.tolist())


def test_impossible_shots_name_the_range(make_pack: MakePack) -> None:
    with pytest.raises(UserError, match="from 1 to 18"):
        take_shots(view(make_pack()), 19, 0)
    with pytest.raises(UserError, match="several labels"):
        take_shots(view(make_pack(multi_label=True)), 2, 0)


def test_a_split_without_images_is_told_with_how_the_images_were_divided(make_pack: MakePack) -> None:
    pack = make_pack()
    few = replace(pack, split=np.where(pack.split == VAL, TRAIN, pack.split), notes={"split": "by chance"})
    with pytest.raises(
        UserError, match=r"no val split .*: splits by chance.*add val images.*3 images to be in every split"
    ):
        view(few)
