"""``a/a``: the reference condition, drawn and trained a second time; the two must not differ."""

from __future__ import annotations

from transferlab.answers.study import Check
from transferlab.origins.definition import Comparison, Origin, span


def _check(study: Comparison) -> Check:
    name, found = TWIN.name, study.between(study.reference, TWIN.name)
    if not found:
        return Check(name, False, "The A/A pair has no results yet.")
    differs = [e for e in found if e.verdict.direction]
    said = "differ" if differs else "show no significant difference" if found[0].low is not None else "compared"
    text = "; ".join(f"{e.target} {span(e)}" for e in (differs or found[:1]))
    return Check(name, bool(differs), f"Two draws of {study.reference} {said}: {text}.")


TWIN = Origin(
    name="a/a",
    title="A/A",
    explained="the reference condition, drawn and trained a second time",
    tells="how large differences between equal conditions are",
    design=lambda design: design,
    twin=True,
    check=_check,
    colour="#009E73",
    dash=(1, 1),
)
