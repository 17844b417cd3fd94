"""Does pre-training help at all? The best condition against networks that were not pre-trained, by one and the same protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transferlab.answers.contrast import best_against
from transferlab.answers.recommend import Help
from transferlab.outcomes.store import Store
from transferlab.planned import NamedCondition, Plan
from transferlab.report.results import Records, alike, results_of
from transferlab.specs import TargetFacts


def helps(store: Store, plan: Plan, targets: Sequence[TargetFacts], records: Records) -> Iterator[Help]:
    """For each control without pre-training, by the first protocol of the study that measures it and the conditions.

    Args:
        targets: those that enter means over targets.
    """
    conditions = [c.name for c in plan.conditions if not c.is_control]
    for control in (c for c in plan.conditions if c.is_control and c.design is None):
        kind = _shared(plan, control)
        if kind is None:
            continue
        results = [results_of(store, plan, target, records, kind[0]) for target in targets]
        held = [each for each in results if each.scores.get(control.name)]
        if held and (found := best_against(conditions, control.name, held, alike(plan))) is not None:
            yield Help(kind[1], found)


def _shared(plan: Plan, control: NamedCondition) -> tuple[str, str] | None:
    """Kind and label of the first protocol of the study by which both the conditions and this control are measured."""
    kinds = {t.cell.protocol.kind for t in plan.transfers if t.condition == control.name}
    return next(((p.protocol.kind, p.label) for p in plan.protocols if p.protocol.kind in kinds), None)
