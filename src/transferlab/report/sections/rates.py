"""Does the learning rate decide? The declared contrasts again at another rate, and with each condition at its better one."""

from __future__ import annotations

from transferlab.answers.estimate import MEAN, Estimate
from transferlab.answers.points import points
from transferlab.answers.rates import Pair, Preference, Rates
from transferlab.answers.sentences import preferences_in_words, rates_in_short, rates_in_words
from transferlab.answers.study import StudyAnswers
from transferlab.report.document import (
    FRACTION,
    UNKNOWN,
    Block,
    Cell,
    Column,
    Number,
    Table,
    Text,
    numbers,
    row,
    span,
    texts,
)
from transferlab.report.sections.contrasts import estimate_facts
from transferlab.report.sections.definition import Content, SectionDefinition
from transferlab.text import number_of

CAPTION = "The declared contrasts at each choice of learning rates: differences in points, 95 % intervals, verdicts"
CHOICE = "Accuracy on the source's validation images in %, mean over the seeds that have both networks"
NOTE = (
    "A condition's better rate is the one with the higher mean accuracy on the source's validation images, with the labels of "
    "the condition; no target has a part in the choice. Networks of one seed start from the same weights and see the same "
    "images at both rates. Each column is adjusted for its number of comparisons by itself, as the contrasts above are "
    "(Holm); the columns test the same contrasts again and are not added to them. A verdict may change where the difference "
    "hardly does: the interval of the change says so. A tenth of the rate over the same examples trains less, so that the "
    "better rates are the fairer comparison. Controls keep the study's rate. That rankings of data can reverse under one "
    "recipe was found by Wang et al. (arXiv 2512.24503)."
)


def _content(study: StudyAnswers) -> Content:
    (rates,) = study.rates
    blocks: list[Block] = [Text(tuple(preferences_in_words(rates))), _choices(study, rates)]
    changed: list[str] = []
    if study.estimates:
        changed = rates_in_words(rates, study.unit, study.titles)
        listed: list[Block] = [Text(tuple(changed), "list")] if changed else []
        blocks = [Text((rates_in_short(rates),)), *listed, *blocks, _contrasts(rates)]
    data = {
        "sentences": [*([rates_in_short(rates)] if study.estimates else []), *changed, *preferences_in_words(rates)],
        "study_rate": Number(rates.lr, "learning rate"), "other_rate": Number(rates.other_lr, "learning rate"),
        "choices": [_choice(p) for p in rates.preferences],
        "other": [_facts(pair) for pair in rates.other], "better": [_facts(pair) for pair in rates.better],
    }  # fmt: skip
    return Content([*blocks, Text((NOTE,), "quiet")], data)


def _choices(study: StudyAnswers, rates: Rates) -> Table:
    head = (*texts("condition"), *numbers(f"at {rates.lr:g}", f"at {rates.other_lr:g}", "better rate", "seeds"))
    rows = [row(study.titles[p.condition], _accuracy(p.own), _accuracy(p.other), _better(p, rates), str(p.n_seeds))
            for p in rates.preferences]  # fmt: skip
    return Table(CHOICE, head, tuple(rows))


def _accuracy(value: float | None) -> str:
    return UNKNOWN if value is None else points(value)


def _better(preference: Preference, rates: Rates) -> str:
    return f"{rates.other_lr if preference.takes_other else rates.lr:g}" if preference.chosen else UNKNOWN


def _contrasts(rates: Rates) -> Table:
    head = (
        *texts("contrast", "target"),
        Column("as planned", True),
        Column(rates.title, True),
        Column("each at its better rate", True),
    )
    rows = [row(a.planned.contrast.name, "mean" if a.planned.target == MEAN else a.planned.target, *_cells(a.planned, a.then, b.then))
            for a, b in zip(rates.other, rates.better, strict=True)]  # fmt: skip
    return Table(CAPTION, head, tuple(rows))


def _cells(*beside: Estimate) -> list[Cell]:
    most = max(e.n_seeds for e in beside)
    return [_cell(e, f" ({e.n_seeds} of {number_of(most, 'seed')})" if e.n_seeds < most else "") for e in beside]


def _cell(e: Estimate, seeds: str) -> Cell:
    if not e.n_seeds:
        return Cell(UNKNOWN)
    between = "" if e.low is None else f" ({span(e.low, e.high, signed=True)})"
    return Cell(f"{points(e.value, signed=True)}{between}", below=f"{e.verdict}{seeds}")


def _choice(p: Preference) -> dict[str, object]:
    return {"condition": p.condition, "at_study_rate": Number(p.own, FRACTION), "at_other_rate": Number(p.other, FRACTION),
            "chosen": p.chosen, "seeds": Number(p.n_seeds, "seeds")}  # fmt: skip


def _facts(pair: Pair) -> dict[str, object]:
    """The estimate at other rates, and how it differs from the planned one."""
    change = pair.change
    moved = Number(0.0, FRACTION) if change is None else Number(change.value, FRACTION, change.low, change.high)
    return {**estimate_facts(pair.then), "change": moved, "verdict_changes": pair.changes}


RATES = SectionDefinition[StudyAnswers](
    name="rates", title="Does the learning rate decide?", content=_content, applies=lambda study: study.has("rates")
)
