"""Laws over every design, and each design's own promise."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transferlab import designs
from transferlab.errors import UserError
from transferlab.specs import TRAIN, Design, Pack, Subset
from transferlab.taxonomy import wordnet

EXAMPLES: dict[str, Design] = {
    "all_images": designs.all_images(),
    "images_per_class": designs.images_per_class(5),
    "random_classes": designs.random_classes(4),
    "labels_by_cut": designs.labels_by_cut(1),
    "labels_by_merge": designs.labels_by_merge(1),
    "labels_balanced": designs.labels_balanced(3),
    "coarse_matched": designs.coarse_matched(1),
    "fine_matched": designs.fine_matched(1),
    "classes_by_images": designs.classes_by_images(3, 4),
    "without": designs.without(["g0/c0", "g0/c2"]),
    "without_matched": designs.without_matched(["g0/c0", "g0/c2"]),
    "random_split": designs.random_split("A"),
    "minimal_split": designs.minimal_split("B"),
}

MakePack = Callable[..., Pack]


def test_every_design_has_an_example_here() -> None:
    assert set(EXAMPLES) == set(designs.DESIGNS)


def rows_of(subset: Subset) -> set[int]:
    return {int(r) for r in subset.rows}


@pytest.mark.parametrize("name", EXAMPLES)
def test_laws_over_every_design(name: str, make_pack: MakePack) -> None:
    pack = make_pack((12, 9, 14, 8, 10, 11))
    subset = designs.draw(EXAMPLES[name], pack, 0)
    assert (np.diff(subset.rows) > 0).all()
    assert (pack.split[subset.rows] == TRAIN).all()
    assert sorted(set(subset.labels.tolist())) == list(range(len(subset.label_names)))
    assert len(subset.label_names) == len(subset.members) == len(set(subset.label_names))
    for row, label in zip(subset.rows, subset.labels, strict=True):
        assert pack.taxonomy.leaves[int(pack.labels[row])] in subset.members[label]
    assert designs.draw(EXAMPLES[name], pack, 0).digest == subset.digest
    if name not in ("all_images", "labels_by_cut", "labels_by_merge", "labels_balanced", "without"):
        draws = {designs.draw(EXAMPLES[name], pack, seed).digest for seed in range(8)}
        assert len(draws) > 1
    if name in ("images_per_class", "random_classes", "fine_matched", "classes_by_images", "random_split"):
        twins = {designs.draw(EXAMPLES[name], pack, seed, replicate=1).digest for seed in range(8)}
        assert draws != twins
    facts = designs.facts(subset)
    assert facts.n_images == len(subset.rows)
    assert 1 <= facts.effective_labels <= facts.n_labels + 1e-9
    ids = designs.export_ids(subset, pack)
    assert len(set(ids)) == len(subset.rows)


@pytest.mark.parametrize("name", EXAMPLES)
def test_where_images_lie_in_the_pack_does_not_matter(name: str, make_pack: MakePack) -> None:
    pack = make_pack((12, 9, 14, 8, 10, 11))
    order = np.random.default_rng(3).permutation(len(pack.labels))
    moved = replace(pack, images=pack.images[order], labels=pack.labels[order], split=pack.split[order],
                    image_ids=pack.image_ids[order])  # fmt: skip
    here, there = designs.draw(EXAMPLES[name], pack, 0), designs.draw(EXAMPLES[name], moved, 0)
    assert set(designs.export_ids(here, pack)) == set(designs.export_ids(there, moved))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), small=st.integers(1, 7))
def test_a_larger_condition_contains_the_smaller(make_pack: MakePack, seed: int, small: int) -> None:
    pack = make_pack()
    few, more = (designs.draw(designs.images_per_class(n), pack, seed) for n in (small, small + 1))
    assert rows_of(few) < rows_of(more)
    assert len(few.rows) == small * 6
    narrow, wide = (designs.draw(designs.random_classes(n), pack, seed) for n in (2 + small % 3, 3 + small % 3))
    assert rows_of(narrow) < rows_of(wide)


def test_short_classes_are_refused_or_keep_what_they_have(make_pack: MakePack) -> None:
    pack = make_pack((12, 3, 12, 12, 12, 12))
    with pytest.raises(UserError, match="from 1 to 3"):
        designs.draw(designs.images_per_class(8), pack, 0)
    kept = designs.draw(designs.images_per_class(8, short="keep"), pack, 0)
    assert np.bincount(kept.labels).tolist() == [8, 3, 8, 8, 8, 8]


def test_coarse_and_fine_arms_match_label_by_label(make_pack: MakePack) -> None:
    pack = make_pack((12, 9, 14, 8, 10, 11))
    for seed in range(5):
        coarse, fine = (designs.draw(d(1), pack, seed) for d in (designs.coarse_matched, designs.fine_matched))
        assert all(len(m) == 1 for m in fine.members)
        images = dict(zip(fine.label_names, np.bincount(fine.labels).tolist(), strict=True))
        for n, members in zip(np.bincount(coarse.labels).tolist(), coarse.members, strict=True):
            assert [images[leaf] for leaf in members if leaf in images] == [n]
        leaves = pack.labels[coarse.rows]
        for label in range(2):
            counts = np.bincount(leaves[coarse.labels == label])
            assert np.ptp(counts[counts > 0]) <= 1  # in equal parts from all the classes merged


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(2, 30), min_size=5, max_size=9), st.integers(0, 99))
def test_the_matched_control_has_as_many_classes_and_images(make_pack: MakePack, sizes: list[int], seed: int) -> None:
    pack = make_pack(tuple(sizes))
    gone = [pack.taxonomy.leaves[0], pack.taxonomy.leaves[3]]
    without, matched = (designs.draw(d(gone), pack, seed) for d in (designs.without, designs.without_matched))
    assert len(without.rows) == len(matched.rows)
    assert len(without.label_names) == len(matched.label_names)
    assert not set(gone) & set(without.label_names)
    assert set(gone) <= set(matched.label_names)


@pytest.mark.parametrize("sizes", [[30, 3, 8, 8, 5, 20], [4, 4, 40, 41, 40, 9]])
def test_the_larger_arm_gives_up_the_last_images_of_its_largest_classes(make_pack: MakePack, sizes: list[int]) -> None:
    pack = make_pack(tuple(sizes))
    for nodes in (["g0/c0"], ["g1/c1", "g0/c4"], ["g1"]):
        arms = [designs.draw(make(nodes), pack, 1) for make in (designs.without, designs.without_matched)]
        for arm in arms:
            keep = {leaf: sizes[pack.taxonomy.leaves.index(leaf)] for leaf in arm.label_names}
            while sum(keep.values()) > min(len(each.rows) for each in arms):
                largest = max(keep.values())
                keep[next(leaf for leaf in pack.taxonomy.leaves if keep.get(leaf) == largest)] -= 1
            assert np.bincount(arm.labels).tolist() == [keep[leaf] for leaf in arm.label_names]


def test_designs_that_share_a_draw_take_what_each_would_take_alone(make_pack: MakePack) -> None:
    pack, other = make_pack((12, 9, 14, 8, 10, 11)), make_pack((9, 9, 9, 9), seed=1)
    made = [designs.images_per_class(5), designs.random_classes(3), designs.shuffled(designs.all_images())]
    drawn = [designs.Draw(each, 4, 1) for each in (pack, other)]
    together = [designs.take(design, each).digest for design in made for each in drawn]
    assert together == [designs.draw(design, each, 4, 1).digest for design in made for each in (pack, other)]


def test_balanced_labels_have_all_images_and_are_as_many_and_as_even_as_asked(make_pack: MakePack) -> None:
    pack = make_pack((40, 2, 5, 30, 8, 15, 20, 10))
    every = designs.draw(designs.all_images(), pack, 0)
    for n in range(2, 9):
        subset = designs.draw(designs.labels_balanced(n), pack, n)
        assert len(subset.label_names) == n and (subset.rows == every.rows).all()
    even, by_depth = (designs.facts(designs.draw(d, pack, 0))
                      for d in (designs.labels_balanced(2), designs.labels_by_cut(1)))  # fmt: skip
    assert even.effective_labels >= by_depth.effective_labels


def test_nodes_to_leave_out_may_be_named_as_synsets_and_class_lists(make_pack: MakePack) -> None:
    leaves = ["n02099601", "n02123045", "n02129165", "n02391049", "n07753592", "n04487081"]  # retriever, tabby, …
    pack = replace(make_pack(), taxonomy=wordnet.above({leaf: leaf for leaf in leaves}))
    for nodes in (["dog.n.01", "cat.n.01"], ["n02084071", "n02121620"], ["golden retriever", "n02123045", "cow.n.02"]):
        assert set(leaves[2:]) == set(designs.draw(designs.without(nodes), pack, 0).label_names)
    assert set(leaves[2:5]) == set(designs.draw(designs.without(["pascal-voc"]), pack, 0).label_names)  # and the bus
    with pytest.raises(UserError, match="no class is left out"):
        designs.draw(designs.without(["cow.n.02"]), pack, 0)
    with pytest.raises(UserError, match="7 senses"):
        designs.draw(designs.without(["dog"]), pack, 0)


def test_splits_are_halves_and_minimal_ones_follow_the_taxonomy(make_pack: MakePack) -> None:
    pack = make_pack((5,) * 8, groups=2)
    for split in (designs.random_split, designs.minimal_split):
        a, b, both = (designs.draw(split(part), pack, 1) for part in ("A", "B", "A+B"))
        assert not rows_of(a) & rows_of(b)
        assert rows_of(a) | rows_of(b) == rows_of(both)
        assert len(a.label_names) == len(b.label_names) == 4
    groups = [
        {name.split("/")[0] for name in designs.draw(designs.minimal_split(p), pack, 1).label_names} for p in "AB"
    ]
    assert not groups[0] & groups[1]


def test_shuffled_labels_keep_rows_and_counts(make_pack: MakePack) -> None:
    pack = make_pack((12, 9, 14, 8, 10, 11))
    plain = designs.draw(designs.images_per_class(5), pack, 0)
    shuffled = designs.draw(designs.shuffled(designs.images_per_class(5)), pack, 0)
    assert (shuffled.rows == plain.rows).all()
    assert (np.bincount(shuffled.labels) == np.bincount(plain.labels)).all()
    assert (shuffled.labels != plain.labels).mean() > 0.5


@pytest.mark.parametrize(
    "design",
    [
        designs.images_per_class(0), designs.images_per_class(99), designs.random_classes(1), designs.random_classes(7),
        designs.labels_by_cut(0), designs.labels_by_cut(9), designs.labels_balanced(1), designs.labels_balanced(7), designs.labels_by_merge(5), designs.coarse_matched(7),
        designs.classes_by_images(3, 99), designs.without(["nothing"]), designs.without(["g0", "g1"]),
        designs.random_split("C"), Design("images_per_klass", {"n": 3}), Design("images_per_class", {"m": 3}),  # pyright: ignore
    ],
)  # fmt: skip
def test_impossible_levels_and_unknown_names_are_the_users_mistake(design: Design, make_pack: MakePack) -> None:
    with pytest.raises(UserError):
        designs.draw(design, make_pack(), 0)


def test_a_design_takes_its_settings_by_position_or_by_name_and_says_which() -> None:
    by_name = designs.images_per_class(n=5, short="keep")
    assert by_name == designs.images_per_class(5, "keep") == Design("images_per_class", {"n": 5, "short": "keep"})
    assert designs.images_per_class(5) == Design("images_per_class", {"n": 5, "short": "error"})
    assert designs.without(["g0"]) == Design("without", {"nodes": ("g0",)})
    assert str(inspect.signature(designs.images_per_class)).startswith("(n, short='error')")
    with pytest.raises(TypeError, match="missing a required argument: 'n'"):
        designs.images_per_class()


@pytest.mark.parametrize(
    "design",
    [
        designs.images_per_class(0), designs.images_per_class(2.5), designs.images_per_class(5, short="drop"),
        designs.random_split("C"), designs.without("g0"), designs.shuffled(designs.random_classes(1)),
        Design("images_per_klass", {"n": 3}), Design("images_per_class", {"m": 3}), Design("images_per_class", {}),
    ],
)  # fmt: skip
def test_settings_that_no_data_could_make_right_are_refused_without_data(design: Design) -> None:
    with pytest.raises(UserError):
        designs.check(design)


def test_a_multi_label_source_is_refused(make_pack: MakePack) -> None:
    with pytest.raises(UserError, match="several labels"):
        designs.draw(designs.all_images(), make_pack(multi_label=True), 0)


def test_design_knobs_are_plain_data() -> None:
    values: list[Any] = [v for d in EXAMPLES.values() for v in d.knobs.values()]
    assert all(isinstance(v, (int, float, str, tuple)) for v in values)


FLAWS: dict[str, Callable[[Subset], Any]] = {
    "it has no images": lambda s: replace(s, rows=s.rows[:0], labels=s.labels[:0]),
    "None is no Subset": lambda s: None,
    "not ascending": lambda s: replace(s, rows=np.repeat(s.rows, 2), labels=np.repeat(s.labels, 2)),
    "differ in number": lambda s: replace(s, labels=s.labels[1:]),
    "no training images": lambda s: replace(s, rows=s.rows + 10**6),
    "not the numbers 0 to": lambda s: replace(s, labels=s.labels + 7),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_a_design_from_outside_draws_must_be_a_part_of_the_training_images(
    flaw: str, make_pack: MakePack, bring: Callable[..., None]
) -> None:
    made = designs.DesignDefinition(
        name="mine", draw=lambda drawn: FLAWS[flaw](designs.take(designs.all_images(), drawn))
    )
    bring(designs.DESIGNS, made)
    with pytest.raises(UserError, match=flaw):
        designs.draw(made(), make_pack(), 0)
