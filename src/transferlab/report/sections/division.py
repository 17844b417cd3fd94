"""What to collect next: the best ratio of classes to images per class at one budget of images."""

from __future__ import annotations

from transferlab.answers.division import Division, Way
from transferlab.answers.sentences import division_in_words
from transferlab.answers.study import StudyAnswers
from transferlab.report.curves import division_figure
from transferlab.report.document import FRACTION, Block, Number, Pictures, Text
from transferlab.report.pictures import svg_picture
from transferlab.report.sections.definition import Content, SectionDefinition

NOTE = (
    "A parabola in the logarithm of classes / images per class is fitted to each seed. The interval holds the ratios at "
    "which the slope of these parabolas is not significantly different from 0. That the best ratio stays the same as the budget "
    "grows is a finding of Zhang et al. (2023)."
)


def _content(study: StudyAnswers) -> Content:
    said = [division_in_words(d) for d in study.divisions]
    drawn = [svg_picture(division_figure(d), line, f"division-{d.target}")
             for d, line in zip(study.divisions, said, strict=True) if d.is_fitted]  # fmt: skip
    pictures: list[Block] = [Pictures(tuple(drawn))] if drawn else []
    data = [_facts(d, line) for d, line in zip(study.divisions, said, strict=True)]
    return Content([Text(tuple(said)), *pictures, Text((NOTE,), "quiet")], data)


def _facts(division: Division, said: str) -> dict[str, object]:
    ways = [{**_way(way), "mean": Number(mean, FRACTION)}
            for way, mean in zip(division.ways, division.means.tolist(), strict=True)]  # fmt: skip
    checked = None
    if verified := division.verified:
        difference = verified.difference
        checked = {"budget": Number(verified.budget, "images"), "nearest": _way(verified.nearest), "other": _way(verified.other),
                   "difference": Number(difference.value, FRACTION, difference.low, difference.high)}  # fmt: skip
    return {
        "target": division.target, "sentence": said, "kind": division.kind, "budget": Number(division.budget, "images"),
        "ratio": Number(division.ratio, "classes / images per class", division.low, division.high),
        "seeds": Number(division.n_seeds, "seeds"), "ways": ways, "verified": checked,
    }  # fmt: skip


def _way(way: Way) -> dict[str, object]:
    return {"classes": Number(way.classes, "classes"), "images_per_class": Number(way.images, "images per class")}


DIVISION = SectionDefinition[StudyAnswers](
    name="division", title="What should I collect next?", content=_content, applies=lambda study: study.has("divisions")
)
