"""``a/a``: the reference condition drawn and trained anew; the two must not differ."""

from __future__ import annotations

from transferlab.answers.study import Check
from transferlab.origins.definition import Comparison, Origin, span
from transferlab.specs import Design


def _check(study: Comparison) -> Check:
    name, told = TWIN.name, study.between(study.reference, TWIN.name)
    if not told:
        return Check(name, False, "The A/A pair is not done yet.")
    differs = [e for e in told if e.verdict.direction]
    said = "differ" if differs else "show no sure difference" if told[0].low is not None else "compared"
    text = "; ".join(f"{e.target} {span(e)}" for e in (differs or told[:1]))
    return Check(name, bool(differs), f"Two draws of {study.reference} {said}: {text}.")


def _same_design(design: Design) -> Design:
    return design


TWIN = Origin(
    name="a/a",
    title="A/A",
    explained="the reference condition drawn and trained anew",
    design=_same_design,
    twin=True,
    check=_check,
    colour="#009E73",
    dash=(1, 1),
)
