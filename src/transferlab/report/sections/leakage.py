"""Is the gain leakage? Copies of test images in the source, and the contrasts without them."""

from __future__ import annotations

from transferlab.answers.estimate import MEAN, Estimate
from transferlab.answers.leakage import Found
from transferlab.answers.points import points
from transferlab.answers.sentences import leakage_in_words
from transferlab.answers.study import StudyAnswers
from transferlab.report.document import UNKNOWN, Block, Number, Pictures, Table, Text, numbers, row, span, texts
from transferlab.report.pictures import sheet_picture
from transferlab.report.sections.contrasts import estimate_facts
from transferlab.report.sections.definition import Content, SectionDefinition

HEAD = (*texts("contrast", "target"), *numbers("with", "without"), *texts("verdict with", "verdict without"))
CAPTION = (
    "The declared contrasts with and without the test images that are copies; differences in points, 95 % intervals"
)


def _content(study: StudyAnswers) -> Content:
    said = [line for each in study.leakage for line in leakage_in_words(each)]
    checked = {each.target for each in study.leakage}
    unchecked = [t.name for t in study.targets if t.name not in checked]
    if unchecked:
        said.append(f"Not checked for copies: {', '.join(unchecked)}.")
    if study.with_copies:
        said.append(f"The results cannot be computed again without the copies in {', '.join(study.with_copies)}.")
    elif not study.has("without"):
        said.append("No test image is left out of the results above.")
    note = (
        "Copies are images with equal pixels, or whose grey gradients correlate by at least "
        f"{study.leakage[0].alike:.2f} in one of 37 alignments, mirrored or not. Judge this threshold by the pairs below: a "
        "target's test image, then the image in the source that looks like it."
    )
    sheets = [sheet_picture(f"pairs-{each.target}", each.pairs, f"Pairs of {each.target}: a test image, then its match in the source",
                            each.target) for each in study.leakage if each.pairs is not None]  # fmt: skip
    blocks: list[Block] = [Text(tuple(said)), *([_table(study)] if study.without else []), Text((note,), "quiet"),
                           *([Pictures(tuple(sheets))] if sheets else [])]  # fmt: skip
    copies = [{"target": each.target, "source_images": Number(each.n_source, "images"), "threshold": Number(each.alike, "1"),
               "test": _facts(each.test), "train": _facts(each.train), "within": _facts(each.within)}
              for each in study.leakage]  # fmt: skip
    without = [estimate_facts(e) for e in study.without]
    return Content(blocks, {"copies": copies, "unchecked": unchecked, "without_copies": without})


def _facts(found: Found) -> dict[str, Number]:
    return {"images": Number(found.n, "images"), "copies": Number(len(found.rows), "images"),
            "exact": Number(sum(found.exact), "images"), "plain": Number(found.n_plain, "images")}  # fmt: skip


def _table(study: StudyAnswers) -> Table:
    rows = [row(a.contrast.name, "mean" if a.target == MEAN else a.target, _difference(a), _difference(b), str(a.verdict), str(b.verdict))
            for a, b in zip(study.estimates, study.without, strict=True)]  # fmt: skip
    return Table(CAPTION, HEAD, tuple(rows))


def _difference(e: Estimate) -> str:
    if not e.n_seeds:
        return UNKNOWN
    between = "" if e.low is None else f" ({span(e.low, e.high, signed=True)})"
    return f"{points(e.value, signed=True)}{between}"


LEAKAGE = SectionDefinition[StudyAnswers](
    name="leakage", title="Is the gain leakage?", content=_content, applies=lambda study: study.has("leakage")
)
