"""Questions: the paper's questions as ready studies, one file each, the table QUESTIONS, and the studies of Python files.

In come opened packs or a study file; out goes a ``Study`` whose levels the images allow, and later the paper's findings beside
one's own results. The package never draws a subset, and never trains, reads or writes a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transferlab.answers.published import PREFIX, Finding
from transferlab.answers.study import StudyAnswers
from transferlab.definitions import Table
from transferlab.errors import UserError
from transferlab.extensions import run_file
from transferlab.origins import Origin
from transferlab.questions.class_count import CLASS_COUNT
from transferlab.questions.classes_vs_images import CLASSES_VS_IMAGES
from transferlab.questions.coarse_to_fine import COARSE_TO_FINE
from transferlab.questions.coarse_vs_fine import COARSE_VS_FINE
from transferlab.questions.definition import Question
from transferlab.questions.exclude_target import EXCLUDE_TARGET
from transferlab.questions.images_per_class import IMAGES_PER_CLASS
from transferlab.questions.more_data import MORE_DATA
from transferlab.specs import Study
from transferlab.transfer.metrics import Metric

QUESTIONS = Table("study", Question, [
    IMAGES_PER_CLASS, CLASS_COUNT, COARSE_TO_FINE, COARSE_VS_FINE, CLASSES_VS_IMAGES, EXCLUDE_TARGET, MORE_DATA,
])  # fmt: skip


def findings(studies: Sequence[StudyAnswers]) -> list[Finding]:
    """The paper's findings on these studies; of two studies with one name the later one counts."""
    named = {study.name: study for study in studies}
    found: list[Finding] = []
    for question in QUESTIONS.values():
        for name, at in ((PREFIX + question.name, ""), (f"{PREFIX}{question.name}-epochs", ", at equal passes")):
            if question.finding is not None and (study := named.get(name)):
                one = question.finding(study)
                found.append(replace(one, name=f"{one.name}{at}"))
    return found


def load(name: str) -> Question | Study:
    """A built-in question by name, or the ``study`` that a Python file defines.

    Raises:
        UserError: an unknown name, a missing file, a file that fails or defines no valid ``study``.
    """
    if not name.endswith(".py"):
        return QUESTIONS.find(name, "STUDY; a study of your own is a Python file, for example my_study.py")
    path = Path(name)
    if not path.is_file():
        raise UserError("there is no such study file", str(path), "check the path")
    study = run_file(path).get("study")
    if not isinstance(study, Study):
        raise UserError(
            "the study file defines no study", str(path), "end it with study = Study(...), as in the README"
        )
    return _by_name(study)


def _by_name(study: Study) -> Study:
    """The study with names instead of definitions; a file may use either."""
    controls, metric = study.controls, study.metric
    if isinstance(controls, (list, tuple)):
        controls = [c.name if isinstance(c, Origin) else c for c in controls]
    return replace(study, controls=controls, metric=metric.name if isinstance(metric, Metric) else metric)
