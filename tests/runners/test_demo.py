"""The demo's studies share their networks: what the first pre-trains, the third puts detectors around."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transferlab.plan import Place, make_plan
from transferlab.planned import Plan, SourceFacts
from transferlab.runners.demo import BOXES, IMAGES
from transferlab.specs import Pack, Study, TargetFacts


def test_the_question_about_boxes_pre_trains_nothing(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack((60,) * 4)
    source = SourceFacts("toy", pack.digest, "toy")

    def plan_of(study: Study, targets: Sequence[TargetFacts]) -> Plan:
        return make_plan(study, (source, pack), targets, Place("cpu", "bf16"), lambda _: None)

    images = plan_of(IMAGES, [TargetFacts("t", "0" * 32, "t")])
    boxes = plan_of(BOXES, [TargetFacts("b", "1" * 32, "b", has_boxes=True)])
    assert {t.key for t in boxes.trainings} < {t.key for t in images.trainings}
    assert {t.cell.network for t in boxes.transfers} < {t.cell.network for t in images.transfers}
    assert len(boxes.transfers) == 9
    assert {t.cell.protocol.kind for t in boxes.transfers} == {"detect"}
