"""``recipe``: every condition trained once more at a tenth of the learning rate; no verdict should depend on it.

Rankings of data can reverse if all of them are trained with one recipe (Wang et al. 2025, arXiv 2512.24503).
"""

from __future__ import annotations

from transferlab.answers.sentences import rates_in_short
from transferlab.answers.study import Check
from transferlab.origins.definition import Comparison, Origin


def _check(study: Comparison) -> Check:
    """A contrast that claims the opposite at the better rates leaves the study with an answer about its own rate."""
    rates = study.rates
    if rates is None:
        return Check(RECIPE.name, False, "The learning rates have no results yet.")
    opposite = dict.fromkeys(f"{p.planned.contrast.name}, {p.planned.target}" for p in rates.reversed)
    if opposite:
        return Check(
            RECIPE.name,
            True,
            f"With each condition at its better learning rate, the verdict is the opposite: {'; '.join(opposite)}.",
        )
    return Check(RECIPE.name, False, rates_in_short(rates))


RECIPE = Origin(
    name="recipe",
    title="at a tenth of the rate",
    explained="every condition once more, at a tenth of the learning rate",
    tells="whether a verdict depends on the learning rate",
    divides_lr=10.0,
    check=_check,
)
