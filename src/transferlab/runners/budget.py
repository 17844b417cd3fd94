"""Chooses how much of a study fits into a given time; pure, given what each size of the study costs.

A study gives up, step by step and only as much as it must:

1. length, down to one pass over the largest condition and no less than the recipe "quick" sees: below one pass more images
   cannot help, and below "quick" networks are hardly better than random features;
2. seeds, down to five: an interval of five is about twice as narrow as one of three (Student's t: 2.8 against 4.3);
3. levels between others, the one first whose neighbours are closest; the ends, the reference, levels that are words and
   levels that a contrast names stay;
4. length, down to that of "quick";
5. seeds, down to three, below which there is no interval.

So a larger budget never gives less of anything. Nothing grows beyond what the study asks for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from transferlab.engine.recipes import RECIPES
from transferlab.errors import UserError
from transferlab.plan import most_seen, reference_of
from transferlab.specs import ContrastRule, Epochs, Recipe, Study, UntilFlat
from transferlab.text import listed, number_of

LEAST_SEEN = most_seen(RECIPES["quick"], 0)
USEFUL_SEEDS, LEAST_SEEDS = 5, 3
SHORTER, FEWER = 0.9, 0.9  # a step of length, and of many seeds
RESERVE = 0.1  # share of the budget that is not planned for, since the estimate may be too low
LEAST_PASSES = 0.01
UNITS = {"h": 3600, "min": 60, "s": 1}
WRITTEN = re.compile(r"\s*".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?)\s*{unit})?" for unit in UNITS), re.IGNORECASE)


@dataclass(frozen=True)
class Size:
    """How large a study is.

    Args:
        length: of each pre-training, in the unit of its recipe: examples seen, or passes over the subset.
        levels: names of the conditions in order, without controls.
    """

    seeds: int
    length: float
    levels: tuple[str, ...]


def seconds_of(text: str) -> float:
    """Seconds of a time such as "90s", "30min", "2h" or "1h30min".

    Raises:
        UserError: another text, or no time at all.
    """
    found = WRITTEN.fullmatch(text.strip())
    parts = {unit: float(number) for unit, number in found.groupdict().items() if number} if found else {}
    seconds = sum(number * UNITS[unit] for unit, number in parts.items())
    if not 0 < seconds < math.inf:
        raise UserError(f"{text!r:.40} is no length of time", "--budget", "write for example 90s, 30min, 2h or 1h30min")
    return seconds


def size_of(study: Study) -> Size:
    """The size that a study asks for."""
    return Size(study.seeds, _length(study.recipe), tuple(map(str, study.conditions)))


def resized(study: Study, size: Size) -> Study:
    """The study at another size."""
    conditions = {level: design for level, design in study.conditions.items() if str(level) in size.levels}
    return replace(study, seeds=size.seeds, conditions=conditions, recipe=_with_length(study.recipe, size.length))


def sizes(study: Study, n_images: int, keep: Collection[str] = ()) -> Iterator[Size]:
    """The sizes of a study from the whole of it to the least, each a little less than the one before in one respect.

    Args:
        n_images: of the largest condition.
        keep: what the user has fixed: "seeds", "length".
    """
    size = size_of(study)
    yield size
    at_least = _least_length(study.recipe, n_images, LEAST_SEEN)
    one_pass = max(at_least, _least_length(study.recipe, n_images, n_images))
    order: tuple[Callable[[Size], Iterator[Size]], ...] = (
        partial(_shorter, least=one_pass, keep=keep),
        partial(_fewer_seeds, least=USEFUL_SEEDS, keep=keep),
        partial(_fewer_levels, study=study),
        partial(_shorter, least=at_least, keep=keep),
        partial(_fewer_seeds, least=LEAST_SEEDS, keep=keep),
    )
    for step in order:
        for smaller in step(size):
            yield smaller
            size = smaller


def choose(
    choices: Iterable[Size], cost: Callable[[Size], float], seconds: float, spent: Callable[[], float] = lambda: 0.0
) -> Size:
    """The first size that fits into the budget, a reserve aside.

    Args:
        cost: seconds that a size takes.
        spent: seconds of the budget that have passed.

    Raises:
        UserError: not even the cheapest fits.
    """
    costs: list[float] = []
    for size in choices:
        costs.append(cost(size))
        if costs[-1] <= (seconds - spent()) * (1 - RESERVE):  # asked now, since the first cost may be measured
            return size
    least, gone = min(costs) / (1 - RESERVE), spent()
    enough = in_words(_in_minutes(least))
    if least > seconds:
        raise UserError(
            f"{in_words(seconds)} is too short: the least of this study that can be answered takes {enough}", "--budget",
            f"write --budget {enough.replace(' ', '')}, or take fewer targets, a smaller --size or a smaller --backbone",
        )  # fmt: skip
    with_both = in_words(_in_minutes(least + gone))
    raise UserError(
        f"{in_words(seconds)} is too short: the least of this study that can be answered takes {enough}, and preparing it has taken "
        f"{in_words(gone)} already", "--budget",
        f"write --budget {with_both.replace(' ', '')}, or repeat the command, since images that are packed need not be packed again",
    )  # fmt: skip


def _in_minutes(seconds: float) -> float:
    """Rounded up to whole minutes above one."""
    return 60 * math.ceil(seconds / 60) if seconds > 60 else seconds


def given_up(asked: Size, chosen: Size, recipe: Recipe) -> str:
    """What a smaller size gives up, in words; "" if nothing."""
    found: list[str] = []
    if chosen.length < asked.length:
        now, before = (f"{round(length, 4):,.15g}" for length in (chosen.length, asked.length))
        by_passes = isinstance(recipe.length, Epochs)
        each = ("each network makes", "passes over its images") if by_passes else ("each network sees", "examples")
        found.append(f"{each[0]} {now} {each[1]} instead of {before}")
    if chosen.seeds < asked.seeds:
        found.append(f"{number_of(chosen.seeds, 'seed is', 'seeds are')} run instead of {asked.seeds:,}")
    if left_out := [level for level in asked.levels if level not in chosen.levels]:
        are = "level {} is" if len(left_out) == 1 else "levels {} are"
        found.append(f"the {are.format(listed(left_out))} left out")
    return listed(found)


def in_words(seconds: float) -> str:
    """A time exactly, to whole seconds upwards: "45 s", "30 min", "2 h 30 min"."""
    left, found = math.ceil(seconds), list[str]()
    for unit, size in UNITS.items():
        n, left = divmod(left, size)
        found += [f"{n} {unit}"] if n else []
    return " ".join(found)


def _length(recipe: Recipe) -> float:
    length = recipe.length
    return length.max_examples if isinstance(length, UntilFlat) else length.n


def _with_length(recipe: Recipe, length: float) -> Recipe:
    if length == _length(recipe):
        return recipe
    now = recipe.length
    return replace(recipe, length=Epochs(length) if isinstance(now, Epochs) else replace(now, n=int(length)))


def _least_length(recipe: Recipe, n_images: int, seen: int) -> float:
    """The length at which the largest condition's networks see so many examples; trainings until flat keep their own."""
    if isinstance(recipe.length, UntilFlat):
        return math.inf
    if isinstance(recipe.length, Epochs):
        return max(LEAST_PASSES, math.ceil(1e4 * seen / n_images) / 1e4)
    return seen


