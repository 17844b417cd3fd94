"""How many images per class are enough?   (Huh et al. 2016, section on the number of examples; experiment E1)

The same classes, with 5, 10, 25, 50 and 100 % of their images, at a fixed number of examples seen.
Cost with five seeds on two cores at 32 px and 250,000 examples a network: about 1 h 15 min (35 networks).
Expect: half of the images costs little on targets, and less than on the source task itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transferlab import contrasts, designs
from transferlab.answers import published
from transferlab.answers.points import points
from transferlab.answers.study import OWN, OWN_HEAD, StudyAnswers
from transferlab.errors import UserError
from transferlab.questions import levels
from transferlab.questions.definition import Question
from transferlab.specs import Pack, Study

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)


def study(source: Pack, targets: Sequence[Pack]) -> Study:
    """Levels are shares of the median class size; smaller classes keep all their images."""
    median = int(np.median(levels.class_sizes(source)))
    counts = sorted({max(1, round(share * median)) for share in SHARES})
    if len(counts) < 2:
        raise UserError(
            f"classes have {median} training images at the median, too few to take fewer",
            source.name,
            "bring at least 4 images for most classes",
        )
    return Study(
        name="images-per-class",
        question="How many images per class are enough?",
        unit="images per class",
        source="",
        targets=(),
        conditions={n: designs.images_per_class(n, short="keep") for n in counts},
        contrasts=contrasts.levels(margin=0.01),
    )


def paper(source: Pack, targets: Sequence[Pack]) -> Study:
    """50, 125, 250, 500 and all images per class of about 1,000, or these shares."""
    counts = levels.images_per_class(source)
    return replace(
        study(source, targets),
        conditions={n: designs.images_per_class(n, short="keep") for n in counts},
        notes=levels.scaled(source, "images per class", [*levels.IMAGES, "all"], counts),
    )


def finding(study: StudyAnswers) -> published.Finding:
    """F1: half of the images cost the targets a smaller share of what pre-training gains them than they cost the source task."""
    whole = max(published.conditions_of(study), key=lambda c: c.n_images)
    half = published.nearest(study, whole.n_images / 2, lambda c: c.n_images)
    best, own = published.over_targets(study, whole.name), published.scores_of(study, whole.name, OWN, OWN_HEAD)
    guessing = dict.fromkeys(own, 1 / max(1, whole.n_labels))
    of_targets = published.share(
        published.minus(best, published.over_targets(study, half.name)),
        published.minus(best, published.over_targets(study, published.floor_of(study))),
    )
    of_source = published.share(
        published.minus(own, published.scores_of(study, half.name, OWN, OWN_HEAD)), published.minus(own, guessing)
    )
    return published.finding_on(
        "F1", "Half of the images cost little on transfer, and less than on the source task itself.",
        "500 instead of about 1,000 images a class cost 1.3 to 1.5 points of detection mAP (the project page and a reader's "
        "note on the figure differ); transfer falls more slowly than accuracy on ImageNet.",
        published.over_seeds(published.minus(of_source, of_targets)), (0.0, np.inf),
        f"from {whole.n_images:,} to {half.n_images:,} images the targets lose {points(published.mean_of(of_targets))} % of their gain over "
        f"random features and the source's own task {points(published.mean_of(of_source))} % of its gain over guessing, a difference of "
        "{} points",
        nothing=published.NO_SHARE,
    )  # fmt: skip


IMAGES_PER_CLASS = Question(name="images-per-class", ask=study, paper=paper, finding=finding, at_epochs=True)
