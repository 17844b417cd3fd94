"""The declared contrasts with their intervals and verdicts, and exploratory ones."""

from __future__ import annotations

from transferlab.answers.estimate import PRIMARY, Estimate
from transferlab.answers.points import points
from transferlab.answers.sentences import sentence
from transferlab.answers.study import StudyAnswers
from transferlab.report.document import (
    FRACTION,
    UNKNOWN,
    Block,
    Number,
    Pictures,
    Row,
    Table,
    Text,
    numbers,
    row,
    span,
    texts,
)
from transferlab.report.figures import forest_figure
from transferlab.report.pictures import svg_picture
from transferlab.report.sections.definition import Content, SectionDefinition
from transferlab.text import number_of

HEAD = (*texts("contrast", "target"), *numbers("value", "interval"), *texts("verdict"), *numbers("p"),
        *texts("holds for"), *numbers("seeds"))  # fmt: skip
CAPTION = ("Declared before the run; differences in points, 95 % intervals. The primary contrast stands alone; the others on the mean, and "
           "all on single targets, have p-values after Holm's adjustment within these two families")  # fmt: skip


def _content(study: StudyAnswers) -> Content:
    declared = [sentence(e, study.unit, study.titles) for e in study.estimates]
    explored = [sentence(e, study.unit, study.titles) for e in study.exploratory]
    blocks: list[Block] = [Text(("This study declares no contrasts.",))]
    if declared:
        alt = f"Contrasts with their intervals: {' '.join(declared)}"
        forest = svg_picture(forest_figure(study.estimates), alt, "contrasts")
        blocks = [Pictures((forest,)), Table(CAPTION, HEAD, tuple(map(_row, study.estimates)))]
    if explored:
        blocks += [Text(("Exploratory, not declared before the run:",), "quiet"), Text(tuple(explored), "quiet list")]
    data = {"declared": [estimate_facts(e) for e in study.estimates],
            "exploratory": [estimate_facts(e) for e in study.exploratory]}  # fmt: skip
    return Content(blocks, data)


def _row(e: Estimate) -> Row:
    p = UNKNOWN if e.p_holm is None else "< 0.001" if e.p_holm < 0.001 else f"{e.p_holm:.3f}"
    more = f"; {number_of(e.more_seeds, 'more seed')} for 80 %" if e.more_seeds else ""
    seeds = f"{e.n_seeds}" + (f" ({e.n_missing} missing)" if e.n_missing else "")
    value = points(e.value, signed=True) if e.n_seeds else UNKNOWN
    name = f"{e.contrast.name} (primary)" if e.family == PRIMARY else e.contrast.name
    return row(name, e.target, value, span(e.low, e.high, signed=True), f"{e.verdict}{more}", p, e.scope, seeds)


def estimate_facts(e: Estimate) -> dict[str, object]:
    """An estimate as plain data."""
    return {
        "contrast": e.contrast.name, "target": e.target, "metric": e.metric,
        "weights": {name: Number(weight, "1") for name, weight in e.contrast.weights.items()},
        "difference": Number(e.value, FRACTION, e.low, e.high), "margin": Number(e.contrast.margin, FRACTION),
        "verdict": str(e.verdict), "p": Number(e.p_value, "1"), "p_holm": Number(e.p_holm, "1"), "scope": e.scope,
        "seeds": Number(e.n_seeds, "seeds"), "seeds_missing": Number(e.n_missing, "seeds"),
        "more_seeds": Number(e.more_seeds, "seeds"), "method": e.method, "family": e.family, "family_size": Number(e.n_family, "contrasts"),
    }  # fmt: skip


CONTRASTS = SectionDefinition[StudyAnswers](name="contrasts", title="Contrasts", content=_content)
