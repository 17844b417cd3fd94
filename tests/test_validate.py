"""Whatever a study can get wrong is refused by one function, before an image is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from transferlab import Protocol, Study, UserError, against, compare, designs, detect, induction, knn, probe
from transferlab.runners.prepare import Request, prepare
from transferlab.specs import ContrastRule, Design, Examples, Recipe, TargetFacts
from transferlab.taxonomy.readers import from_folders
from transferlab.validate import validate

STUDY = Study(source="s", targets=["t"], conditions={n: designs.images_per_class(n) for n in (2, 4)},
              contrasts=[compare("4", "2")], protocols=[probe()])  # fmt: skip

WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "a protocol": ({"protocols": [Protocol("prbe")]}, "no protocol 'prbe' .*did you mean probe"),
    "a setting": ({"protocols": [Protocol("knn", knobs={"kk": 3})]}, "knn has no setting 'kk' .*k"),
    "a setting's value": ({"protocols": [Protocol("knn", knobs={"k": 0})]}, "k = 0 is impossible .*from 1 up"),
    "shots": ({"protocols": [Protocol("probe", shots=0)]}, "shots = 0 is impossible"),
    "shots for boxes": ({"protocols": [Protocol("detect", shots=5)]}, "detect takes no shots"),
    "a protocol twice": ({"protocols": [knn(k=5), probe(), knn(k=5)]}, "knn is named twice"),
    "a protocol twice, once in full": ({"protocols": [Protocol("knn"), knn()]}, "knn is named twice"),
    "a rule of induction": ({"protocols": [probe(), Protocol("induction")], "targets": ["source"]}, "one rule"),
    "the source as a target": ({"protocols": [probe(), Protocol("refit")]}, 'source is not a target.*add "source"'),
    "a backbone": (
        {"recipe": Recipe(backbone="smal")},
        "no backbone 'smal' .*did you mean small.*for example torchvision:resnet18",
    ),
    "a size": ({"recipe": Recipe(image_px=0)}, "images of 0 px cannot be used"),
    "no protocol": ({"protocols": []}, "no protocol"),
    "a metric": ({"metric": "top6"}, "no metric 'top6' .*did you mean top5"),
    "a metric of which less is better": ({"metric": "negative log-likelihood"}, "no study compares .*top1"),
    "a condition that stored data cannot hold": ({"conditions": {"type": designs.all_images()}}, "'type'"),
    "a control": ({"controls": ["scrach"]}, "no control 'scrach' .*did you mean scratch"),
    "a design": ({"conditions": {2: Design("imges_per_class", {"n": 2})}}, "no design"),
    "a design's setting": ({"conditions": {2: Design("images_per_class", {"m": 2})}}, "images_per_class"),
    "an optimiser": ({"recipe": Recipe(optimiser="mun")}, "no optimiser 'mun' .*muon"),
    "a contrast": ({"contrasts": [compare("4", "3")]}, "names '3', which is neither a condition nor a control .*2, 4"),
    "a base": ({"contrasts": against("3")}, "names '3', which is neither a condition nor a control"),
    "a control that is not there": (
        {"contrasts": [compare("4", "scratch")], "controls": ["a/a"]},
        "its controls are a/a",
    ),
}


# Values of other types, as somebody might write them.
TYPES: dict[str, tuple[dict[str, Any], str]] = {
    "a number as length": ({"recipe": Recipe(length=1000)}, "recipe.length cannot be 1000 .*Examples"),  # type: ignore[arg-type]
    "a rate as text": ({"recipe": Recipe(lr="0.1")}, r"recipe.lr cannot be '0.1' .*a number"),  # type: ignore[arg-type]
    "half a pixel": ({"recipe": Recipe(image_px=16.5)}, r"recipe.image_px cannot be 16.5"),  # type: ignore[arg-type]
    "no rate": ({"recipe": Recipe(lr=float("inf"))}, "recipe.lr cannot be inf"),
    "seeds as text": ({"seeds": "5"}, "seeds cannot be '5' .*seeds=5"),
    "a control that is no list": (
        {"controls": "scratch"},
        r"""controls cannot be 'scratch' .*controls=\["scratch"\]""",
    ),
    "controls in no order": ({"controls": {"scratch"}}, "controls cannot be"),
    "a control twice": ({"controls": ["scratch", "scratch"]}, "'scratch' is named twice"),
    "a weight as text": (
        {"contrasts": [replace(compare("4", "2"), weights={"4": "1"})]},
        r"weights\['4'\] cannot be '1'",
    ),
    "a weight without end": (
        {"contrasts": [replace(compare("4", "2"), weights={"4": 1e9, "2": -1e9})]},
        "larger than 1000",
    ),
    "a contrast twice": (
        {"contrasts": [compare("4", "2"), compare("4", "2")]},
        "two contrasts are called '4 against 2'",
    ),
    "a rule": ({"contrasts": ContrastRule("stepss", 0.01)}, "no rule 'stepss'"),  # type: ignore[arg-type]
    "a condition without a name": ({"conditions": {"": designs.all_images()}}, "no name"),
    "a condition of two numbers": ({"conditions": {(1, 2): designs.all_images()}}, "a key of the study's conditions"),
    "settings that are none": ({"protocols": [Protocol("knn", knobs=None)]}, r"protocols\[0\].knobs"),  # type: ignore[arg-type]
    "nodes that are numbers": (
        {"conditions": {"a": Design("without", {"nodes": [1]})}},
        "nodes = .* choose a list of names",
    ),  # type: ignore[list-item]
    "the longest training": (
        {"recipe": Recipe(length=Examples(10**30))},
        "length's n = 1000.* is impossible .*to 1,000,000",
    ),
}


def test_levels_may_be_named_as_they_are_written_in_the_conditions() -> None:
    validate(replace(STUDY, contrasts=[compare(4, 2)]))
    validate(replace(STUDY, contrasts=against(2)))


@pytest.mark.parametrize("wrong", [*WORDS, *TYPES])
def test_a_wrong_word_or_type_is_refused_with_its_place_and_what_comes_close_or_is_allowed(wrong: str) -> None:
    changes, told = (WORDS | TYPES)[wrong]
    with pytest.raises(UserError, match=told):
        validate(replace(STUDY, **changes))


def test_a_setting_that_a_protocol_does_not_have_is_refused_where_it_is_written() -> None:
    with pytest.raises(UserError, match="knn has no setting 'kk'"):
        knn(kk=3)


def test_controls_may_stand_in_contrasts() -> None:
    validate(replace(STUDY, contrasts=[compare("4", "random-features"), compare("2", "scratch")]))
    validate(replace(STUDY, contrasts=against("scratch")))


def target(**facts: Any) -> TargetFacts:
    return TargetFacts("t", "0" * 32, "t", "top1", **facts)


IMAGES: dict[str, tuple[dict[str, Any], TargetFacts, str]] = {
    "boxes without a detector": ({}, target(has_boxes=True), "has boxes"),
    "a detector without boxes": ({"protocols": [detect()]}, target(), "no boxes"),
    "neighbours of several labels": ({"protocols": [knn()]}, target(many_labels=True), "one label per image"),
    "a metric of boxes": ({"metric": "mAP"}, target(), "has no metric 'mAP' .*top1, top5"),
    "a metric of one label": ({"metric": "top5"}, target(many_labels=True), "has no metric 'top5'"),
    "the source's classes": ({"protocols": [probe(), induction(cut=1)]}, target(), "the source is not a target"),
    "a cut that is not there": ({"protocols": [induction(cut=7)]}, target(own_classes=True), "depths are from 0 to 2"),
}


@pytest.mark.parametrize("wrong", IMAGES)
def test_what_a_target_or_the_taxonomy_does_not_have_is_refused(wrong: str) -> None:
    changes, facts, told = IMAGES[wrong]
    with pytest.raises(UserError, match=told):
        validate(replace(STUDY, **changes), from_folders(["a/x", "a/y", "b/z"]), [facts])


def test_a_protocol_of_the_command_line_too(tmp_path: Path, folder: Callable[..., None]) -> None:
    folder(tmp_path / "photos", ("cat", "dog"))
    source = f"imagefolder:{tmp_path}/photos"
    for name, told in (("prbe", "did you mean probe"), ("induction", "choose one for class labels")):
        request = Request("images-per-class", source, ["digits"], tmp_path / "lab", device="cpu", protocol=name)
        with pytest.raises(UserError, match=told):
            prepare(request, lambda *_: pytest.fail("an image was decoded"))


@pytest.mark.parametrize("wrong", ["a protocol", "a metric", "a control", "an optimiser", "a contrast"])
def test_it_comes_before_any_image_is_decoded(wrong: str, tmp_path: Path, folder: Callable[..., None]) -> None:
    folder(tmp_path / "photos", ("cat", "dog"))
    changes, told = WORDS[wrong]
    study = replace(STUDY, source=f"imagefolder:{tmp_path}/photos", targets=["digits"], **changes)
    with pytest.raises(UserError, match=told):
        prepare(
            Request(study, None, (), tmp_path / "lab", device="cpu"), lambda *_: pytest.fail("an image was decoded")
        )
    assert not (tmp_path / "lab").exists()
