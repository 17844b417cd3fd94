"""The scores of each condition on each target: a figure for each target that the first screen has not shown, and tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from transferlab.answers.points import points
from transferlab.answers.study import Score, StudyAnswers
from transferlab.planned import NamedCondition
from transferlab.report.document import FRACTION, UNKNOWN, Block, Cell, Column, Number, Pictures, Row, Table
from transferlab.report.opening import others, protocols
from transferlab.report.sections.definition import Content, SectionDefinition

Values = Mapping[tuple[str, str], Sequence[float]]


def _content(study: StudyAnswers) -> Content:
    pictures = [each.picture() for each in others(study)]
    blocks: list[Block] = [Pictures(tuple(pictures))] if pictures else []
    first, *further = protocols(study)
    tables = [_table(study, first, [s for s in study.scores if s.beside or s.protocol == first], study.conditions)]
    for protocol in further:
        scores = [s for s in study.scores if s.protocol == protocol]
        known = {s.condition for s in scores}
        tables.append(_table(study, protocol, scores, [c for c in study.conditions if c.name in known]))
    return Content([*blocks, *tables], [_facts(s) for s in study.scores])


def _table(study: StudyAnswers, protocol: str, scores: Sequence[Score], conditions: Sequence[NamedCondition]) -> Table:
    """Conditions by targets that this protocol measures; accuracy on the source's own held-out images comes last."""
    metrics = {s.target: s.metric for s in scores}
    measured = {s.target for s in scores if s.protocol == protocol}
    targets = [Column(t.name, True, metrics.get(t.name, t.metric)) for t in study.targets
               if t.name in measured or not measured or len(study.targets) == 1]  # fmt: skip
    names = {t.name for t in study.targets}
    targets += [Column(name, True, f"held out, {metric}") for name, metric in metrics.items() if name not in names]
    values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for s in scores:
        values[s.condition, s.target].append(s.value)
    folds = {t.name: t.folds for t in study.targets}
    split_alone = {(s.condition, s.target) for s in scores if s.beside and folds.get(s.target)}
    floor = next((c for c in study.conditions if c.is_floor), None)
    rows = [
        Row(
            (_name(c), *(_cell(values, c, floor, t.title, (c.name, t.title) in split_alone) for t in targets)),
            c.is_control,
        )
        for c in conditions
    ]
    gains = f" the gain over {floor.title} in brackets (points)," if floor else ""
    caption = f"mean over seeds in %,{gains} and the score of each seed"
    return Table(f"{protocol}: {caption}" if protocol else caption, (Column("condition"), *targets), tuple(rows))


def _name(condition: NamedCondition) -> Cell:
    """A condition's title; below it the effective number of labels, if they merge classes."""
    merged = f"{condition.effective_labels:.1f} effective labels, the largest {points(condition.largest_share)} %"
    return Cell(condition.title, below=merged if condition.shares else "")


def _cell(
    values: Values, condition: NamedCondition, floor: NamedCondition | None, target: str, split_alone: bool
) -> Cell:
    """A mean with its gain over the floor and every seed; no gain if it is of the test split where the floor is of all images."""
    found = values.get((condition.name, target))
    if not found:
        return Cell(UNKNOWN)
    base = values.get((floor.name, target)) if floor and floor is not condition else None
    gain = f"({points(float(np.mean(found) - np.mean(base)), signed=True)})" if base else ""
    gain = "(test split alone)" if split_alone else gain
    seeds = " ".join(map(points, found)) if len(found) > 1 else ""
    return Cell(points(float(np.mean(found))), beside=gain, below=seeds)


def _facts(score: Score) -> dict[str, object]:
    return {"condition": score.condition, "seed": score.seed, "target": score.target, "protocol": score.protocol,
            "metric": score.metric, "score": Number(score.value, FRACTION), "key": score.key}  # fmt: skip


SCORES = SectionDefinition[StudyAnswers](name="scores", title="Scores", content=_content)
