"""The controls' checks of the study."""

from __future__ import annotations

from transferlab.answers.study import StudyAnswers
from transferlab.report.document import Text
from transferlab.report.sections.definition import Content, SectionDefinition

NONE = "This study has no control that checks it, such as the A/A pair or shuffled labels."


def _content(study: StudyAnswers) -> Content:
    said = tuple(check.sentence for check in study.checks)
    data = [{"name": check.name, "alarm": check.alarm, "sentence": check.sentence} for check in study.checks]
    return Content([Text(said, "list") if said else Text((NONE,))], data)


CONTROLS = SectionDefinition[StudyAnswers](name="controls", title="Controls", content=_content)
