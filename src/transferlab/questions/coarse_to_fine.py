"""Do coarse labels give features that tell fine classes apart?   (Huh et al. 2016; experiments E2 and E3)

All images under label sets cut at up to three depths of the taxonomy, against the classes themselves. Besides the
targets, each network classifies the source's own classes by nearest neighbours (induction, top-1 and top-5).
Cost with five seeds on two cores at 32 px: about 1 h (25 networks).
Expect: coarse-trained features separate the classes far above chance and above random features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transferlab import designs
from transferlab.answers import published
from transferlab.answers.points import points
from transferlab.answers.study import StudyAnswers
from transferlab.contrasts import against
from transferlab.questions import class_count, levels
from transferlab.questions.coarse_vs_fine import depths
from transferlab.questions.definition import Question
from transferlab.specs import Design, Pack, Study
from transferlab.transfer.protocols import induction, knn, probe


def study(source: Pack, targets: Sequence[Pack]) -> Study:
    """Label sets from coarse to the classes themselves; the classes are the base of every contrast."""
    conditions: dict[str | int | float, Design] = {}
    for depth in depths(source):
        conditions[f"{len(source.taxonomy.cut(depth).labels)} labels"] = designs.labels_by_cut(depth)
    classes = f"{len(source.taxonomy.leaves)} classes"
    conditions[classes] = designs.all_images()
    return Study(
        name="coarse-to-fine",
        question="Do coarse labels give features that tell fine classes apart?",
        targets=("source",),
        source="",
        conditions=conditions,
        contrasts=against(classes, margin=0.01),
        protocols=(knn(), probe()),
    )


def paper(source: Pack, targets: Sequence[Pack]) -> Study:
    """The label sets of ``class-count``; induction among all classes, and within labels of an eighth of their number."""
    n_classes = len(source.taxonomy.leaves)
    depth_of = levels.cuts(source)
    nearest = min(depth_of, key=lambda n: abs(n - published.AN_EIGHTH * n_classes))
    return replace(
        class_count.paper(source, targets),
        name="coarse-to-fine",
        question="Do coarse labels give features that tell fine classes apart, and fine labels the coarse ones?",
        targets=("source",),
        protocols=(probe(), induction(cut=depth_of[nearest])),
    )


def finding(study: StudyAnswers) -> published.Finding:
    """F3: features of coarse labels reach most of what features of the classes themselves gain over random ones.

    That they are better than random features would be no finding: any training that learns something about these images is.
    """
    whole, few = published.all_and_few_labels(study)
    coarse, fine, floor = (
        published.on_own_classes(study, name) for name in (few.name, whole.name, published.floor_of(study))
    )
    return published.finding_on(
        "F3", "Features that separate fine classes arise without fine labels.",
        "Networks trained on coarse labels separate the 1,000 classes by nearest neighbours; the values are not known to us.",
        published.over_seeds(published.share(published.minus(coarse, floor), published.minus(fine, floor))), (published.MOST, np.inf),
        f"by nearest neighbours, features of {few.n_labels} labels tell the {whole.n_labels} classes apart at {points(published.mean_of(coarse))} %, "
        f"those of the classes themselves at {points(published.mean_of(fine))}, random ones at {points(published.mean_of(floor))}; coarse labels reach "
        "{} % of the gain",
        signed=False, nothing=published.NO_SHARE,
    )  # fmt: skip


COARSE_TO_FINE = Question(name="coarse-to-fine", ask=study, paper=paper, finding=finding, needs_target=False)
