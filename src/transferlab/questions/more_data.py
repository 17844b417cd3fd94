"""Does more data always help?   (Huh et al. 2016, the last section; experiment E7)

The classes are divided into halves A and B, at random and as far apart in the taxonomy as possible ("minimal"),
and networks of A, of B and of A+B are compared at a fixed number of examples seen.
Cost with five seeds on two cores at 32 px: about 1 h 15 min (35 networks).
Expect: the paper found cases where A+B is no better than A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transferlab import designs
from transferlab.answers.published import (
    NEARLY,
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
from transferlab.errors import UserError
from transferlab.questions.definition import Question
from transferlab.specs import Contrast, Design, Pack, Study
from transferlab.transfer.protocols import probe, refit


def study(source: Pack, targets: Sequence[Pack]) -> Study:
    """Random halves always; minimal halves where the source has a taxonomy."""
    n_classes = len(source.taxonomy.leaves)
    if n_classes < 4:
        raise UserError(f"{n_classes} classes leave no halves to compare", source.name, "bring at least 4 classes")
    conditions: dict[str | int | float, Design] = {
        "A (random)": designs.random_split("A"),
        "B (random)": designs.random_split("B"),
    }
    contrasts: list[Contrast] = [compare("A+B", "A (random)"), compare("A+B", "B (random)")]
    if not source.taxonomy.is_flat:
        conditions |= {"A (far apart)": designs.minimal_split("A"), "B (far apart)": designs.minimal_split("B")}
        contrasts += [compare("A+B", "A (far apart)"), compare("A+B", "B (far apart)")]
    conditions["A+B"] = designs.random_split("A+B")
    return Study(
        name="more-data",
        question="Does more data always help?",
        source="",
        targets=(),
        conditions=conditions,
        contrasts=contrasts,
    )


def paper(source: Pack, targets: Sequence[Pack]) -> Study:
    """The same halves; besides the targets, each network's last layer is refitted to all of the source's classes."""
    return replace(study(source, targets), targets=("source",), protocols=(probe(), refit()))


def finding(study: StudyAnswers) -> Finding:
    """F5, second part: for one of the halves, adding the other gains at most a point; adjusted for having chosen it among all."""
    *parts, whole = (c.name for c in conditions_of(study))
    gains = {part: minus(over_targets(study, whole), over_targets(study, part)) for part in parts}
    least = min((part for part in parts if gains[part]), key=lambda part: mean_of(gains[part]), default=parts[0])
    return finding_on(
        "F5, more data", "More data do not always help.",
        "Adding data blindly does not always help and can hurt; values are not known to us.",
        over_conditions(study, {whole: 1.0, least: -1.0}, tried=len(parts)), (-np.inf, NEARLY), f"{whole} against {least}, the least gain of {len(parts)}: {{}} points",
    )  # fmt: skip


MORE_DATA = Question(name="more-data", ask=study, paper=paper, finding=finding, at_epochs=True)
