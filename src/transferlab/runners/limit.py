"""Keeps a study within a budget: what ``budget`` chooses from the measured speed is stored, so that the same command goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.outcomes.store import Store
from transferlab.planned import Plan
from transferlab.runners import budget
from transferlab.runners.budget import Size
from transferlab.runners.costs import expected_parts, expected_seconds
from transferlab.runners.machine import Machine
from transferlab.specs import Study


@dataclass(frozen=True)
class Limit:
    """The seconds that a study may take, and what its time depends on.

    Args:
        spent: how many of the seconds have passed.
        fixed: what the user has fixed: "seeds", "length".
        study_file: a Python file whose definitions the study uses.
    """

    seconds: float
    spent: Callable[[], float]
    fixed: frozenset[str]
    store: Store
    machine: Machine
    study_file: str | None


def within(limit: Limit, study: Study, whole: Plan, lesser: Callable[[Study], Plan]) -> Plan:
    """The plan of as much of a study as fits.

    Args:
        whole: the plan of the whole study.
        lesser: the plan of a smaller one.

    Raises:
        UserError: nothing fits, or the time is unknown because the device is not here.
    """
    if not limit.machine.is_here:
        raise UserError(f"nobody knows how long this takes on {limit.machine.name}, which is not here", "--budget",
                        "leave --budget out, or plan on the machine that will run the study")  # fmt: skip
    asked = budget.size_of(study)
    chosen = _kept(limit, whole) or _chosen(limit, study, whole, lesser)
    if chosen == asked:
        return whole
    lost = budget.given_up(asked, chosen, study.recipe)
    note = f"To fit into a budget of {budget.in_words(limit.seconds)}, {lost}."
    return lesser(replace(budget.resized(study, chosen), notes=(*study.notes, note)))


def _chosen(limit: Limit, study: Study, whole: Plan, lesser: Callable[[Study], Plan]) -> Size:
    def cost(size: Size) -> float:
        plan = lesser(budget.resized(study, size))
        return expected_seconds(expected_parts(plan, limit.store, limit.machine, limit.study_file))

    n_images = max(condition.n_images for condition in whole.conditions)
    chosen = budget.choose(budget.sizes(study, n_images, limit.fixed), cost, limit.seconds, limit.spent)
    limit.store.write_pack_index(_name(limit, whole), asdict(chosen))
    return chosen


def _kept(limit: Limit, whole: Plan) -> Size | None:
    """What was chosen for the same study, budget and machine before."""
    kept = limit.store.pack_index(_name(limit, whole))
    return None if kept is None else Size(kept["seeds"], kept["length"], tuple(kept["levels"]))


def _name(limit: Limit, whole: Plan) -> str:
    at = [limit.machine.name, limit.machine.n_units, limit.seconds, sorted(limit.fixed)]
    asked = [whole.identity, whole.seeds, whole.reference, list(whole.contrasts), list(whole.code)]
    return f"budget-{digest('budget', *at, *asked)}"
