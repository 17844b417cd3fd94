"""The paper's findings beside the results of these studies."""

from __future__ import annotations

from collections.abc import Sequence

from transferlab.answers.published import Finding
from transferlab.answers.study import StudyAnswers
from transferlab.questions import findings
from transferlab.report.document import FRACTION, Block, Definitions, Heading, Number, Text
from transferlab.report.sections.definition import Content, SectionDefinition

NOTE = (
    "Findings of Huh, Agrawal and Efros (2016). Values that we could not find in the paper itself are not given. "
    "Intervals are 95 % over seeds, for these test images. The bounds for agreement are ours."
)


def _content(studies: Sequence[StudyAnswers]) -> Content:
    found = findings(studies)
    blocks: list[Block] = [Text((NOTE,), "quiet")]
    for each in found:
        blocks += [Heading(f"{each.name}: {each.says}"), Text((each.claim,)),
                   Definitions((("these studies", each.here), ("the paper", each.published)))]  # fmt: skip
    return Content(blocks, [_facts(each) for each in found])


def _facts(finding: Finding) -> dict[str, object]:
    value = finding.value
    quantity = Number(value.value, FRACTION, value.low, value.high) if value else Number(None, FRACTION)
    return {"name": finding.name, "claim": finding.claim, "verdict": finding.says, "value": quantity,
            "here": finding.here, "published": finding.published}  # fmt: skip


FINDINGS = SectionDefinition[Sequence[StudyAnswers]](
    name="findings", title="The paper's findings, and these studies", content=_content,
    applies=lambda studies: bool(findings(studies)),
)  # fmt: skip
