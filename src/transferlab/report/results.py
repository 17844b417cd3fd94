"""One target's results in the form that contrasts need: scores and per-example results of the cells that are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.contrast import Results
from transferlab.answers.noise import Alike
from transferlab.definitions import D, Table
from transferlab.errors import UserError
from transferlab.origins import ORIGINS
from transferlab.outcomes.files import Unreadable
from transferlab.outcomes.store import Store
from transferlab.planned import Plan, SourceFacts
from transferlab.runners.packs import find
from transferlab.specs import Pack, TargetFacts
from transferlab.transfer.metrics import METRICS

Records = dict[str, dict[str, Any] | None]


def pack_of(store: Store, facts: SourceFacts | TargetFacts) -> Pack | None:
    """The pack of a source or target; None if it no longer exists."""
    try:
        return find(store, facts)
    except UserError:
        return None


def metrics_of(record: dict[str, Any] | None) -> dict[str, float]:
    """A cell's metrics by name; none if there is no cell."""
    held = cast("Mapping[str, object]", record["metrics"] if record else {})
    return {name: float(value) for name, value in held.items() if isinstance(value, (int, float))}


def of_plan(plan: Plan, table: Table[D], name: str) -> D | None:
    """The definition that a plan was made with; None if it is not available here, or has changed."""
    codes = [each.code for each in plan.brought if (each.kind, each.name) == (table.kind, name)]
    here = table.brought(name)
    return table.get(name) if codes == ([here.code] if here else []) else None


def _arrays(store: Store, key: str) -> dict[str, NDArray[Any]] | None:
    """A cell's arrays; None if they are damaged, or were set aside just now."""
    try:
        return store.arrays(key)
    except Unreadable:
        raise
    except UserError:
        return None


def alike(plan: Plan) -> Alike:
    """The conditions whose spread over seeds is pooled, and the reference condition's twin."""
    controls = (c for c in plan.conditions if c.is_control)
    twins = [c.name for c in controls if (origin := of_plan(plan, ORIGINS, c.control)) is not None and origin.twin]
    return Alike(tuple(c.name for c in plan.conditions if not c.is_control), plan.reference, next(iter(twins), ""))


def results_of(store: Store, plan: Plan, target: TargetFacts, records: Records, kind: str = "") -> Results:
    """Scores and per-example results of one target, under the protocols by which its conditions are compared.

    Args:
        kind: of the protocol, if it is another one; of several of this kind the study's first counts.

    Where a metric's definition is not available here or has changed, intervals still include new test images if the metric is a plain mean over
    images. The record of a cell whose arrays turn out to be damaged is set to None, as if it were missing.
    """
    metric = of_plan(plan, METRICS, target.metric)
    array = target.rows if metric is None else metric.rows if metric.each is not None else ""
    scores: defaultdict[str, dict[int, float]] = defaultdict(dict)
    rows: defaultdict[str, dict[int, NDArray[np.float64] | NDArray[np.bool_]]] = defaultdict(dict)
    kept: dict[tuple[str, int], Mapping[str, NDArray[Any]]] = {}
    for t in plan.transfers:
        record = records[t.key]
        if t.cell.target != target.digest or record is None:
            continue
        if (t.cell.protocol.kind != kind or t.seed in scores[t.condition]) if kind else not t.compared:
            continue
        if target.folds and t.cell.protocol.knobs.get("folds") != target.folds:
            continue  # from scratch: on the test split alone
        needed = (metric is not None and metric.again is not None) or bool(array)
        held = _arrays(store, t.key) if needed else {}
        value = metrics_of(record).get(target.metric)
        if (
            value is None
            or held is None
            or (array and metric is not None and metric.again is None and array not in held)
        ):
            records[t.key] = None
            continue
        scores[t.condition][t.seed] = value
        if metric is not None and metric.again is not None:
            kept[t.condition, t.seed] = held
        elif array:  # a byte an example, where it is right or wrong
            rows[t.condition][t.seed] = held[array]

    def again(condition: str, seed: int, examples: NDArray[np.int64]) -> float:
        assert metric is not None and metric.again is not None
        return metric.again(kept[condition, seed], examples)

    weights = None
    if metric is not None and metric.weights is not None and target.labels:
        weights = metric.share(store.labels(target.labels)["labels"])
    return Results(
        target.name,
        target.metric,
        dict(scores),
        dict(rows),
        weights,
        again if kept else None,
        target.n_test,
        target.folds,
    )
