"""What a budget chooses: never more than it allows or the study asks for, and never less for a larger budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from transferlab import Study, against, compare, designs, ends, steps
from transferlab.contrasts import resolve
from transferlab.errors import UserError
from transferlab.plan import most_seen, reference_of
from transferlab.runners.budget import (
    LEAST_SEEDS,
    LEAST_SEEN,
    USEFUL_SEEDS,
    Size,
    choose,
    given_up,
    in_words,
    resized,
    seconds_of,
    size_of,
    sizes,
)
from transferlab.specs import Contrast, ContrastRule, Design, Epochs, Examples, Length, Recipe, UntilFlat

N_IMAGES = 5_000  # of the largest condition
KEPT = some.sets(some.sampled_from(["seeds", "length"]))
BUDGETS = some.floats(1.0, 1e7)


@some.composite
def studies(draw: some.DrawFn) -> Study:
    levels = sorted(draw(some.sets(some.integers(1, 10_000), min_size=2, max_size=7)))
    names = draw(some.lists(some.sampled_from(["some", "others", "all"]), unique=True, max_size=2))
    conditions: dict[int | str | float, Design] = {level: designs.images_per_class(level) for level in levels}
    conditions |= {name: designs.all_images() for name in names}
    of = list(conditions)
    contrasts: ContrastRule | list[Contrast] = draw(some.sampled_from([
        steps(), ends(), against(of[len(of) // 2]), [compare(of[0], of[len(of) // 2])] if len(of) > 2 else steps(),
    ]))  # fmt: skip
    length: Length = draw(some.one_of(
        some.integers(1, 10**7).map(Examples), some.floats(0.01, 1e3).map(Epochs), some.just(UntilFlat(2, 100, 90_000)),
    ))  # fmt: skip
    reference = draw(some.none() | some.sampled_from([str(level) for level in of]))
    return Study(source="toy", targets=["digits"], conditions=conditions, contrasts=contrasts, reference=reference,
                 seeds=draw(some.integers(1, 30)), recipe=Recipe(length=length))  # fmt: skip


def cost_of(study: Study) -> Callable[[Size], float]:
    """Every network trains at 1,000 images a second and is measured in ten seconds; two controls are trained."""

    def cost(size: Size) -> float:
        seen = most_seen(resized(study, size).recipe, N_IMAGES)
        return size.seeds * (len(size.levels) + 2) * (seen / 1_000 + 10)

    return cost


def chosen(study: Study, seconds: float, keep: set[str]) -> Size | None:
    try:
        return choose(sizes(study, N_IMAGES, keep), cost_of(study), seconds)
    except UserError:
        return None


@given(studies(), KEPT, BUDGETS)
def test_what_is_chosen_costs_no_more_than_the_budget_and_is_no_more_than_was_asked(
    study: Study, keep: set[str], seconds: float
) -> None:
    size, asked = chosen(study, seconds, keep), size_of(study)
    if size is None:
        assert min(map(cost_of(study), sizes(study, N_IMAGES, keep))) > 0.9 * seconds
        return
    assert cost_of(study)(size) <= 0.9 * seconds
    assert size.seeds <= asked.seeds
    assert size.length <= asked.length
    assert set(size.levels) <= set(asked.levels)


@given(studies(), KEPT, BUDGETS, BUDGETS)
def test_a_larger_budget_never_gives_less(study: Study, keep: set[str], one: float, other: float) -> None:
    less, more = (chosen(study, seconds, keep) for seconds in sorted((one, other)))
    if less is None:
        return
    assert more is not None
    assert less.seeds <= more.seeds
    assert less.length <= more.length
    assert set(less.levels) <= set(more.levels)


@given(studies(), KEPT)
def test_explicit_choices_ends_reference_and_compared_levels_stay(study: Study, keep: set[str]) -> None:
    asked = size_of(study)
    *_, least = sizes(study, N_IMAGES, keep)
    assert least.seeds == asked.seeds if "seeds" in keep else least.seeds >= min(asked.seeds, LEAST_SEEDS)
    if "length" in keep or isinstance(study.recipe.length, UntilFlat):
        assert least.length == asked.length
    before, after = (most_seen(resized(study, size).recipe, N_IMAGES) for size in (asked, least))
    assert after >= min(before, LEAST_SEEN)
    assert {asked.levels[0], asked.levels[-1], reference_of(study)} <= set(least.levels)
    assert [level for level in asked.levels if level in least.levels] == list(least.levels)
    smaller = resized(study, least)
    resolve(smaller.contrasts, least.levels)  # every contrast can still be answered
    assert reference_of(smaller) == reference_of(study)
    assert all(level in least.levels for level in study.conditions if isinstance(level, str))


def test_length_goes_to_one_pass_then_seeds_to_five_then_levels_then_length_and_at_last_seeds_to_three() -> None:
    study = Study(source="toy", targets=["digits"], conditions={n: designs.images_per_class(n) for n in (5, 10, 25, 50, 100)},
                  contrasts=steps(), seeds=7, recipe=Recipe(length=Examples(250_000)))  # fmt: skip
    told = list(sizes(study, 100_000))
    changed = ["length" if a.length != b.length else "seeds" if a.seeds != b.seeds else "levels"
               for a, b in pairwise(told)]  # fmt: skip
    assert [name for name, _ in groupby(changed)] == ["length", "seeds", "levels", "length", "seeds"]
    ends_of_stages = [told[i] for i in range(1, len(changed)) if changed[i] != changed[i - 1]]
    assert [size.length for size in ends_of_stages] == [100_000, 100_000, 100_000, LEAST_SEEN]
    assert [size.seeds for size in ends_of_stages] == [7, USEFUL_SEEDS, USEFUL_SEEDS, USEFUL_SEEDS]
    assert told[-1] == Size(LEAST_SEEDS, LEAST_SEEN, ("5", "100"))


def test_levels_whose_neighbours_are_closest_go_first() -> None:
    study = Study(source="toy", targets=["digits"], conditions={n: designs.images_per_class(n) for n in (5, 10, 25, 50, 100)},
                  contrasts=steps(), seeds=1, recipe=Recipe(length=Examples(1)))  # fmt: skip
    assert [size.levels for size in sizes(study, 10)] == [
        ("5", "10", "25", "50", "100"), ("5", "10", "25", "100"), ("5", "25", "100"), ("5", "100"),
    ]  # fmt: skip


def test_equal_passes_are_shortened_in_passes() -> None:
    study = Study(source="toy", targets=["digits"], conditions={"all": designs.all_images()}, contrasts=[], seeds=1,
                  recipe=Recipe(length=Epochs(20.0)))  # fmt: skip
    *_, least = sizes(study, N_IMAGES)
    assert resized(study, least).recipe.length == Epochs(4.8)  # 24,000 of 5,000 images
    *_, least = sizes(study, 10**6)
    assert resized(study, least).recipe.length == Epochs(0.024)


@pytest.mark.parametrize(("text", "seconds"), [
    ("90s", 90), ("30min", 1_800), ("2h", 7_200), ("1h30min", 5_400), (" 1 H 30 Min ", 5_400), ("0.5h", 1_800),
])  # fmt: skip
def test_times_are_read_as_one_writes_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "min", "0s", "-5min", "30 days", "5min1h", "1e400h", "nan"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserError, match="write for example 90s, 30min, 2h or 1h30min"):
        seconds_of(text)


@given(some.integers(1, 10**6))
def test_a_time_in_words_reads_back(seconds: int) -> None:
    assert seconds_of(in_words(seconds)) == seconds


def test_a_refusal_names_a_budget_that_is_enough() -> None:
    study = Study(source="toy", targets=["digits"], conditions={1: designs.all_images(), 2: designs.all_images()},
                  contrasts=[], seeds=5)  # fmt: skip
    with pytest.raises(UserError) as refused:
        choose(sizes(study, N_IMAGES), cost_of(study), 60)
    enough = refused.value.remedy.split("--budget ")[1].split(",")[0]
    assert chosen(study, seconds_of(enough), set()) is not None


def test_a_budget_that_went_into_preparing_is_told_apart_from_one_that_is_too_short() -> None:
    study = Study(source="toy", targets=["digits"], conditions={1: designs.all_images(), 2: designs.all_images()},
                  contrasts=[], seeds=1)  # fmt: skip
    with pytest.raises(UserError, match="has taken 5 min already.*repeat the command") as refused:
        choose(sizes(study, N_IMAGES), lambda _: 60.0, 300, lambda: 300.0)
    enough = seconds_of(refused.value.remedy.split("--budget ")[1].split(",")[0])
    assert choose(sizes(study, N_IMAGES), lambda _: 60.0, enough, lambda: 300.0) is not None


def test_what_is_given_up_is_told_in_words() -> None:
    asked, recipe = Size(5, 250_000, ("1", "2", "3", "4")), Recipe()
    assert given_up(asked, asked, recipe) == ""
    assert given_up(asked, replace(asked, seeds=3, length=24_000, levels=("1", "4")), recipe) == (
        "each network sees 24,000 examples instead of 250,000, 3 seeds are run instead of 5 and the levels 2 and 3 are left out"
    )
    passes = Recipe(length=Epochs(20.0))
    assert given_up(replace(asked, length=20.0), replace(asked, length=4.8, levels=("1", "2", "4")), passes) == (
        "each network makes 4.8 passes over its images instead of 20 and the level 3 is left out"
    )
