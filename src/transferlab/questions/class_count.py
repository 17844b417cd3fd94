"""How many classes are enough?   (Huh et al. 2016, number of classes; experiment E2, leaves left out at random)

Random, nested choices of 10, 25, 50 and 100 % of the classes with all their images, at a fixed number of examples
seen. Cost with five seeds on two cores at 32 px: about 1 h (30 networks).
Expect: more classes help, the last doubling least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transferlab import contrasts, designs
from transferlab.answers import published
from transferlab.answers.study import StudyAnswers
from transferlab.contrasts import against
from transferlab.errors import UserError
from transferlab.questions import levels
from transferlab.questions.definition import Question
from transferlab.specs import Pack, Study

SHARES = (0.1, 0.25, 0.5, 1.0)


def study(source: Pack, targets: Sequence[Pack]) -> Study:
    """Levels are shares of the number of classes, two classes at the least."""
    n_classes = len(source.taxonomy.leaves)
    counts = sorted({max(2, round(share * n_classes)) for share in SHARES})
    if len(counts) < 2:
        raise UserError(f"{n_classes} classes are too few to take fewer", source.name, "bring at least 3 classes")
    return Study(
        name="class-count",
        question="How many classes are enough?",
        unit="classes",
        source="",
        targets=(),
        conditions={n: designs.random_classes(n) for n in counts},
        contrasts=contrasts.levels(margin=0.01),
    )


def paper(source: Pack, targets: Sequence[Pack]) -> Study:
    """All images under label sets of 9, 79, 127, 486, 753 and 918 labels, against the 1,000 classes, or these shares."""
    conditions = levels.label_sets(source)
    return replace(
        study(source, targets),
        question="All images under fewer labels: how many labels are enough?",
        unit="",
        conditions=dict(conditions),
        contrasts=against(list(conditions)[-1], margin=0.01),
        notes=levels.scaled(source, "label sets", [*levels.LABELS, "127 (merged)", 1000], list(conditions)),
    )


def finding(study: StudyAnswers) -> published.Finding:
    """F2: an eighth of the labels costs a small share of the gain over random features."""
    whole, few = published.all_and_few_labels(study)
    best = published.over_targets(study, whole.name)
    loss = published.share(
        published.minus(best, published.over_targets(study, few.name)),
        published.minus(best, published.over_targets(study, published.floor_of(study))),
    )
    better = published.better_on(study, few.name, whole.name)
    return published.finding_on(
        "F2", "An eighth of the labels costs little of the gain over random features; on some task fewer labels are better.",
        "127 instead of 1,000 labels cost 2.8 points of detection mAP (project page); on at least one task fewer are better.",
        published.over_seeds(loss), (-np.inf, published.SMALL_LOSS),
        f"{few.n_labels} labels ({few.effective_labels:.1f} effective) instead of {whole.n_labels} cost {{}} % of the gain over "
        f"random features; fewer are significantly better on {', '.join(better) or 'no target'}",
        signed=False, nothing=published.NO_SHARE,
    )  # fmt: skip


CLASS_COUNT = Question(name="class-count", ask=study, paper=paper, finding=finding)
