"""Results class by class: which are told apart best and worst, what is taken for what, and which images change."""

from __future__ import annotations

from collections.abc import Mapping

from transferlab.answers.classes import ClassAccuracy, Classes, Confusion
from transferlab.answers.intervals import Interval
from transferlab.answers.points import points
from transferlab.answers.sentences import with_unit
from transferlab.answers.study import StudyAnswers
from transferlab.report.document import (
    FRACTION,
    UNKNOWN,
    Block,
    Heading,
    Number,
    Row,
    Table,
    Text,
    numbers,
    row,
    span,
    texts,
)
from transferlab.report.sections.definition import Content, SectionDefinition
from transferlab.text import number_of

ALL_UP_TO, AT_EACH_END = 12, 5
NOTE = (
    "Intervals (95 %) include both new seeds and new test images, as far as few images of a class can tell, and are rather too wide "
    "than too narrow. They are not adjusted for the number of classes: of twenty classes, one may lie outside its interval by "
    "chance. The best and the worst classes are chosen by these same images, so expect them to be less extreme on new ones."
)
NO_NAMES = "The pack of {} no longer exists, so its classes are named by their numbers, from 0."


def _content(study: StudyAnswers) -> Content:
    blocks: list[Block] = []
    for each in study.classes:
        title, base = with_unit(study.titles[each.condition], study.unit), study.titles.get(each.base, "")
        blocks += [Heading(each.target)] if len(study.classes) > 1 else []
        blocks += [_accuracies(each, title, base)]
        blocks += [_confusions(each, title)] if each.confusions else []
        said = [_changes(each, title, base)] if each.base else []
        said += [] if each.named else [NO_NAMES.format(each.target)]
        blocks += [Text(tuple(said))] if said else []
    return Content([*blocks, Text((NOTE,), "quiet")], [_facts(each) for each in study.classes])


def _accuracies(found: Classes, title: str, base: str) -> Table:
    """All classes if they are few, else the best and the worst; the best first."""
    ordered, n = found.best_first, len(found.classes)
    shown = ordered if n <= ALL_UP_TO else [*ordered[:AT_EACH_END], *ordered[-AT_EACH_END:]]
    which = "every class" if n <= ALL_UP_TO else f"the {AT_EACH_END} best and the {AT_EACH_END} worst of {n:,} classes"
    caption = (
        f"{found.target}, {title}: accuracy of {which}, mean over {number_of(found.n_seeds, 'seed')} in %, best first"
    )
    columns = [*texts("class"), *numbers("accuracy", "95 % interval", "test images")]
    if found.base:
        columns += numbers(f"change against {base} (points)")
    return Table(caption, tuple(columns), tuple(_row(each, bool(found.base)) for each in shown))


def _row(each: ClassAccuracy, compared: bool) -> Row:
    accuracy, change = each.accuracy, each.change
    cells = [each.name, points(accuracy.value), span(accuracy.low, accuracy.high), f"{each.n_images:,}"]
    if compared:
        between = "" if change is None or change.low is None else f" ({span(change.low, change.high, signed=True)})"
        cells.append(UNKNOWN if change is None else f"{points(change.value, signed=True)}{between}")
    return row(*cells)


def _confusions(found: Classes, title: str) -> Table:
    caption = f"{found.target}, {title}: the most frequent confusions, mean over seeds"
    head = (*texts("class", "taken for"), *numbers("test images", "share of the class (%)"))
    rows = [row(c.true, c.predicted, f"{c.n_images:,.1f}", points(c.share)) for c in found.confusions]
    return Table(caption, head, tuple(rows))


def _changes(found: Classes, title: str, base: str) -> str:
    gained = number_of(found.n_gained, "image is", "images are")
    return (
        f"Of {found.n_images:,} test images of {found.target}, {gained} right in most seeds with {title} and wrong in most with "
        f"{base}; {found.n_lost:,} the other way round ({number_of(found.n_paired, 'seed')})."
    )


def _facts(found: Classes) -> dict[str, object]:
    images = {"images": found.n_images, "gained": found.n_gained, "lost": found.n_lost}
    known = {name: Number(n if name == "images" or found.base else None, "images") for name, n in images.items()}
    return {
        "target": found.target, "condition": found.condition, "base": found.base, "named": found.named,
        "seeds": Number(found.n_seeds, "seeds"), "seeds_compared": Number(found.n_paired, "seeds"), **known,
        "accuracies": [{"class": each.name, "images": Number(each.n_images, "images"), "accuracy": _number(each.accuracy),
                        "change": _number(each.change)} for each in found.classes],
        "confusions": [_confusion(each) for each in found.confusions],
    }  # fmt: skip


def _confusion(each: Confusion) -> Mapping[str, object]:
    return {"class": each.true, "predicted": each.predicted, "images": Number(each.n_images, "images"),
            "share": Number(each.share, FRACTION)}  # fmt: skip


def _number(found: Interval | None) -> Number:
    return Number(None, FRACTION) if found is None else Number(found.value, FRACTION, found.low, found.high)


CLASSES = SectionDefinition[StudyAnswers](
    name="by_class", title="Classes", content=_content, applies=lambda study: study.has("classes")
)
