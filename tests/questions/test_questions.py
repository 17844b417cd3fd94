"""The paper's questions: each plans on any source that allows it, and says what it needs on one that does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transferlab import designs
from transferlab.errors import UserError
from transferlab.plan import Place, make_plan
from transferlab.planned import Plan, SourceFacts
from transferlab.questions import QUESTIONS, load
from transferlab.questions.coarse_vs_fine import depths
from transferlab.questions.levels import class_sizes
from transferlab.specs import Pack, Study, Subset, TargetFacts
from transferlab.taxonomy import classlists
from transferlab.taxonomy.readers import from_folders
from transferlab.taxonomy.tree import build

MakePack = Callable[..., Pack]


def planned(study: Study, source: Pack, targets: Sequence[Pack]) -> tuple[Plan, dict[str, Subset]]:
    """The plan of a question, and its subsets by digest."""
    kept: dict[str, Subset] = {}
    names = study.targets or [f"t{i}" for i in range(len(targets))]
    references = [TargetFacts(name, pack.digest, name) for name, pack in zip(names, targets, strict=False)]
    plan = make_plan(replace(study, source="s", targets=[r.spec for r in references], seeds=2),
                     (SourceFacts("s", source.digest, source.name), source), references, Place("cpu", "fp32"),
                     lambda subset: kept.update({subset.digest: subset}))  # fmt: skip
    return plan, kept


def target_of(source: Pack, make_pack: MakePack) -> Pack:
    """A target with one class called like one of the source's."""
    pack = make_pack((12, 12), groups=1, seed=9, name="target")
    return replace(pack, taxonomy=from_folders([source.taxonomy.leaves[0], "something else"]))


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("sizes", [(12,) * 8, (40, 5, 7, 20, 4, 4, 9, 30, 6)])
def test_every_question_plans_with_contrasts_between_its_conditions(
    name: str, sizes: tuple[int, ...], make_pack: MakePack
) -> None:
    source = make_pack(sizes)
    targets = [target_of(source, make_pack)]
    study = QUESTIONS[name].ask(source, targets)
    plan, subsets = planned(study, source, targets)
    conditions = [c.name for c in plan.conditions if not c.is_control]
    assert (plan.name, len(set(conditions))) == (name, len(conditions))
    assert plan.question.endswith("?")
    assert len(conditions) >= 2
    assert plan.contrasts
    assert len({c.name for c in plan.contrasts}) == len(plan.contrasts)
    for contrast in plan.contrasts:
        assert sum(contrast.weights.values()) == pytest.approx(0, abs=1e-9)
        assert {n for n, weight in contrast.weights.items() if weight} <= set(conditions)
        assert 0 < contrast.margin < 1
    assert {c.name for c in plan.conditions if c.is_control} == {"scratch", "random-features", "shuffled-labels", "a/a"}
    for t in plan.trainings:
        subset = subsets[t.cell.subset]
        assert len(subset.label_names) >= 2
        assert len(subset.rows) >= 2
    compared = [{next(t.cell.subset for t in plan.trainings if (t.condition, t.seed) == (n, 0)) for n in c.weights}
                for c in plan.contrasts]  # fmt: skip
    assert all(len(digests) == len(c.weights) for digests, c in zip(compared, plan.contrasts, strict=True))


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_told_by_its_file(name: str) -> None:
    text = str(import_module(QUESTIONS[name].ask.__module__).__doc__)
    assert "?" in text.split("\n")[0]
    for word in ("Huh et al. 2016", "Cost with five seeds", "Expect:"):
        assert word in text


def test_matched_questions_match_images_and_labels(make_pack: MakePack) -> None:
    source = make_pack((40, 15, 17, 20, 14, 14, 19, 30))
    targets = [target_of(source, make_pack)]

    def sizes(name: str) -> dict[str, tuple[int, int]]:
        plan, subsets = planned(QUESTIONS[name].ask(source, targets), source, targets)
        first = {t.condition: subsets[t.cell.subset] for t in plan.trainings if t.seed == 1}
        return {name: (len(s.rows), len(s.label_names)) for name, s in first.items()}

    coarse = sizes("coarse-vs-fine")
    assert coarse["2 coarse"] == coarse["2 fine"]
    budget = sizes("classes-vs-images")
    assert budget["half: 4 classes × 14"] == (56, 4)
    assert budget["half: 8 classes × 7"] == (56, 8)
    assert [size for name, size in budget.items() if name.startswith("a quarter")] == [(28, 2), (28, 4), (24, 8)]
    few = make_pack((9,) * 5)
    assert list(QUESTIONS["classes-vs-images"].ask(few, targets).conditions) == [
        "half: 2 classes × 9",
        "half: 5 classes × 4",
    ]
    left_out = sizes("exclude-target")
    assert left_out["without the target's classes"] == left_out["without as many others"]


