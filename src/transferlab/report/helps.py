"""Does pre-training help at all? The best condition against networks that were not pre-trained, by one and the same protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from transferlab.answers.contrast import best_against
from transferlab.answers.recommend import Help
from transferlab.outcomes.store import Store
from transferlab.planned import NamedCondition, Plan
from transferlab.report.results import Records, alike, results_of
from transferlab.specs import TargetFacts
from transferlab.text import listed


def helps(store: Store, plan: Plan, targets: Sequence[TargetFacts], records: Records) -> Iterator[Help]:
    """For each control without pre-training, by the first protocol of the study that measures it and the conditions.

    Args:
        targets: those that enter means over targets.
    """
    conditions = [c.name for c in plan.conditions if not c.is_control]
    for control in (c for c in plan.conditions if c.is_control and c.design is None):
        label = _shared(plan, control)
        results = [results_of(store, plan, target, records, label) for target in targets] if label else []
        held = [each for each in results if {control.name, *conditions} <= {*each.scores}]
        found = best_against(conditions, control.name, held, alike(plan)) if held else None
        if found is not None:
            some = 1 < len(held) < len(targets)  # such as those without boxes
            yield Help(label, replace(found, target=listed([each.target for each in held])) if some else found)


def _shared(plan: Plan, control: NamedCondition) -> str:
    """The label of the first protocol of the study by which both the conditions and this control are measured; "" if there is none."""
    labels = {t.label for t in plan.transfers if t.condition == control.name}
    return next((p.label for p in plan.protocols if p.label in labels), "")
