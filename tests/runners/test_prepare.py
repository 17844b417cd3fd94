"""From a study to a plan in a store: an impossible one leaves nothing, a possible one all that running needs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transferlab import Epochs, Examples, Study, UserError, compare, designs, induction, knn, probe, refit
from transferlab.outcomes.store import Store
from transferlab.plan import most_seen
from transferlab.runners.estimate import describe
from transferlab.runners.prepare import Request, prepare
from transferlab.specs import Recipe


@pytest.fixture
def wanted(tmp_path: Path) -> Request:
    random = np.random.default_rng(0)
    split = np.array(["train", "val", "test"])[np.arange(60) // 3 % 3]
    np.savez(tmp_path / "made.npz", images=random.integers(0, 256, (60, 16, 16, 3)).astype(np.uint8),
             labels=np.arange(60) % 3, split=split)  # fmt: skip
    spec = f"npz:{tmp_path}/made.npz"
    study = Study(source=spec, targets=[spec], conditions={n: designs.images_per_class(n) for n in (2, 6)}, seeds=2,
                  contrasts=[compare("6", "2")], recipe=Recipe(image_px=16))  # fmt: skip
    return Request(study, None, (), tmp_path / "lab", device="cpu")


def test_a_plan_that_turns_out_to_be_impossible_leaves_neither_subsets_nor_a_study(wanted: Request) -> None:
    assert isinstance(wanted.study, Study)
    too_many = {**wanted.study.conditions, "all": designs.all_images(), "400": designs.images_per_class(400)}
    with pytest.raises(UserError, match="images per class = 400"):
        prepare(replace(wanted, study=replace(wanted.study, conditions=too_many)), lambda *_: None)
    assert not list(wanted.store.glob("subsets/*"))
    assert not Store.open(wanted.store, create=False).studies()


def test_sizes_are_told_without_reading_a_subset_again(wanted: Request) -> None:
    prepared = prepare(wanted, lambda *_: None)
    cells = {t.cell.subset for t in prepared.plan.trainings}
    assert set(prepared.subsets) == cells == {path.stem for path in wanted.store.glob("subsets/*")}
    for digest in cells:
        subset, facts = prepared.store.read_subset(digest), prepared.subsets[digest]
        assert (facts.n_images, facts.n_labels) == (len(subset.rows), len(subset.label_names))
        (wanted.store / "subsets" / f"{digest}.npz").unlink()
    lines = describe(prepared)
    told = [
        line.split() for line in itertools.takewhile(lambda line: "pre-trainings" not in line, lines)
    ]  # time comes last
    assert ["2", "6", "images,", "3"] in [words[:4] for words in told]
    assert told.count(["3", "classes,", "images:", "21", "train,", "21", "val,", "18", "test"]) == 2, told
    assert sum(words[:1] == ["classes:"] for words in told) == 2, told


def test_coarse_labels_that_the_source_does_not_have_are_told_before_any_work(wanted: Request) -> None:
    assert isinstance(wanted.study, Study)
    deep = replace(wanted.study, targets=["source"], protocols=[probe(), induction(cut=7)])
    with pytest.raises(UserError, match="no cut at depth 7 .*depths are from 0 to 1"):
        prepare(replace(wanted, study=deep), lambda *_: None)
    assert not Store.open(wanted.store, create=False).studies()


def test_a_named_recipe_brings_its_own_backbone_and_image_size(wanted: Request) -> None:
    assert isinstance(wanted.study, Study)
    asked = Request("images-per-class", wanted.study.source, wanted.study.targets, wanted.store, seeds=1,
                   recipe="alexnet", device="cpu")  # fmt: skip
    recipe = prepare(asked, lambda *_: None).plan.recipe
    assert (recipe.backbone, recipe.image_px, recipe.schedule) == ("alexnet-caffe", 224, "steps")
    with pytest.raises(UserError, match="63 px or more"):
        prepare(replace(asked, size=32), lambda *_: None)


def test_the_source_itself_can_be_a_target_that_the_command_line_names(wanted: Request) -> None:
    assert isinstance(wanted.study, Study)
    study = replace(wanted.study, targets=["digits"])
    named = [prepare(replace(wanted, study=study, targets=targets), lambda *_: None).plan.targets
             for targets in (["source"], ["source", "digits"], ["digits"])]  # fmt: skip
    assert [[target.spec for target in targets] for targets in named] == [["source"], ["source", "digits"], ["digits"]]


def test_another_protocol_takes_the_place_of_the_studys_own_and_those_of_the_source_stay(wanted: Request) -> None:
    assert isinstance(wanted.study, Study)
    both = replace(wanted.study, targets=["source", *wanted.study.targets], protocols=[probe(), knn(), refit()])
    plan = prepare(replace(wanted, study=both, protocol="finetune"), lambda *_: None).plan
    assert [p.protocol.kind for p in plan.protocols] == ["finetune", "refit"]
    kept = prepare(replace(wanted, study=both), lambda *_: None).plan.protocols
    assert [p.protocol for p in kept] == [probe(), knn(), refit()]


def test_a_control_that_the_command_line_names_stands_beside_the_study_s_own(wanted: Request) -> None:
    assert isinstance(wanted.study, Study)
    own = len(wanted.study.controls)
    prepared = prepare(replace(wanted, controls=["recipe", *wanted.study.controls]), lambda *_: None)
    added = [c.name for c in prepared.plan.conditions if c.repeats]
    assert added == [f"{level} at a tenth of the rate" for level in wanted.study.conditions]
    assert sum(c.is_control for c in prepared.plan.conditions) == own + len(added)
    with pytest.raises(UserError, match="no control 'recipes'"):
        prepare(replace(wanted, controls=["recipes"]), lambda *_: None)


def test_equal_passes_are_as_many_as_the_length_is_over_the_whole_source(wanted: Request) -> None:
    assert isinstance(wanted.study, Study)
    short = replace(wanted.study, recipe=replace(wanted.study.recipe, length=Examples(50)))
    plan = prepare(replace(wanted, study=short, epochs=True), lambda *_: None).plan
    assert (plan.name, plan.recipe.length) == ("study-epochs", Epochs(2.381))  # of 21 training images
    assert [most_seen(plan.recipe, n) for n in (6, 21)] == [14, 50]


def test_a_number_of_examples_takes_the_place_of_any_length(wanted: Request) -> None:
    assert isinstance(wanted.study, Study)
    by_passes = replace(wanted.study, recipe=replace(wanted.study.recipe, length=Epochs(3)))
    built_in = Request(
        "images-per-class", wanted.study.source, wanted.study.targets, wanted.store, device="cpu", size=16
    )
    for asked in (wanted, replace(wanted, study=by_passes), built_in, replace(built_in, recipe="long")):
        plain = prepare(asked, lambda *_: None).plan.recipe
        recipe = prepare(replace(asked, examples=420), lambda *_: None).plan.recipe
        assert recipe == replace(plain, length=Examples(420))
    passes = prepare(replace(built_in, examples=420, epochs=True), lambda *_: None).plan.recipe.length
    assert passes == Epochs(20.0)  # of 21 training images, as `paper` asks for them
