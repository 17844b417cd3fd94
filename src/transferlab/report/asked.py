"""Which studies of a store a report is about: those asked for that have a score, and those that are only planned."""

from __future__ import annotations

from collections.abc import Sequence

from transferlab.answers.study import NotRun
from transferlab.errors import UserError
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.planned import Plan
from transferlab.report.results import metrics_of
from transferlab.runners.plans import plans
from transferlab.text import number_of

LEAST_PREFIX = 6  # characters of an identity that may stand for it
MOST_NAMED = 6  # studies that an error names


def asked(store: Store, study: str | None) -> list[Plan]:
    """The plans of a store, or those of one name, identity or beginning of an identity.

    Raises:
        UserError: there is none, or several identities begin so.
    """
    every = plans(store)
    if not every:
        raise UserError("no study has been run in this store", str(store.path), "run one: transferlab run --help")
    found = [plan for plan in every if study in (None, plan.name, plan.identity)]
    if not found and study is not None and len(study) >= LEAST_PREFIX:
        found = [plan for plan in every if plan.identity.startswith(study)]
        if len(found) > 1:
            several = ", ".join(f"{plan.identity} ({plan.name})" for plan in found)
            raise UserError(f"the identities of several studies begin with {study!r}", str(store.path),
                            f"give more of one: {several}")  # fmt: skip
    if not found:
        names = ", ".join(sorted({plan.name for plan in every}))
        raise UserError(f"the store has no study {study!r}", str(store.path), f"it has {names}")
    return found


def with_scores(store: Store, found: Sequence[Plan]) -> tuple[list[Plan], list[NotRun]]:
    """The plans that have a score, and the others, each with the reason.

    Raises:
        UserError: no plan has one.
    """
    done, failures = store.done(), store.failures()
    run: list[Plan] = []
    waiting: list[NotRun] = []
    for plan in found:
        keys = dict.fromkeys([*(t.key for t in plan.transfers), *(source_key(t.key) for t in plan.trainings)])
        if any(metrics_of(store.record(key)) for key in keys if key in done):
            run.append(plan)
            continue
        n_failed = sum(key in failures for key in {*keys, *(t.key for t in plan.trainings)})
        waiting.append(
            NotRun(plan.name, plan.identity, f"{number_of(n_failed, 'cell')} failed" if n_failed else "not run")
        )
    if not run:
        raise _nothing_run(store, waiting)
    return run, waiting


def _nothing_run(store: Store, waiting: Sequence[NotRun]) -> UserError:
    """Names what is planned, and what to run."""
    more = f" and {len(waiting) - MOST_NAMED} more" if len(waiting) > MOST_NAMED else ""
    named = ", ".join(each.sentence for each in waiting[:MOST_NAMED])
    what = "this study has no score yet" if len(waiting) == 1 else "none of these studies has a score yet"
    return UserError(what, str(store.path), f"planned are {named}{more}; run one as it was planned, with transferlab run "
                                            "in place of transferlab plan; transferlab status tells what failed")  # fmt: skip
