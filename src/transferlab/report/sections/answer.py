"""The answer in sentences, below the alarms of controls."""

from __future__ import annotations

from transferlab.answers.study import StudyAnswers
from transferlab.report.document import Block, Callout, Number, Text
from transferlab.report.gather import ALARM, answer
from transferlab.report.sections.definition import Content, SectionDefinition


def _content(study: StudyAnswers) -> Content:
    alarms, said = [check.sentence for check in study.checks if check.alarm], answer(study)
    n_missing = len(study.missing)
    blocks: list[Block] = [
        *(Callout(ALARM, alarm) for alarm in alarms),
        Text(tuple(said), "answer"),
        Text((f"Source: {study.source}. Targets: {', '.join(t.name for t in study.targets)}. {study.n_seeds} "
              f"seed{'s' if study.n_seeds != 1 else ''}, each a fresh draw of images and a fresh training.",), "quiet"),
    ]  # fmt: skip
    if n_missing:
        are = "s are" if n_missing != 1 else " is"
        blocks.append(Text((f"{n_missing:,} cell{are} missing and listed below.",), "strong"))
    data = {"sentences": said, "alarms": alarms, "source": study.source, "unit": study.unit,
            "seeds": Number(study.n_seeds, "seeds"), "missing": Number(n_missing, "cells")}  # fmt: skip
    return Content(blocks, data)


ANSWER = SectionDefinition[StudyAnswers](name="answer", content=_content)
