"""Contrasts that a study declares before it runs: rules over its conditions, and single pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from transferlab.errors import UserError
from transferlab.specs import TREND, Contrast, ContrastRule

MOST = 1000  # the largest weight


def steps(margin: float = 0.01) -> ContrastRule:
    """Each condition against the one before it.

    Args:
        margin: in 0…1; differences within it count as none.
    """
    return ContrastRule("steps", margin)


def against(base: str | int | float, margin: float = 0.01) -> ContrastRule:
    """Each condition against one of them."""
    return ContrastRule("against", margin, str(base))


def ends(margin: float = 0.01) -> ContrastRule:
    """The last condition against the first."""
    return ContrastRule("ends", margin)


def levels(margin: float = 0.01) -> ContrastRule:
    """For levels of one kind, the smallest first: the largest against the smallest, which is the primary contrast, then the mean gain
    of each doubling (of three or more numbers), and the largest against each level between.

    They tell how much there is to gain at all, and from which level on at most the margin is left to gain.
    """
    return ContrastRule("levels", margin)


def compare(condition: str | int | float, base: str | int | float, margin: float = 0.01) -> Contrast:
    """One condition against another, by their names or levels; raises UserError for one against itself."""
    if str(condition) == str(base):
        raise UserError(f"{condition} is compared with itself", "contrasts", "compare two different conditions")
    return Contrast(f"{condition} against {base}", {str(condition): 1.0, str(base): -1.0}, margin)


def resolve(
    contrasts: Sequence[Contrast] | ContrastRule, conditions: Sequence[str], controls: Sequence[str] = ()
) -> tuple[Contrast, ...]:
    """The contrasts, given or made by a rule, checked; they may name controls.

    Raises:
        UserError: weights that do not sum to 0, an unknown condition or control, a margin out of range.
    """
    if isinstance(contrasts, ContrastRule):
        contrasts = _by_rule(contrasts, conditions, controls)
    names = [contrast.name for contrast in contrasts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two contrasts are called {twice[0]!r}", "study", "give them different names")
    for contrast in contrasts:
        for name in contrast.weights:
            _known(name, f"the contrast {contrast.name!r}", conditions, controls)
        if any(abs(weight) > MOST for weight in contrast.weights.values()):
            raise UserError(
                f"a weight of {contrast.name!r} is larger than {MOST}", "study", "use weights such as 1 and -1"
            )
        if abs(sum(contrast.weights.values())) > 1e-9 or not any(contrast.weights.values()):
            raise UserError(
                f"the weights of {contrast.name!r} do not sum to 0",
                "study",
                "for example 1 for one condition and -1 for another",
            )
        if not 0 <= contrast.margin < 1:
            raise UserError(
                f"the margin {contrast.margin} is impossible", "study", "choose from 0 to 1; 0.01 is one point"
            )
    return tuple(contrasts)


def _by_rule(rule: ContrastRule, conditions: Sequence[str], controls: Sequence[str]) -> list[Contrast]:
    if rule.kind not in ("steps", "against", "ends", "levels"):
        raise UserError(f"there is no rule {rule.kind!r}", "contrasts", "use levels(), steps(), against() or ends()")
    if rule.kind == "against":
        _known(str(rule.base), "the rule against", conditions, controls)
    ends = [(conditions[-1], conditions[0])] if len(conditions) > 1 else []
    pairs = {
        "steps": list(zip(conditions[1:], conditions[:-1], strict=True)),
        "ends": ends,
        "levels": ends + [(conditions[-1], name) for name in reversed(conditions[1:-1])],
        "against": [(name, str(rule.base)) for name in conditions if name != str(rule.base)],
    }[rule.kind]
    found = [compare(condition, base, rule.margin) for condition, base in pairs]
    trend = _trend(conditions, rule.margin) if rule.kind == "levels" else []
    return [*found[:1], *trend, *found[1:]]


def _trend(conditions: Sequence[str], margin: float) -> list[Contrast]:
    """The slope of the score over log2 of the level by least squares, as a contrast; empty for fewer than three positive numbers.

    Its margin is the study's, divided by the number of doublings, so that it is the same as none only if the whole range is.
    """
    try:
        places = [math.log2(float(name)) for name in conditions]
    except ValueError:
        return []
    middle = sum(places) / len(places)
    spread = sum((place - middle) ** 2 for place in places)
    if len(places) < 3 or not 0 < spread < math.inf:
        return []
    weights = [(place - middle) / spread for place in places]
    weights[-1] = -sum(weights[:-1])  # so that they sum to 0 to the bit
    if max(map(abs, weights)) > MOST:  # levels so close together that no doubling is near
        return []
    return [Contrast(TREND, dict(zip(conditions, weights, strict=True)), margin / abs(places[-1] - places[0]))]


def _known(name: str, what: str, conditions: Sequence[str], controls: Sequence[str]) -> None:
    if name not in (*conditions, *controls):
        among = f"; its controls are {', '.join(controls)}" if controls else ""
        raise UserError(
            f"{what} names {name!r}, which is neither a condition nor a control of the study", "study",
            f"its conditions are {', '.join(conditions)}{among}",
        )  # fmt: skip
