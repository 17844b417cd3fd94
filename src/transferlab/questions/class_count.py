"""How many classes are enough?   (Huh et al. 2016, number of classes; experiment E2, leaves left out at random)

Random, nested choices of 10, 25, 50 and 100 % of the classes with all their images, at a fixed number of examples
seen. Cost with five seeds on two cores at 32 px: about 1 h (30 networks).
Expect: more classes help, the last doubling least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transferlab import designs
from transferlab.contrasts import against, steps
from transferlab.errors import UserError
from transferlab.questions import levels
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
        contrasts=steps(margin=0.01),
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