def _shorter(size: Size, least: float, keep: Collection[str]) -> Iterator[Size]:
    while size.length > least and "length" not in keep:
        size = replace(size, length=max(least, float(f"{SHORTER * size.length:.2g}")))
        yield size


def _fewer_seeds(size: Size, least: int, keep: Collection[str]) -> Iterator[Size]:
    while size.seeds > least and "seeds" not in keep:
        size = replace(size, seeds=max(least, min(size.seeds - 1, int(FEWER * size.seeds))))
        yield size


def _fewer_levels(size: Size, study: Study) -> Iterator[Size]:
    """Without one after the other of the levels that may go; of equally close neighbours the first."""
    numbers = {str(level): float(level) for level in study.conditions if not isinstance(level, str)}
    stay = _named(study) | {reference_of(study), size.levels[0], size.levels[-1]}
    while free := [level for level in size.levels if level in numbers and level not in stay]:
        gaps = {level: _gap(size.levels, numbers, level) for level in free}
        gone = min(free, key=lambda level: gaps[level])
        size = replace(size, levels=tuple(level for level in size.levels if level != gone))
        yield size


def _named(study: Study) -> set[str]:
    """The conditions that the study's contrasts name."""
    rule = study.contrasts
    if isinstance(rule, ContrastRule):
        return set() if rule.base is None else {rule.base}
    return {name for contrast in rule for name, weight in contrast.weights.items() if weight}


def _gap(levels: tuple[str, ...], numbers: dict[str, float], level: str) -> float:
    """How far apart the neighbours of a level are: their ratio if it exists, since levels mostly grow by factors."""
    at = levels.index(level)
    low, high = (numbers.get(levels[i], numbers[level]) for i in (at - 1, at + 1))
    return abs(math.log(high / low)) if low > 0 and high > 0 else abs(high - low)
