"""Cells without a result, each with the reason."""

from __future__ import annotations

from collections import Counter

from transferlab.answers.study import StudyAnswers
from transferlab.report.document import Block, Table, Text, numbers, row, texts
from transferlab.report.sections.definition import Content, SectionDefinition

MOST_MISSING = 60  # listed one by one; the others are counted by reason
HEAD = (*texts("condition"), *numbers("seed"), *texts("target", "reason"))


def _content(study: StudyAnswers) -> Content:
    rows = [row(m.condition, str(m.seed), m.target, m.reason) for m in study.missing[:MOST_MISSING]]
    blocks: list[Block] = [Table("Only seeds with all cells of a contrast enter its interval", HEAD, tuple(rows))]
    rest = study.missing[MOST_MISSING:]
    if rest:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in Counter(m.reason for m in rest).most_common())
        blocks.append(Text((f"… and {len(rest):,} more: {reasons}.",)))
    data = [{"condition": m.condition, "seed": m.seed, "target": m.target, "reason": m.reason} for m in study.missing]
    return Content(blocks, data)


MISSING = SectionDefinition[StudyAnswers](
    name="missing", title="What is missing", content=_content, applies=lambda study: bool(study.missing)
)
