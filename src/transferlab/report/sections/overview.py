"""The studies of a report side by side: what each asks, of which images, and how its answer begins."""

from __future__ import annotations

from collections.abc import Sequence

from transferlab.answers.study import StudyAnswers
from transferlab.report.document import UNKNOWN, Cell, Number, Row, Table, anchor_of, numbers, row, texts
from transferlab.report.gather import ALARM, answer
from transferlab.report.sections.definition import Content, SectionDefinition
from transferlab.report.variants import differences, questions

HEAD = (*texts("question", "how the answer begins", "source"), *numbers("conditions", "seeds"))
CAPTION = "Each question leads to its answer; below it is what tells it from others that ask the same"


def _content(studies: Sequence[StudyAnswers]) -> Content:
    asked = list(zip(studies, questions(studies), differences(studies), strict=True))
    rows = [_row(number, *each) for number, each in enumerate(asked, 1)]
    return Content([Table(CAPTION, HEAD, tuple(rows))], [_facts(*each) for each in asked])


def _row(number: int, study: StudyAnswers, question: str, apart: str) -> Row:
    cell = Cell(question, below=apart, anchor=anchor_of(number))
    said = Cell(_first(study) or UNKNOWN, below=ALARM if any(check.alarm for check in study.checks) else "")
    return row(cell, said, study.source, str(_n_conditions(study)), str(study.n_seeds))


def _n_conditions(study: StudyAnswers) -> int:
    return sum(not c.is_control for c in study.conditions)


def _first(study: StudyAnswers) -> str:
    return next(iter(answer(study)), "")


def _facts(study: StudyAnswers, question: str, apart: str) -> dict[str, object]:
    return {"name": study.name, "identity": study.identity, "question": question, "differs": apart, "source": study.source,
            "conditions": Number(_n_conditions(study), "conditions"), "seeds": Number(study.n_seeds, "seeds"),
            "sentence": _first(study), "alarms": [check.sentence for check in study.checks if check.alarm]}  # fmt: skip


SIDE_BY_SIDE = SectionDefinition[Sequence[StudyAnswers]](
    name="overview", title="The studies side by side", content=_content, applies=lambda studies: len(studies) > 1
)
