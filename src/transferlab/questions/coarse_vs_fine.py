"""At one number of labels and images: coarse labels or fine ones?   (Huh et al. 2016; experiments E3, E4)

For each of up to three depths of the taxonomy: its k labels, each merged from many classes, against k random
classes by themselves, with equally many labels and images.
Cost with five seeds on two cores at 32 px: about 1 h 30 min (40 networks).
Expect: unclear; the question is whether variety within labels or distinctions between labels make good features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transferlab import designs
from transferlab.contrasts import compare
from transferlab.questions import levels
from transferlab.questions.definition import Question
from transferlab.specs import Contrast, Design, Pack, Study

MOST_DEPTHS = 3


def depths(source: Pack) -> list[int]:
    """The (at most three) deepest cuts with at least 2 labels, and at most half as many labels as classes.

    Raises:
        UserError: as ``levels.usable_cuts``.
    """
    return sorted(levels.usable_cuts(source, len(source.taxonomy.leaves) // 2).values())[-MOST_DEPTHS:]


def study(source: Pack, targets: Sequence[Pack]) -> Study:
    """Coarse against fine at each depth."""
    return _at(source, depths(source))


def paper(source: Pack, targets: Sequence[Pack]) -> Study:
    """At the paper's cuts with at most half as many labels as classes: 9, 79 and 486 labels of 1,000, or these shares."""
    n_classes = len(source.taxonomy.leaves)
    depth_of = {n: depth for n, depth in levels.cuts(source).items() if n <= n_classes // 2}
    chosen = list(depth_of.values()) or depths(source)
    return replace(_at(source, chosen), notes=levels.scaled(source, "cuts", [9, 79, 486], list(depth_of)))


def _at(source: Pack, chosen: Sequence[int]) -> Study:
    conditions: dict[str | int | float, Design] = {}
    contrasts: list[Contrast] = []
    for depth in chosen:
        n_labels = len(source.taxonomy.cut(depth).labels)
        coarse, fine = f"{n_labels} coarse", f"{n_labels} fine"
        conditions[coarse] = designs.coarse_matched(depth)
        conditions[fine] = designs.fine_matched(depth)
        contrasts.append(compare(coarse, fine))
    return Study(
        name="coarse-vs-fine",
        question="At one number of labels and images: coarse labels or fine ones?",
        source="",
        targets=(),
        conditions=conditions,
        contrasts=contrasts,
    )


COARSE_VS_FINE = Question(name="coarse-vs-fine", ask=study, paper=paper)
