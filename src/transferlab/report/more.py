"""The parts of a section that go past the declared contrasts, each as sentences, figures, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from transferlab.answers.contrast import MEAN
from transferlab.answers.estimate import Estimate
from transferlab.answers.points import points
from transferlab.answers.scaling import Forecast, Prediction
from transferlab.answers.sentences import divided, foretold, leaked
from transferlab.answers.study import StudyAnswers
from transferlab.report.curves import division_figure, forecast_figure
from transferlab.report.pictures import Picture, sheet_picture, svg_picture


@dataclass(frozen=True)
class Grid:
    """A small table: what it shows, its head, its rows of text."""

    caption: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class More:
    """One part: its title, what it says, a note on how, and what shows it."""

    title: str
    lines: list[str]
    note: str
    figures: list[Picture] = field(default_factory=list[Picture])
    grid: Grid | None = None
    sheets: list[Picture] = field(default_factory=list[Picture])


def further(study: StudyAnswers) -> list[More]:
    """The parts that this study has."""
    parts = [_forecasts(study) if study.forecasts else None, _divisions(study) if study.divisions else None,
             _leakage(study) if study.leakage else None, _scenes(study) if study.scenes else None]  # fmt: skip
    return [part for part in parts if part is not None]


def _forecasts(study: StudyAnswers) -> More:
    told = [f for f in study.forecasts if f.next is not None]
    figures = [svg_picture(forecast_figure(f, study.unit), foretold(f, study.unit), f"doubling-{f.target}")
               for f in told if not f.cannot]  # fmt: skip
    rows = [row for f in told for row in _laws(f)]
    grid = Grid(
        "Each law alone: the largest size foretold from the others, and the doubled size; scores in %, 95 % limits",
        ("target", "law", "foretold", "measured", "error", "inside", "doubled"), rows,
    )  # fmt: skip
    note = (
        "A plain power law and one that saturates at both ends (M4 of Alabdulmohsin et al. 2022), every curve that agrees "
        "with the data by its weight; the interval spans both laws and the spread of seeds, on these test images."
    )
    return More("How many more images?", [foretold(f, study.unit) for f in study.forecasts], note, figures,
                grid if rows else None)  # fmt: skip


def _laws(forecast: Forecast) -> list[tuple[str, ...]]:
    check, doubled = forecast.check, forecast.next
    assert check is not None and doubled is not None
    rows: list[tuple[str, ...]] = []
    for (law, value, low, high), after in zip(check.by_form, doubled.by_form, strict=True):
        inside = "yes" if low <= check.measured <= high else "no"
        rows.append((forecast.target, law, f"{points(value)} ({_span(low, high)})", points(check.measured),
                     points(value - check.measured, signed=True), inside, f"{points(after[1])} ({_span(*after[2:])})"))  # fmt: skip
    return [*rows, _both(forecast.target, check, doubled)]


def _both(target: str, check: Prediction, doubled: Prediction) -> tuple[str, ...]:
    return (target, "both together", _span(check.low, check.high), points(check.measured), "",
            "yes" if check.holds else "no", _span(doubled.low, doubled.high))  # fmt: skip


def _span(low: float, high: float) -> str:
    return f"{points(low)} to {points(high)}"


def _divisions(study: StudyAnswers) -> More:
    lines = [divided(d) for d in study.divisions]
    figures = [svg_picture(division_figure(d), line, f"division-{d.target}")
               for d, line in zip(study.divisions, lines, strict=True) if d.kind != "cannot"]  # fmt: skip
    note = (
        "A parabola in the logarithm of classes / images per class, one for each seed; the interval holds the ratios at which "
        "their slope is not surely other than 0. That the best ratio stays as the budget grows is Zhang et al.'s (2023)."
    )
    return More("What should I collect next?", lines, note, figures)


def _leakage(study: StudyAnswers) -> More:
    lines = [line for each in study.leakage for line in leaked(each)]
    absent = [t.name for t in study.targets if t.name not in {each.target for each in study.leakage}]
    if absent:
        lines.append(f"Not looked for: {', '.join(absent)}.")
    if not study.without:
        lines.append("No test image is left out of the results above.")
    alike = study.leakage[0].alike
    note = (
        f"Copies are images with equal pixels, or whose grey gradients correlate by {alike:.2f} or more in one of 37 alignments, "
        "mirrored or not. Judge the threshold by the pairs below: a target's test image, then its likeness in the source."
    )
    sheets = [sheet_picture(each.target, each.pairs, f"Pairs of {each.target}: a test image, then its likeness in the source")
              for each in study.leakage if each.pairs is not None]  # fmt: skip
    return More("Is the gain leakage?", lines, note, [], _with_and_without(study.estimates, study.without), sheets)


def _scenes(study: StudyAnswers) -> More:
    """Each sheet's captions follow its images, row by row."""
    lines = [f"{each.target}, {each.what}, by {each.network}: {', '.join(each.captions)}." for each in study.scenes]
    sheets = [
        sheet_picture(f"{each.target}: {each.what}", each.images,
                      f"Test images of {each.target} with boxes {each.what}: {', '.join(each.captions)}")
        for each in study.scenes
    ]  # fmt: skip
    note = (
        "Blue: the best-scored boxes that meet an object of their class (intersection over union of 0.5 or more). Orange: the "
        "best-scored ones that do not. Yellow: the largest objects without a box of their class and a score of 0.3 there. Thin "
        "white: all objects of the image. One network, at most one box an image; chosen by these rules, not by eye."
    )
    return More("What is found, and what is not", lines, note, [], None, sheets)


def _with_and_without(estimates: Sequence[Estimate], without: Sequence[Estimate]) -> Grid | None:
    if not without:
        return None
    rows = [(a.contrast.name, "mean" if a.target == MEAN else a.target, _told(a), _told(b), str(a.verdict), str(b.verdict))
            for a, b in zip(estimates, without, strict=True)]  # fmt: skip
    head = ("contrast", "target", "with", "without", "verdict with", "verdict without")
    return Grid(
        "The declared contrasts with and without the test images that are copies; points, 95 % intervals", head, rows
    )


def _told(e: Estimate) -> str:
    if not e.n_seeds:
        return "–"
    if e.low is None or e.high is None:
        return points(e.value, signed=True)
    return f"{points(e.value, signed=True)} ({points(e.low, signed=True)} to {points(e.high, signed=True)})"
