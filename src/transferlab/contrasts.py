"""Contrasts that a study declares before it runs: rules over its conditions, and single pairs."""

from __future__ import annotations

from collections.abc import Sequence

from transferlab.errors import UserError
from transferlab.specs import Contrast, ContrastRule


def steps(margin: float = 0.01) -> ContrastRule:
    """Each condition against the one before it.

    Args:
        margin: in 0…1; differences within it count as none.
    """
    return ContrastRule("steps", margin)


def against(base: str, margin: float = 0.01) -> ContrastRule:
    """Each condition against one of them."""
    return ContrastRule("against", margin, base)


def ends(margin: float = 0.01) -> ContrastRule:
    """The last condition against the first."""
    return ContrastRule("ends", margin)


def compare(condition: str, base: str, margin: float = 0.01) -> Contrast:
    """One condition against another."""
    return Contrast(f"{condition} against {base}", {condition: 1.0, base: -1.0}, margin)


def resolve(
    contrasts: Sequence[Contrast] | ContrastRule, conditions: Sequence[str], controls: Sequence[str] = ()
) -> tuple[Contrast, ...]:
    """The contrasts, given or made by a rule, checked; they may name controls.

    Raises:
        UserError: weights that do not sum to 0, an unknown condition or control, a margin out of range.
    """
    if isinstance(contrasts, ContrastRule):
        contrasts = _by_rule(contrasts, conditions, controls)
    for contrast in contrasts:
        for name in contrast.weights:
            _known(name, f"the contrast {contrast.name!r}", conditions, controls)
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
    if rule.kind == "against":
        _known(str(rule.base), "the rule against", conditions, controls)
    pairs = {
        "steps": list(zip(conditions[1:], conditions[:-1], strict=True)),
        "ends": [(conditions[-1], conditions[0])] if len(conditions) > 1 else [],
        "against": [(name, str(rule.base)) for name in conditions if name != rule.base],
    }[rule.kind]
    return [compare(condition, base, rule.margin) for condition, base in pairs]


def _known(name: str, what: str, conditions: Sequence[str], controls: Sequence[str]) -> None:
    if name not in (*conditions, *controls):
        among = f"; its controls are {', '.join(controls)}" if controls else ""
        raise UserError(
            f"{what} names {name!r}, which is neither a condition nor a control of the study", "study",
            f"its conditions are {', '.join(conditions)}{among}",
        )  # fmt: skip
