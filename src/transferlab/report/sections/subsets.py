"""What the networks of each condition were pre-trained on: sizes, labels, shares and sample images."""

from __future__ import annotations

from collections.abc import Sequence

from transferlab.answers.points import points
from transferlab.answers.study import StudyAnswers
from transferlab.planned import NamedCondition
from transferlab.report.document import FRACTION, Block, Cell, Number, Pictures, Row, Table, numbers, row, texts
from transferlab.report.figures import LEAST_SHARE, describe_shares, shares_figure
from transferlab.report.pictures import sheet_picture, svg_picture
from transferlab.report.sections.definition import Content, SectionDefinition

HEAD = (*texts("condition"), *numbers("images", "labels", "effective labels", "largest share"), *texts("digest"))
CAPTION = "Subsets of the first seed; the effective number of labels is exp(entropy) of the labels' shares"


def _content(study: StudyAnswers) -> Content:
    trained = [c for c in study.conditions if c.n_images and not c.repeats]
    blocks: list[Block] = [Table(CAPTION, HEAD, tuple(_row(c, study.subsets[c.name]) for c in trained))]
    if any(c.shares for c in study.conditions):
        caption = f"Each label's share of the images; labels with less than {100 * LEAST_SHARE:g} % are drawn together in grey"
        blocks.append(Pictures((svg_picture(shares_figure(study), describe_shares(study), "shares", caption),)))
    if study.samples:
        blocks.append(Pictures(tuple(sheet_picture(f"samples-{name}", images, f"Sample images of the condition {name}", name)
                                     for name, images in study.samples.items())))  # fmt: skip
    return Content(blocks, [_facts(c, study.subsets[c.name]) for c in trained])


def _row(c: NamedCondition, digests: Sequence[str]) -> Row:
    largest = Cell(f"{points(c.largest_share)} %", below=c.shares[0][0] if c.shares else "")
    return row(c.title, f"{c.n_images:,}", f"{c.n_labels:,}", f"{c.effective_labels:.1f}", largest, digests[0][:12],
               quiet=c.is_control)  # fmt: skip


def _facts(c: NamedCondition, digests: Sequence[str]) -> dict[str, object]:
    return {
        "condition": c.name, "title": c.title, "control": c.is_control, "images": Number(c.n_images, "images"),
        "labels": Number(c.n_labels, "labels"), "effective_labels": Number(c.effective_labels, "labels"),
        "largest_share": Number(c.largest_share, FRACTION), "digests": digests,
    }  # fmt: skip


SUBSETS = SectionDefinition[StudyAnswers](name="subsets", title="Subsets", content=_content)
