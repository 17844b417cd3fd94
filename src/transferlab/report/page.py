"""The report: one self-contained page, or Markdown with its figures as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import jinja2
import numpy as np
from markupsafe import Markup

from transferlab.answers.estimate import Estimate
from transferlab.answers.points import points
from transferlab.answers.sentences import sentence
from transferlab.answers.study import ConditionFacts, Missing, Score, StudyAnswers
from transferlab.console import printable
from transferlab.errors import UserError
from transferlab.outcomes.files import write_atomically
from transferlab.questions import findings
from transferlab.report import figures
from transferlab.report.gather import ALARM, OWN, OWN_HEAD, answer
from transferlab.report.more import More, further
from transferlab.report.pictures import Picture, sheet_picture, svg_picture
from transferlab.specs import TargetFacts

FLOOR = "random-features"
CONTROLS = {
    "random-features": "random features (an untrained network under the same protocol)",
    "scratch": "from scratch (all layers trained on the target alone)",
    "shuffled-labels": "shuffled labels (the reference condition's images under each other's labels)",
    "a/a": "A/A (the reference condition drawn and trained anew)",
}
MOST_MISSING = 60  # named one by one on the page; the rest is counted by reason


@dataclass(frozen=True)
class Cell:
    """One condition on one target: mean, gain over random features, every seed."""

    text: str
    gain: str
    seeds: str


@dataclass(frozen=True)
class Row:
    """A condition's scores; ``note`` tells how many labels its label set is in effect."""

    name: str
    control: bool
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Scores under one protocol: of each condition on each of ``targets`` (name and metric)."""

    protocol: str
    targets: tuple[tuple[str, str], ...]
    rows: list[Row]


@dataclass(frozen=True)
class ContrastRow:
    name: str
    target: str
    value: str
    interval: str
    verdict: str
    p: str
    scope: str
    seeds: str


@dataclass(frozen=True, eq=False)
class Section:
    """One study with everything that its section shows."""

    study: StudyAnswers
    answer: list[str]
    controls: list[str]
    figures: list[Picture]
    forest: Picture
    shares: Picture | None
    tables: list[Table]
    contrast_rows: list[ContrastRow]
    exploratory: list[str]
    sheets: list[Picture]
    notes: list[str]
    missing: list[Missing]
    missing_more: str
    more: list[More]


def check_out(out: Path) -> None:
    """Refuse a place where no report can be written, before any work for it.

    Raises:
        UserError: the file's folder is not there, or the file is a folder.
    """
    if not out.parent.is_dir():
        raise UserError("there is no such folder", str(out.parent), "make it, or name a file elsewhere with --out")
    if out.is_dir():
        raise UserError("this is a folder", str(out), "name a file in it, for example report.html")


def render(studies: Sequence[StudyAnswers], out: Path, form: Literal["html", "md"]) -> None:
    """Write the report of these studies.

    Raises:
        UserError: the file cannot be written.
    """
    check_out(out)
    sections = [_section(study) for study in studies]
    if form == "md":
        from transferlab.report.markdown import write_markdown

        write_markdown(sections, findings(studies), out)
        return
    title = f"transferlab: {', '.join(s.name for s in studies)}"
    page = _template().render(studies=sections, findings=findings(studies), title=title, warning=ALARM)
    write_atomically(out, page.encode())


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("transferlab.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, finalize=_inert,
    )  # fmt: skip
    environment.filters |= {"guessing": figures.guessing, "named": figures.named}
    return environment.get_template("page.html")


def _inert(value: object) -> object:
    """What a template prints, without control and direction characters; escaping is Jinja's."""
    if isinstance(value, Markup):  # a filter has escaped it
        return Markup(printable(value))
    return printable(value) if isinstance(value, str) else value


def _section(study: StudyAnswers) -> Section:
    own = (s.protocol for s in study.scores if s.protocol != OWN_HEAD and s.condition != "scratch")
    protocols = list(dict.fromkeys(own)) or ["probe"]
    shown = [(t, next((p for p in protocols if _has(study, t, p)), protocols[0])) for t in study.targets]
    plots = [svg_picture(figures.scores_figure(study, t, p), figures.describe(study, t, p), t.name) for t, p in shown]
    told = " ".join(sentence(e, study.unit) for e in study.estimates)
    forest = svg_picture(figures.forest_figure(study.estimates), f"Contrasts with their intervals: {told}", "contrasts")
    notes = list(dict.fromkeys([*study.notes, *(note for t in study.targets for note in t.notes)]))
    return Section(
        study, answer(study), [CONTROLS[c.name] for c in study.conditions if c.is_control], plots, forest, _shares(study),
        [_main_table(study, protocols[0]), *(_other_table(study, p) for p in protocols[1:])],
        [_contrast_row(e) for e in study.estimates], [sentence(e, study.unit) for e in study.exploratory],
        [sheet_picture(name, images) for name, images in study.samples.items()], notes, list(study.missing[:MOST_MISSING]),
        _counted(study.missing[MOST_MISSING:]), further(study),
    )  # fmt: skip


