"""The conditions of a study as its first seed drew them: sizes, labels, and the shares of labels that merge classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transferlab import designs
from transferlab.answers.study import ConditionFacts
from transferlab.errors import UserError
from transferlab.outcomes.store import Store
from transferlab.planned import Plan
from transferlab.runners.packs import find
from transferlab.specs import Pack, Subset
from transferlab.taxonomy.tree import Taxonomy


def conditions(store: Store, plan: Plan) -> tuple[ConditionFacts, ...]:
    """Every condition and control, in the plan's order; controls that are not trained have no sizes."""
    pack = _source(store, plan)
    found: list[ConditionFacts] = []
    for condition in plan.conditions:
        digests = tuple(t.cell.subset for t in plan.trainings if t.condition == condition.name)
        if not digests:
            found.append(ConditionFacts(condition.name, True, 0, 0, 0.0, 0.0, ()))
            continue
        subset = store.read_subset(digests[0])
        facts = designs.facts(subset)
        shares = () if condition.is_control else _shares(subset, pack)
        found.append(ConditionFacts(
            condition.name, condition.is_control, facts.n_images, facts.n_labels, facts.effective_labels,
            facts.largest_share, digests, condition.factor, shares,
        ))  # fmt: skip
    return tuple(found)


def _shares(subset: Subset, pack: Pack | None) -> tuple[tuple[str, float], ...]:
    """Labels by name where the source's pack is still there, else by id."""
    if all(len(members) <= 1 for members in subset.members):
        return ()
    sizes = np.bincount(subset.labels)
    order = sorted(range(len(sizes)), key=lambda label: (-int(sizes[label]), label))
    called = _called(subset.label_names, pack.taxonomy) if pack else subset.label_names
    return tuple((called[label], float(sizes[label] / sizes.sum())) for label in order)


def _called(labels: Sequence[str], taxonomy: Taxonomy) -> tuple[str, ...]:
    """Labels by the first of their names; one with other labels below it is what they leave of its node."""
    above = {node for label in labels for node in taxonomy.chain(label)[1:]}
    return tuple(
        taxonomy.names[label].split(",")[0] + (" (the rest)" if label in above else "") for label in labels
    )  # fmt: skip


def _source(store: Store, plan: Plan) -> Pack | None:
    try:
        return find(store, plan.source)
    except UserError:
        return None
