"""The report: one self-contained page, or Markdown with its figures as files."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transferlab.answers.sentences import points, sentence
from transferlab.answers.study import StudyAnswers
from transferlab.outcomes.files import write_atomically
from transferlab.report import figures
from transferlab.report.gather import headline
from transferlab.specs import Estimate


@dataclass(frozen=True)
class Picture:
    """An image inside the page: its data URI, what it says in words, its name, and its bytes for a file."""

    uri: str
    alt: str
    name: str
    data: bytes


@dataclass(frozen=True)
class Cell:
    """One condition on one target: mean, gain over random features, every seed."""

    text: str
    gain: str
    seeds: str


@dataclass(frozen=True)
class Row:
    name: str
    control: bool
    cells: tuple[Cell, ...]


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
    protocol: str
    headline: list[str]
    figures: list[Picture]
    forest: Picture
    score_rows: list[Row]
    contrast_rows: list[ContrastRow]
    exploratory: list[str]
    sheets: list[Picture]
    notes: list[str]


def render(studies: Sequence[StudyAnswers], out: Path, form: Literal["html", "md"]) -> None:
    """Write the report of these studies.

    Raises:
        UserError: the file cannot be written.
    """
    sections = [_section(study) for study in studies]
    if form == "md":
        from transferlab.report.markdown import write_markdown

        write_markdown(sections, out)
        return
    page = _template().render(studies=sections, title=f"transferlab: {', '.join(s.name for s in studies)}")
    write_atomically(out, page.encode())


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("transferlab.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html")


def _section(study: StudyAnswers) -> Section:
    protocol = next((s.protocol for s in study.scores if s.target != "source" and s.condition != "scratch"), "probe")
    plots = [_svg(figures.scores_figure(study, t, protocol), figures.describe(study, t, protocol), t.name)
             for t in study.targets]  # fmt: skip
    told = "; ".join(sentence(e, study.unit) for e in study.estimates)
    forest = _svg(figures.forest_figure(study.estimates), f"Contrasts with their intervals: {told}", "contrasts")
    notes = list(dict.fromkeys([*study.notes, *(note for t in study.targets for note in t.notes)]))
    return Section(
        study, protocol, headline(study), plots, forest, _score_rows(study, protocol),
        [_contrast_row(e) for e in study.estimates], [sentence(e, study.unit) for e in study.exploratory],
        [_sheet(name, images) for name, images in study.samples.items()], notes,
    )  # fmt: skip


def _score_rows(study: StudyAnswers, protocol: str) -> list[Row]:
    values: dict[tuple[str, str], list[float]] = {}
    for s in study.scores:
        if s.protocol in (protocol, "own head") or s.condition == "scratch":
            values.setdefault((s.condition, s.target), []).append(s.value)
    rows: list[Row] = []
    for condition in study.conditions:
        cells: list[Cell] = []
        for target in (*(t.name for t in study.targets), "source"):
            found, floor = values.get((condition.name, target)), values.get(("random-features", target))
            if not found:
                cells.append(Cell("–", "", ""))
                continue
            gain = points(float(np.mean(found) - np.mean(floor)), signed=True) if floor else ""
            seeds = " ".join(points(v) for v in found) if len(found) > 1 else ""
            cells.append(
                Cell(points(float(np.mean(found))), "" if condition.name == "random-features" else gain, seeds)
            )
        rows.append(Row(figures.NAMES.get(condition.name, condition.name), condition.is_control, tuple(cells)))
    return rows


def _contrast_row(e: Estimate) -> ContrastRow:
    interval = (
        "–" if e.low is None or e.high is None else f"{points(e.low, signed=True)} to {points(e.high, signed=True)}"
    )
    value = points(e.value, signed=True) if e.n_seeds else "–"
    verdict = e.verdict
    if e.verdict == "cannot tell" and e.more_seeds:
        return ContrastRow(e.contrast.name, e.target, value, interval, f"cannot tell; about {e.more_seeds} more seeds",
                           _p(e), e.scope, _seeds(e))  # fmt: skip
    return ContrastRow(e.contrast.name, e.target, value, interval, verdict, _p(e), e.scope, _seeds(e))


def _p(e: Estimate) -> str:
    return "–" if e.p_holm is None else "< 0.001" if e.p_holm < 0.001 else f"{e.p_holm:.3f}"


def _seeds(e: Estimate) -> str:
    return f"{e.n_seeds}" + (f" ({e.n_missing} missing)" if e.n_missing else "")


def _svg(text: str, alt: str, name: str) -> Picture:
    data = text.encode()
    return Picture(f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}", alt, name, data)


def _sheet(name: str, images: NDArray[np.uint8]) -> Picture:
    """Up to 24 images in rows of eight, as PNG."""
    columns, side, gap = 8, images.shape[1], 1
    n_rows = -(-len(images) // columns)
    canvas = np.full((n_rows * (side + gap) - gap, columns * (side + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (side + gap), (i % columns) * (side + gap)
        canvas[y : y + side, x : x + side] = image
    held = io.BytesIO()
    Image.fromarray(canvas).save(held, "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
    return Picture(uri, f"Sample images of the condition {name}", name, held.getvalue())
