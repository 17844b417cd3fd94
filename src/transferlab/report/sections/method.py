"""How the study was done: pre-training, transfer, intervals."""

from __future__ import annotations

from transferlab.answers.study import StudyAnswers
from transferlab.report.document import Definitions
from transferlab.report.sections.definition import Content, SectionDefinition


def _content(study: StudyAnswers) -> Content:
    return Content([Definitions(study.method)], [{"label": label, "text": text} for label, text in study.method])


METHOD = SectionDefinition[StudyAnswers](name="method", title="How it was measured", content=_content)
