"""Where the numbers come from: command, digests, versions, machine, time."""

from __future__ import annotations

from transferlab.answers.study import StudyAnswers
from transferlab.report.document import Definitions
from transferlab.report.sections.definition import Content, SectionDefinition


def _content(study: StudyAnswers) -> Content:
    return Content([Definitions(study.provenance)], [{"label": name, "text": text} for name, text in study.provenance])


PROVENANCE = SectionDefinition[StudyAnswers](name="provenance", title="Provenance", content=_content)
