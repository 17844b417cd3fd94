"""``shuffled-labels``: pre-trained on the reference condition's images with their labels permuted among them."""

from __future__ import annotations

from transferlab import designs
from transferlab.answers.study import Check
from transferlab.origins.definition import Comparison, Origin, span


def _check(study: Comparison) -> Check:
    """Shuffled labels must not do better than true ones; where they do not, the floor says how much they still give."""
    name = SHUFFLED_LABELS.name
    told = study.between(name, study.reference)
    if helps := [e for e in told if e.verdict.direction > 0]:
        text = "; ".join(f"{e.target} {span(e)}" for e in helps)
        return Check(name, True, f"Shuffled labels do better than {study.reference}: {text}.")
    gain = study.between(name, study.floor) if study.floor else ()
    for base, each in (("random features", gain), (study.reference, told)):
        if each:
            return Check(name, False, f"Shuffled labels against {base}: {each[0].target} {span(each[0])}.")
    return Check(name, False, "Shuffled labels are not done yet.")


SHUFFLED_LABELS = Origin(
    name="shuffled-labels",
    title="shuffled labels",
    explained="the reference condition's images under each other's labels",
    design=designs.shuffled,
    check=_check,
    colour="#CC79A7",
    dash=(6, 2, 1, 2),
)
