"""``a/a``: the reference condition, drawn and trained a second time; the two must not differ."""

from __future__ import annotations

from transferlab.answers.study import Check
from transferlab.origins.definition import Comparison, Origin, span


def _check(study: Comparison) -> Check:
    """On the mean over targets, or the only one, alone: so equal conditions raise an alarm in one study of twenty."""
    name, found = TWIN.name, study.between(study.reference, TWIN.name)
    if not found:
        return Check(name, False, "The A/A pair has no results yet.")
    first = found[0]
    differs = bool(first.verdict.direction)
    said = "differ" if differs else "show no significant difference" if first.low is not None else "compared"
    text = f"Two draws of {study.reference} {said}: {first.target} {span(first)}."
    if differs:
        text += (f" Of studies without any fault, one in twenty shows this by chance; with twice the seeds it then mostly goes away: run the study again "
                 f"with --seeds {2 * first.n_seeds}.")  # fmt: skip
    return Check(name, differs, text)


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
