"""The targets: sizes, metric, the score of guessing, and remarks on the data."""

from __future__ import annotations

from transferlab.answers.study import StudyAnswers
from transferlab.report.document import FRACTION, Block, Number, Table, Text, numbers, row, texts
from transferlab.report.figures import guessing
from transferlab.report.sections.definition import Content, SectionDefinition
from transferlab.specs import TargetFacts

HEAD = (*texts("target"), *numbers("classes", "train", "validation", "test"), *texts("metric"), *numbers("guessing"))


def _content(study: StudyAnswers) -> Content:
    rows = [row(t.name, *(f"{n:,}" for n in (t.n_classes, t.n_train, t.n_val, t.n_test)), t.metric, guessing(t.chance))
            for t in study.targets]  # fmt: skip
    notes = tuple(dict.fromkeys([*study.notes, *(note for t in study.targets for note in t.notes)]))
    shown = Table("Sizes, metric, and the score of the best constant guess", HEAD, tuple(rows))
    listed: list[Block] = [Text(notes, "list")] if notes else []
    return Content([shown, *listed], {"sets": [_facts(t) for t in study.targets], "notes": notes})


def _facts(t: TargetFacts) -> dict[str, object]:
    return {
        "target": t.name, "spec": t.spec, "digest": t.digest, "metric": t.metric, "chance": Number(t.chance, FRACTION), "classes": Number(t.n_classes, "classes"),
        "train": Number(t.n_train, "images"), "validation": Number(t.n_val, "images"), "test": Number(t.n_test, "images"), "folds": Number(t.folds, "folds"),
    }  # fmt: skip


TARGETS = SectionDefinition[StudyAnswers](name="targets", title="Targets", content=_content)
