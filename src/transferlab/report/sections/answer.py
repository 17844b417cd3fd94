"""The first screen of a study: alarms, the answer in sentences, one figure, what was compared at what cost, a few images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transferlab.answers.study import StudyAnswers
from transferlab.console import duration
from transferlab.report.document import (
    Beside,
    Block,
    Callout,
    Definitions,
    Details,
    Number,
    Picture,
    Pictures,
    Text,
)
from transferlab.report.gather import ALARM, answer
from transferlab.report.opening import legend, opening
from transferlab.report.pictures import thumbs_picture
from transferlab.report.sections.definition import Content, SectionDefinition
from transferlab.specs import TargetFacts
from transferlab.text import listed, number_of

N_SENTENCES = 4  # the others open on demand
MOST_NAMED = 8  # conditions; more are counted


def _content(study: StudyAnswers) -> Content:
    alarms, said = [check.sentence for check in study.checks if check.alarm], answer(study)
    n_missing, shown, thumbs = len(study.missing), opening(study), tuple(_thumbs(study))
    blocks: list[Block] = [*(Callout(ALARM, alarm) for alarm in alarms), *_sentences(said)]
    if n_missing:
        are = "s are" if n_missing != 1 else " is"
        blocks.append(Text((f"{n_missing:,} cell{are} missing and listed below.",), "strong"))
    facts = _facts_in_words(study)
    blocks.append(Beside((Pictures((shown.picture(legend(study)),)), Definitions(facts))))
    if thumbs:
        blocks.append(Pictures(thumbs, small=True))
    data = {
        "sentences": said, "alarms": alarms, "source": study.source, "unit": study.unit,
        "seeds": Number(study.n_seeds, "seeds"), "missing": Number(n_missing, "cells"), "figure": shown.target.name,
        "facts": [{"label": label, "text": text} for label, text in facts],
        "source_images": Number(study.n_source or None, "images"), "networks": Number(study.n_trained, "networks"),
        "work": Number(study.seconds, "seconds"), "protocols": study.protocols,
    }  # fmt: skip
    return Content(blocks, data)


def _sentences(said: Sequence[str]) -> Iterator[Block]:
    yield Text(tuple(said[:N_SENTENCES]), "answer")
    if said[N_SENTENCES:]:
        yield Details(f"More comparisons ({len(said) - N_SENTENCES})", tuple(said[N_SENTENCES:]))


def _facts_in_words(study: StudyAnswers) -> tuple[tuple[str, str], ...]:
    """Label and text of what was compared, on what, and what it cost."""
    conditions = _named([c.title for c in study.conditions if not c.is_control])
    controls = [c.title for c in study.conditions if c.is_control and not c.repeats]
    images = f"{number_of(study.n_source, 'training image')}" if study.n_source else "unknown number of images"
    return (
        ("Compared", f"{conditions} {study.unit}".strip()),
        ("Controls", _named(controls) or "none"),
        ("Seeds", f"{study.n_seeds}, each a fresh draw of images and a fresh training"),
        ("Source", f"{study.source}: {images}"),
        ("Target" if len(study.targets) == 1 else "Targets", "; ".join(map(_target, study.targets))),
        ("Measured by", listed(study.protocols) or "unknown"),
        ("Cost", f"{number_of(study.n_trained, 'network')} pre-trained; {duration(study.seconds)} of work in all"),
    )


def _named(names: Sequence[str]) -> str:
    more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return listed([*names[:MOST_NAMED], *more])


def _target(t: TargetFacts) -> str:
    tested = f"{number_of(t.n_test, 'test image')}{' in folds' if t.folds else ''}"
    return f"{t.name}: {number_of(t.n_classes, 'class', 'classes')}, {t.n_train:,} training and {tested}"


def _thumbs(study: StudyAnswers) -> Iterator[Picture]:
    """A row of images of the source, as the last condition has them, then one of each target."""
    if study.samples:
        images = list(study.samples.values())[-1]
        yield thumbs_picture("source", images, f"Images of the source {study.source}", f"Source: {study.source}")
    for name, images in study.pictures.items():
        yield thumbs_picture(f"target-{name}", images, f"Test images of {name}", f"Target: {name}")


ANSWER = SectionDefinition[StudyAnswers](name="answer", content=_content)
