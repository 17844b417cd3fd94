"""The targets: sizes, metric, the score of guessing, and remarks on the data."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from transferlab.answers.contrast import LEAST_ROOM
from transferlab.answers.points import points
from transferlab.answers.study import StudyAnswers
from transferlab.report.document import FRACTION, UNKNOWN, Block, Number, Table, Text, numbers, row, texts
from transferlab.report.figures import guessing
from transferlab.report.sections.definition import Content, SectionDefinition
from transferlab.specs import TargetFacts

HEAD = (*texts("target"), *numbers("classes", "train", "validation", "test"), *texts("metric"), *numbers("guessing"))


POWER = (
    *texts("target"),
    *numbers("weight in the mean", "between conditions", "interval of the primary contrast", "ratio"),
)
POWER_CAPTION = ("How well each target tells conditions apart: the largest difference between means of conditions, beside half the width of the "
                 "primary contrast's interval, in points")  # fmt: skip


def _content(study: StudyAnswers) -> Content:
    rows = [row(t.name, *(f"{n:,}" for n in (t.n_classes, t.n_train, t.n_val, t.n_test)), t.metric, guessing(t.chance))
            for t in study.targets]  # fmt: skip
    full = [f"{name} is left out of the mean over targets: every condition scores above {100 * (1 - LEAST_ROOM):.0f} % there, so that no "
            "difference can be seen." for name in study.saturated]  # fmt: skip
    notes = tuple(dict.fromkeys([*full, *study.notes, *(note for t in study.targets for note in t.notes)]))
    shown = Table("Sizes, metric, and the score of the best constant guess", HEAD, tuple(rows))
    listed: list[Block] = [Text(notes, "list")] if notes else []
    known = {each.target: each for each in powers(study)}
    told = [row(each.target, *each.shown) for each in known.values()]
    power: list[Block] = [Table(POWER_CAPTION, POWER, tuple(told))] if told else []
    facts = [_facts(t) | {"power": known[t.name].facts if t.name in known else None} for t in study.targets]
    return Content([shown, *power, *listed], {"sets": facts, "notes": notes})


@dataclass(frozen=True)
class Power:
    """How well a target tells conditions apart; differences in 0…1.

    Args:
        weight: in the mean over targets. between: the largest difference between means of conditions over seeds.
        half: half the width of the primary contrast's interval.
    """

    target: str
    weight: float
    between: float
    half: float

    @property
    def shown(self) -> tuple[str, ...]:
        ratio = f"{self.between / self.half:.1f}" if self.half else UNKNOWN
        return f"{100 * self.weight:.0f} %", points(self.between), f"± {points(self.half)}", ratio

    @property
    def facts(self) -> dict[str, object]:
        return {"weight": Number(self.weight, FRACTION), "between_conditions": Number(self.between, FRACTION),
                "half_width": Number(self.half, FRACTION)}  # fmt: skip


def powers(study: StudyAnswers) -> list[Power]:
    """Of each target on which the first declared contrast has an interval."""
    weights = study.weights
    first = study.estimates[0].contrast.name if study.estimates else ""
    conditions = {c.name for c in study.conditions if not c.is_control}
    found: list[Power] = []
    for e in (e for e in study.estimates if e.contrast.name == first and e.low is not None and e.high is not None):
        held: defaultdict[str, list[float]] = defaultdict(list)
        protocol = next((s.protocol for s in study.scores if s.target == e.target and not s.beside), "")
        for s in study.scores:
            if s.condition in conditions and (s.target, s.protocol) == (e.target, protocol):
                held[s.condition].append(s.value)
        if held and e.low is not None and e.high is not None:
            means = [sum(of) / len(of) for of in held.values()]
            found.append(Power(e.target, weights.get(e.target, 0.0), max(means) - min(means), (e.high - e.low) / 2))
    return found


def _facts(t: TargetFacts) -> dict[str, object]:
    return {
        "target": t.name, "spec": t.spec, "digest": t.digest, "metric": t.metric, "chance": Number(t.chance, FRACTION), "classes": Number(t.n_classes, "classes"),
        "train": Number(t.n_train, "images"), "validation": Number(t.n_val, "images"), "test": Number(t.n_test, "images"), "folds": Number(t.folds, "folds"),
    }  # fmt: skip


TARGETS = SectionDefinition[StudyAnswers](name="targets", title="Targets", content=_content)