IMPOSSIBLE: dict[str, tuple[str, Sequence[int], str]] = {
    "one image a class": ("images-per-class", (1,) * 6, "median, too few to take fewer .*at least 4 images"),
    "two classes": ("class-count", (9, 9), "2 classes are too few .*at least 3 classes"),
    "three classes to divide": ("classes-vs-images", (9,) * 3, "3 classes .*at least 4 classes of at least 4"),
    "three images to divide": ("classes-vs-images", (9, 9, 9, 3), "at least 3 training images .*at least 4 training"),
    "a class without images": ("classes-vs-images", (9, 9, 9, 9, 0), "at least 0 training images"),
    "three classes to halve": ("more-data", (9,) * 3, "3 classes .*at least 4 classes"),
    "nothing shared": ("exclude-target", (9,) * 6, "0 of the source's 6 classes"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_a_source_that_allows_no_comparison_is_told_with_what_is_needed(case: str, make_pack: MakePack) -> None:
    name, sizes, told = IMPOSSIBLE[case]
    source = make_pack(tuple(sizes))
    stranger = replace(source, taxonomy=from_folders([f"other {i}" for i in range(len(sizes))]))
    with pytest.raises(UserError, match=told) as refused:
        QUESTIONS[name].ask(source, [stranger])
    assert refused.value.where == source.name


@pytest.mark.parametrize("name", ["coarse-vs-fine", "coarse-to-fine"])
def test_a_flat_source_has_no_coarse_labels(name: str, make_pack: MakePack) -> None:
    source = make_pack()
    flat = replace(source, taxonomy=from_folders([f"c{i}" for i in range(6)]))
    with pytest.raises(UserError, match="nest the class folders"):
        QUESTIONS[name].ask(flat, [])
    assert "A (far apart)" not in QUESTIONS["more-data"].ask(flat, []).conditions
    assert "A (far apart)" in QUESTIONS["more-data"].ask(source, []).conditions


def test_too_many_shared_classes_leave_nothing_to_train_on(make_pack: MakePack) -> None:
    source = make_pack()
    with pytest.raises(UserError, match=r"6 of the source's 6 classes .*designs\.without"):
        QUESTIONS["exclude-target"].ask(source, [source])


@pytest.mark.parametrize("name", ["images-per-class", "classes-vs-images"])
def test_images_with_several_labels_are_no_source(name: str, make_pack: MakePack) -> None:
    with pytest.raises(UserError, match="several labels"):
        QUESTIONS[name].ask(make_pack(multi_label=True), [])


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_ends_in_a_traceback_on_several_labels(name: str, make_pack: MakePack) -> None:
    source = make_pack((12,) * 8, multi_label=True)
    targets = [target_of(source, make_pack)]
    with pytest.raises(UserError, match="several labels"):
        planned(QUESTIONS[name].ask(source, targets), source, targets)


def test_cuts_with_equally_many_labels_are_one_condition(make_pack: MakePack) -> None:
    leaves = [f"c{i}" for i in range(8)]
    chain = [(f"c{i}", f"low{i // 4}") for i in range(8)] + [(f"low{g}", f"high{g}") for g in (0, 1)]
    tree = build([*chain, ("high0", "all"), ("high1", "all")], leaves, {})
    source = replace(make_pack((12,) * 8), taxonomy=tree)
    assert depths(source) == [2]
    study = QUESTIONS["coarse-vs-fine"].ask(source, [])
    assert list(study.conditions) == ["2 coarse", "2 fine"]
    assert list(QUESTIONS["coarse-to-fine"].ask(source, []).conditions) == ["2 labels", "8 classes"]


def test_shared_classes_are_found_by_any_of_their_names_and_by_groups_above_them(make_pack: MakePack) -> None:
    source = make_pack()  # classes g0/c0, g1/c1, g0/c2, …
    named = replace(source, taxonomy=build(
        [(leaf, leaf.split("/")[0]) for leaf in source.taxonomy.leaves] + [("g0", "all"), ("g1", "all")],
        source.taxonomy.leaves, {"g1/c1": "Dog, domestic dog", "g0": "bird"}))  # fmt: skip
    target = make_pack((9, 9), groups=1)

    def shared(*classes: str) -> object:
        study = QUESTIONS["exclude-target"].ask(named, [replace(target, taxonomy=from_folders(classes))])
        return study.conditions["without the target's classes"].knobs["nodes"]

    assert shared("domestic dog", "x") == ("g1/c1",)
    assert shared("bird", "x") == ("g0/c0", "g0/c2", "g0/c4")
    with pytest.raises(UserError, match="0 of the source's 6 classes"):
        shared("all", "do")


def test_a_study_without_the_targets_classes_says_what_it_left_out_and_what_it_did_not_find(
    make_pack: MakePack,
) -> None:
    wnids = ["n02099601", "n02391049", "n02129165", "n07753592", "n03670208", "n04252077"]
    source = replace(make_pack(name="photographs"), taxonomy=from_folders(wnids))
    voc = list(classlists.read("pascal-voc"))
    target = replace(make_pack((3,) * 20, groups=1, name="voc"), taxonomy=from_folders(voc))
    study = QUESTIONS["exclude-target"].ask(source, [target])
    assert study.conditions["without the target's classes"].knobs["nodes"] == ("n02099601", "n03670208")
    first, absent, whole, beside = study.notes
    assert first == "Left out for voc: car 1, dog 1."
    assert absent.startswith("No class of photographs is, or lies under, voc's aeroplane, bicycle,") and "cow" in absent
    assert whole == "Left out in all, 2 of 6 classes: n02099601 (golden retriever), n03670208 (limousine)."
    assert "zebra" in beside
    plan, _ = planned(study, source, [target])
    assert plan.notes == study.notes
    strange = replace(target, taxonomy=from_folders(["crane", "blurb 7"]))
    with pytest.raises(UserError, match=r"0 of the source's 6 .*2 of the targets' .*: crane, blurb 7 .*class,wnid"):
        QUESTIONS["exclude-target"].ask(source, [strange])


@given(st.lists(st.integers(0, 60), min_size=2, max_size=12).filter(lambda sizes: max(sizes) > 0))
def test_levels_are_possible_ascending_and_end_with_all(sizes: list[int]) -> None:
    source = _of_sizes(sizes)
    median = int(np.median(sizes))
    try:
        levels = list(QUESTIONS["images-per-class"].ask(source, []).conditions)
    except UserError:
        assert median < 2
        return
    assert levels == sorted(set(levels))
    assert levels[-1] == median
    assert class_sizes(source).tolist() == sizes
    drawn = [
        len(designs.draw(d, source, 0).rows) for d in QUESTIONS["images-per-class"].ask(source, []).conditions.values()
    ]
    assert drawn == sorted(drawn)


def _of_sizes(sizes: Sequence[int]) -> Pack:
    """A pack of so many training images, without pixels worth the name."""
    n = sum(sizes)
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    zeros = np.zeros((n, 1, 1, 3), np.uint8)
    ids, unit = np.arange(n, dtype=np.uint64), np.ones(3, np.float32)
    leaves = [f"c{i:02d}" for i in range(len(sizes))]
    return Pack("sized", Path(), zeros, labels, np.zeros(n, np.uint8), ids, from_folders(leaves), unit, unit, "0" * 32)


def test_names_and_files_take_one_road(tmp_path: Path, make_pack: MakePack) -> None:
    file = tmp_path / "my_study.py"
    file.write_text(
        "from transferlab import Study, designs, ends\n"
        "study = Study(source='s', targets=['t'], conditions={n: designs.images_per_class(n) for n in (2, 6)},\n"
        "              contrasts=ends(margin=0.02), name='mine', unit='images')\n"
    )
    study = load(str(file))
    assert isinstance(study, Study)
    source = make_pack()
    plan, _ = planned(study, source, [source])
    assert [c.name for c in plan.contrasts] == ["6 against 2"]
    assert load("class-count") is QUESTIONS["class-count"]


def test_a_file_is_read_anew_whatever_was_read_before(tmp_path: Path) -> None:
    file = tmp_path / "my_study.py"
    for seeds in (3, 4, 5):  # of one size, within one second
        file.write_text("from transferlab import Study, designs\n"
                        f"study = Study('s', ['t'], {{'all': designs.all_images()}}, [], seeds={seeds})\n")  # fmt: skip
        study = load(str(file))
        assert isinstance(study, Study)
        assert study.seeds == seeds
    assert [p.name for p in tmp_path.iterdir()] == ["my_study.py"]
