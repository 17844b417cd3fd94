"""How many more images: the score predicted for twice as many images per class."""

from __future__ import annotations

from transferlab.answers.points import points
from transferlab.answers.scaling import Forecast, Prediction
from transferlab.answers.sentences import forecast_in_words
from transferlab.answers.study import StudyAnswers
from transferlab.report.curves import forecast_figure
from transferlab.report.document import FRACTION, Block, Number, Pictures, Row, Table, Text, numbers, row, span, texts
from transferlab.report.pictures import svg_picture
from transferlab.report.sections.definition import Content, SectionDefinition

CAPTION = (
    "Each law alone: what it predicts for the largest size when fitted without it, and for the doubled size; scores in %, "
    "95 % limits"
)
HEAD = (
    *texts("target", "law"),
    *numbers("predicted", "measured", "error"),
    *texts("within limits"),
    *numbers("doubled"),
)
NOTE = (
    "Two laws are fitted: a plain power law, and one that saturates at both ends (M4 of Alabdulmohsin et al. 2022). All "
    "curves that agree with the data are used, weighted by how well they agree. The interval covers both laws and the spread "
    "over seeds, for these test images."
)


def _content(study: StudyAnswers) -> Content:
    said = [forecast_in_words(f, study.unit) for f in study.forecasts]
    drawn = [svg_picture(forecast_figure(f, study.unit), line, f"doubling-{f.target}")
             for f, line in zip(study.forecasts, said, strict=True) if f.next is not None and not f.cannot]  # fmt: skip
    rows = [each for f in study.forecasts for each in _rows(f)]
    blocks: list[Block] = [Text(tuple(said)), *([Pictures(tuple(drawn))] if drawn else []),
                           *([Table(CAPTION, HEAD, tuple(rows))] if rows else []), Text((NOTE,), "quiet")]  # fmt: skip
    return Content(blocks, [_facts(f, line) for f, line in zip(study.forecasts, said, strict=True)])


def _rows(forecast: Forecast) -> list[Row]:
    """Each law's prediction, then both together."""
    check, doubled = forecast.check, forecast.next
    if check is None or doubled is None:
        return []
    rows: list[Row] = []
    for (law, value, low, high), (_, twice, *limits) in zip(check.by_form, doubled.by_form, strict=True):
        rows.append(row(
            forecast.target, law, f"{points(value)} ({span(low, high)})", points(check.measured),
            points(value - check.measured, signed=True), "yes" if low <= check.measured <= high else "no",
            f"{points(twice)} ({span(*limits)})",
        ))  # fmt: skip
    return [*rows, row(forecast.target, "both together", span(check.low, check.high), points(check.measured), "",
                       "yes" if check.holds else "no", span(doubled.low, doubled.high))]  # fmt: skip


def _facts(forecast: Forecast, said: str) -> dict[str, object]:
    gain = Number(None, FRACTION) if forecast.next is None else Number(forecast.gain[0], FRACTION, *forecast.gain[1:])
    return {
        "target": forecast.target, "sentence": said, "cannot": forecast.cannot, "seeds": Number(forecast.n_seeds, "seeds"),
        "sizes": [Number(size, "images per class") for size in forecast.sizes.tolist()],
        "means": [Number(mean, FRACTION) for mean in forecast.means.tolist()],
        "gain": gain, "check": _prediction(forecast.check), "doubled": _prediction(forecast.next),
    }  # fmt: skip


def _prediction(prediction: Prediction | None) -> dict[str, object] | None:
    if prediction is None:
        return None
    laws = [{"law": law, "score": Number(value, FRACTION, low, high)} for law, value, low, high in prediction.by_form]
    return {"size": Number(prediction.size, "images per class"),
            "score": Number(prediction.value, FRACTION, prediction.low, prediction.high),
            "measured": Number(prediction.measured, FRACTION), "laws": laws}  # fmt: skip


FORECAST = SectionDefinition[StudyAnswers](
    name="forecast", title="How many more images?", content=_content, applies=lambda study: study.has("forecasts")
)
