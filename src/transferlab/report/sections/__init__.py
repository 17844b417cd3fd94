"""The sections of a report, one file each, and the table SECTIONS, which holds them in order.

In come a study's answers; out go blocks and plain data. A section never reads a store or a pack.
"""

from __future__ import annotations

from collections.abc import Sequence

from transferlab.answers.study import StudyAnswers
from transferlab.definitions import Table
from transferlab.report.sections.answer import ANSWER
from transferlab.report.sections.classes import CLASSES
from transferlab.report.sections.contrasts import CONTRASTS
from transferlab.report.sections.controls import CONTROLS
from transferlab.report.sections.definition import SectionDefinition
from transferlab.report.sections.division import DIVISION
from transferlab.report.sections.findings import FINDINGS
from transferlab.report.sections.forecast import FORECAST
from transferlab.report.sections.leakage import LEAKAGE
from transferlab.report.sections.method import METHOD
from transferlab.report.sections.missing import MISSING
from transferlab.report.sections.overview import SIDE_BY_SIDE
from transferlab.report.sections.provenance import PROVENANCE
from transferlab.report.sections.rates import RATES
from transferlab.report.sections.scenes import SCENES
from transferlab.report.sections.scores import SCORES
from transferlab.report.sections.subsets import SUBSETS
from transferlab.report.sections.targets import TARGETS

OVERVIEW: tuple[SectionDefinition[Sequence[StudyAnswers]], ...] = (SIDE_BY_SIDE, FINDINGS)
SECTIONS: Table[SectionDefinition[StudyAnswers]] = Table(
    "report section", SectionDefinition[StudyAnswers],
    [ANSWER, SCORES, CONTRASTS, RATES, FORECAST, DIVISION, LEAKAGE, CLASSES, SCENES, CONTROLS, SUBSETS, TARGETS, METHOD, MISSING, PROVENANCE],
)  # fmt: skip