def _shares(study: StudyAnswers) -> Picture | None:
    if not figures.with_shares(study):
        return None
    return svg_picture(figures.shares_figure(study), figures.describe_shares(study), "shares of labels")


def _label_note(condition: ConditionFacts) -> str:
    if not condition.shares:
        return ""
    return f"{condition.effective_labels:.1f} effective labels, the largest {points(condition.largest_share)} %"


def _counted(rest: Sequence[Missing]) -> str:
    """What is not named one by one, by reason."""
    reasons = Counter(m.reason for m in rest)
    return f"and {len(rest):,} more: {', '.join(f'{n:,} {r}' for r, n in reasons.most_common())}" if rest else ""


def _main_table(study: StudyAnswers, protocol: str) -> Table:
    """The protocol that the answer compares, with scratch under its own, and accuracy on the source."""
    shown = [s for s in study.scores if s.protocol in (protocol, OWN_HEAD) or s.condition == "scratch"]
    measured = [(t.name, t.metric) for t in study.targets if _has(study, t, protocol) or len(study.targets) == 1]
    targets = (*measured, (OWN, "held out, top1"))
    return Table(protocol, targets, _score_rows(study, shown, [t for t, _ in targets]))


def _other_table(study: StudyAnswers, protocol: str) -> Table:
    shown = [s for s in study.scores if s.protocol == protocol]
    measured = {s.target: s.metric for s in shown}
    targets = tuple((t.name, measured[t.name]) for t in study.targets if t.name in measured)
    rows = _score_rows(study, shown, [name for name, _ in targets])
    known = {figures.named(s.condition) for s in shown}
    return Table(protocol, targets, [r for r in rows if r.name in known])


def _has(study: StudyAnswers, target: TargetFacts, protocol: str) -> bool:
    """Whether a protocol says anything of a target; as long as there is no result, any may."""
    measured = {s.target for s in study.scores if s.protocol == protocol}
    return target.name in measured or not measured


def _score_rows(study: StudyAnswers, scores: Sequence[Score], targets: Sequence[str]) -> list[Row]:
    values: dict[tuple[str, str], list[float]] = {}
    for s in scores:
        values.setdefault((s.condition, s.target), []).append(s.value)
    rows: list[Row] = []
    for condition in study.conditions:
        cells = [_cell(values.get((condition.name, target)), values.get((FLOOR, target))) for target in targets]
        if condition.name == FLOOR:
            cells = [replace(cell, gain="") for cell in cells]
        rows.append(Row(figures.named(condition.name), condition.is_control, tuple(cells), _label_note(condition)))
    return rows


def _cell(found: Sequence[float] | None, floor: Sequence[float] | None) -> Cell:
    if not found:
        return Cell("–", "", "")
    gain = points(float(np.mean(found) - np.mean(floor)), signed=True) if floor else ""
    return Cell(points(float(np.mean(found))), gain, " ".join(map(points, found)) if len(found) > 1 else "")


def _contrast_row(e: Estimate) -> ContrastRow:
    interval = (
        "–" if e.low is None or e.high is None else f"{points(e.low, signed=True)} to {points(e.high, signed=True)}"
    )
    value = points(e.value, signed=True) if e.n_seeds else "–"
    if not e.verdict.settled and e.more_seeds:
        return ContrastRow(e.contrast.name, e.target, value, interval, f"cannot tell; about {e.more_seeds} more seeds",
                           _p(e), e.scope, _seeds(e))  # fmt: skip
    return ContrastRow(e.contrast.name, e.target, value, interval, str(e.verdict), _p(e), e.scope, _seeds(e))


def _p(e: Estimate) -> str:
    return "–" if e.p_holm is None else "< 0.001" if e.p_holm < 0.001 else f"{e.p_holm:.3f}"


def _seeds(e: Estimate) -> str:
    return f"{e.n_seeds}" + (f" ({e.n_missing} missing)" if e.n_missing else "")
