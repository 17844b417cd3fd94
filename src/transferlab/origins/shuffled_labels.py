"""``shuffled-labels``: pre-trained on the reference condition's images, with the labels permuted among them."""

from __future__ import annotations

from transferlab import designs
from transferlab.answers.study import Check
from transferlab.origins.definition import Comparison, Origin, span


def _check(study: Comparison) -> Check:
    """Shuffled labels must not do better than true ones; if they do not, they are compared with the floor."""
    name = SHUFFLED_LABELS.name
    loss = study.between(name, study.reference)
    if helps := [e for e in loss if e.verdict.direction > 0]:
        text = "; ".join(f"{e.target} {span(e)}" for e in helps)
        return Check(name, True, f"Shuffled labels do better than {study.reference}: {text}.")
    gain = study.between(name, study.floor.name) if study.floor else ()
    for base, each in ((study.floor.title if study.floor else "", gain), (study.reference, loss)):
        if each:
            return Check(name, False, f"Shuffled labels against {base}: {each[0].target} {span(each[0])}.")
    return Check(name, False, "Shuffled labels have no results yet.")


SHUFFLED_LABELS = Origin(
    name="shuffled-labels",
    title="shuffled labels",
    explained="the reference condition's images with their labels permuted",
    tells="what images give without true labels",
    design=designs.shuffled,
    check=_check,
    colour="#CC79A7",
    dash=(6, 2, 1, 2),
)
