"""One budget of images: more classes, or more images per class?   (Huh et al. 2016; experiment E5)

For a half and a quarter of all images: all classes with fewer images each, against fewer classes with all theirs. With fewer
than eight classes a quarter of them is a single one, and the half stands alone.
The quarter also has a way in between, so that the best ratio of classes to images can be estimated there and predicted for
the half (Zhang et al. 2023). "Fewer classes" is a random choice of leaves, not a merge. Cost with five seeds on two cores
at 32 px: about 1 h 10 min (35 networks).
Expect: the paper found fewer classes with more images each slightly better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transferlab import designs
from transferlab.answers.points import points
from transferlab.answers.published import (
    Finding,
    conditions_of,
    finding_on,
    mean_of,
    minus,
    over_conditions,
    over_targets,
)
from transferlab.answers.study import StudyAnswers
from transferlab.contrasts import compare
from transferlab.questions import levels
from transferlab.questions.definition import Question
from transferlab.specs import Contrast, Design, Pack, Study


def study(source: Pack, targets: Sequence[Pack]) -> Study:
    """Ways to spend a half and a quarter of (classes × images of the smallest class); of few classes the half alone."""
    sizes = levels.class_sizes(source)
    n_classes, n_images = len(sizes), int(sizes.min())
    if n_classes < 4 or n_images < 4:
        raise levels.no_room(source, n_classes, n_images)
    conditions: dict[str | int | float, Design] = {}
    contrasts: list[Contrast] = []
    for share, word in ((4, "a quarter"), (2, "half")):
        if n_classes // share < 2:
            continue
        fewer = f"{word}: {n_classes // share} classes × {n_images}"
        more = f"{word}: {n_classes} classes × {n_images // share}"
        conditions[fewer] = designs.classes_by_images(n_classes // share, n_images)
        if share == 4:
            between = designs.classes_by_images(n_classes // 2, n_images // 2)
            conditions[f"{word}: {n_classes // 2} classes × {n_images // 2}"] = between
        conditions[more] = designs.classes_by_images(n_classes, n_images // share)
        contrasts.append(compare(fewer, more))
    return Study(
        name="classes-vs-images",
        question="One budget of images: more classes, or more images per class?",
        source="",
        targets=(),
        conditions=conditions,
        contrasts=contrasts,
    )


def paper(source: Pack, targets: Sequence[Pack]) -> Study:
    """Budgets of 500,000, 250,000 and 125,000 images of about a million, both ways, or these shares."""
    ways = levels.budgets(source)
    conditions: dict[str | int | float, Design] = {}
    contrasts: list[Contrast] = []
    for fewer, more in ways:
        names = [f"{n:,} classes × {each:,}" for n, each in (fewer, more)]
        conditions |= {name: designs.classes_by_images(*way) for name, way in zip(names, (fewer, more), strict=True)}
        contrasts.append(compare(names[0], names[1]))
    budgets = [f"{n * each:,}" for _, (n, each) in ways]
    return replace(
        study(source, targets),
        conditions=conditions,
        contrasts=contrasts,
        notes=levels.scaled(source, "budgets", [f"{budget:,}" for budget in levels.BUDGETS], budgets),
    )


def finding(study: StudyAnswers) -> Finding:
    """F4: fewer classes with more images each are better, on the mean over the budgets."""
    names = [c.name for c in conditions_of(study)]
    pairs = list(zip(names[::2], names[1::2], strict=True))  # of each budget: fewer classes, then all
    gains = [minus(over_targets(study, fewer), over_targets(study, more)) for fewer, more in pairs]
    what = "; ".join(f"{fewer} against {more} {points(mean_of(gain), signed=True)}"
                     for (fewer, more), gain in zip(pairs, gains, strict=True))  # fmt: skip
    return finding_on(
        "F4", "At one budget, fewer classes with more images each are slightly better.",
        "Fewer classes with more images each are slightly better; budgets and values are not known to us.",
        over_conditions(study, {name: sign / len(pairs) for pair in pairs for name, sign in zip(pair, (1, -1), strict=True)}),
        (0.0, np.inf), f"{what}; on average {{}} points",
    )  # fmt: skip


CLASSES_VS_IMAGES = Question(name="classes-vs-images", ask=study, paper=paper, finding=finding)
