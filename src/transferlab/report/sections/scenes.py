"""What a detector finds and misses, drawn on test images."""

from __future__ import annotations

from transferlab.answers.study import StudyAnswers
from transferlab.report.document import Pictures, Text
from transferlab.report.pictures import sheet_picture
from transferlab.report.scenes import OVERLAP, SEEN
from transferlab.report.sections.definition import Content, SectionDefinition

NOTE = (
    f"Blue: detections that match an object of their class (intersection over union of at least {OVERLAP}), those with the "
    "highest scores. Orange: detections that match none, those with the highest scores. Yellow: the largest objects without a "
    f"detection of their class that scores at least {SEEN}. Thin white boxes: all objects of the image. All come from one network, at "
    "most one box per image, chosen by these rules and not by eye."
)


def _content(study: StudyAnswers) -> Content:
    """The captions of a sheet follow its images, row by row."""
    said = [f"{each.target}, {each.what}, by {each.network}: {', '.join(each.captions)}." for each in study.scenes]
    sheets = [
        sheet_picture(f"{each.target}-{each.what}", each.images,
                      f"Test images of {each.target} with boxes {each.what}: {', '.join(each.captions)}",
                      f"{each.target}: {each.what}")
        for each in study.scenes
    ]  # fmt: skip
    data = [{"target": s.target, "kind": s.what, "network": s.network, "captions": s.captions} for s in study.scenes]
    return Content([Text(tuple(said)), Text((NOTE,), "quiet"), Pictures(tuple(sheets))], data)


SCENES = SectionDefinition[StudyAnswers](
    name="scenes", title="What is found, and what is not", content=_content, applies=lambda study: study.has("scenes")
)
