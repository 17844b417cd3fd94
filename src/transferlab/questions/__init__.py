"""Questions: the paper's questions as ready studies, one file each, the table QUESTIONS, and the studies of Python files.

In come opened packs or a study file; out goes a ``Study`` whose levels the images allow, and later the paper's findings beside
one's own results. The package never draws a subset, and never trains, reads or writes a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

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
from transferlab.specs import Contrast, ContrastRule, Design, Protocol, Recipe, Study
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
    study = _by_name(study)
    _must_fit(study, path)
    return study


def _by_name(study: Study) -> Study:
    """The study with names instead of definitions; a file may use either."""
    controls = [c.name if isinstance(c, Origin) else c for c in study.controls]
    metric = study.metric
    return replace(study, controls=controls, metric=metric.name if isinstance(metric, Metric) else metric)


def _must_fit(study: Study, path: Path) -> None:
    """Raise UserError if a field of the study has a wrong type, which Python does not check."""
    rules: dict[str, tuple[object, bool, str]] = {
        "source": (study.source, _is(study.source, str), 'source="imagefolder:photos"'),
        "targets": (study.targets, _all(study.targets, str), 'targets=["digits"]'),
        "conditions": (
            study.conditions,
            _is(study.conditions, Mapping) and _all(list(study.conditions.values()), Design),
            "conditions={n: designs.images_per_class(n) for n in (10, 20)}",
        ),
        "contrasts": (
            study.contrasts, _is(study.contrasts, ContrastRule) or _all(study.contrasts, Contrast), "contrasts=steps()"
        ),
        "controls": (study.controls, _all(study.controls, str), 'controls=["scratch"]'),
        "metric": (study.metric, _is(study.metric, str), 'metric="top5"'),
        "seeds": (study.seeds, _is(study.seeds, int), "seeds=5"),
        "reference": (study.reference, study.reference is None or _is(study.reference, str), 'reference="20"'),
        "recipe": (study.recipe, _is(study.recipe, Recipe), 'recipe=Recipe(backbone="small")'),
        "notes": (study.notes, _all(study.notes, str), 'notes=["without the blurred photographs"]'),
        "protocols": (study.protocols, _all(study.protocols, Protocol), "protocols=[probe()]"),
    }  # fmt: skip
    for field, (held, fits, example) in rules.items():
        if not fits:
            raise UserError(f"the study's {field} cannot be {held!r:.80}", str(path), f"write for example {example}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _all(values: object, kind: type) -> bool:
    """Whether these are a list or tuple of this type; a single text would be read character by character."""
    return isinstance(values, (list, tuple)) and all(isinstance(v, kind) for v in cast("list[object]", values))
