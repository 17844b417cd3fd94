"""One target's results in the form that contrasts need: scores and per-example results of the cells that are compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.classes import Predicted
from transferlab.answers.contrast import Results
from transferlab.answers.noise import Alike
from transferlab.definitions import D, Table
from transferlab.errors import UserError
from transferlab.origins import ORIGINS
from transferlab.outcomes.files import Unreadable
from transferlab.outcomes.store import Store
from transferlab.planned import Plan, SourceFacts, Transfer
from transferlab.runners.packs import find
from transferlab.specs import Pack, TargetFacts
from transferlab.taxonomy.tree import Taxonomy
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.metrics.definition import PREDICTED

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


def _compared(plan: Plan, target: TargetFacts, label: str = "") -> Iterator[Transfer]:
    """The cells by which a target's conditions are compared, or those of the protocol of a label."""
    for t in plan.transfers:
        # From scratch, a target in folds is measured on the test split alone.
        in_folds = not target.folds or t.cell.protocol.knobs.get("folds") == target.folds
        asked = t.label == label if label else t.compared
        if t.cell.target == target.digest and asked and in_folds:
            yield t


def predictions_of(store: Store, plan: Plan, target: TargetFacts, condition: str) -> Predicted:
    """A condition's predictions of a target with one label per image, from the cells that hold them: those of earlier versions do not."""
    cells = {t.seed: t.key for t in _compared(plan, target) if t.condition == condition and store.has(t.key)}
    held = {seed: _arrays(store, key) or {} for seed, key in cells.items()}
    return Predicted(condition, {seed: arrays[PREDICTED] for seed, arrays in held.items() if PREDICTED in arrays})


def names_of(taxonomy: Taxonomy) -> list[str]:
    """The display names of classes; those that occur twice with their path or id."""
    leaves = taxonomy.leaves
    short = [taxonomy.names[leaf].split(",")[0] for leaf in leaves]
    times = Counter(short)
    return [
        name if times[name] == 1 else leaf if leaf.endswith(f"/{name}") else f"{name} ({leaf})"
        for name, leaf in zip(short, leaves, strict=True)
    ]


def results_of(store: Store, plan: Plan, target: TargetFacts, records: Records, label: str = "") -> Results:
    """Scores and per-example results of one target, under the protocols by which its conditions are compared.

    Args:
        label: of the protocol, if it is another one.

    Where a metric's definition is not available here or has changed, intervals still include new test images if the metric is a plain mean over
    images. The record of a cell whose arrays turn out to be damaged is set to None, as if it were missing.
    """
    metric = of_plan(plan, METRICS, target.metric)
    array = target.rows if metric is None else metric.rows if metric.each is not None else ""
    scores: defaultdict[str, dict[int, float]] = defaultdict(dict)
    rows: defaultdict[str, dict[int, NDArray[np.float64] | NDArray[np.bool_]]] = defaultdict(dict)
    kept: dict[tuple[str, int], Mapping[str, NDArray[Any]]] = {}
    for t in _compared(plan, target, label):
        record = records[t.key]
        if record is None:
            continue
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
