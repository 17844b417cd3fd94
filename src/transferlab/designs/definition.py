"""What a design must say of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import Parameter as Argument
from inspect import Signature

from transferlab.definitions import Definition
from transferlab.specs import Design, Subset

Setting = int | float | str | Sequence[str]


@dataclass(frozen=True, kw_only=True)
class DesignDefinition(Definition):
    """A rule that takes a subset; called with its settings, by position or by name, it gives a ``Design`` for a study.

    Args:
        draw: takes the subset. It gets a ``Draw`` and every setting by name, and raises ``UserError`` for levels that the
            source does not allow.
        per_class: the setting that is a number of images per class, where conditions differ in nothing else; reports then
            predict the gain from twice as many.
        division: the settings that are a number of classes and of images of each, which divide one budget; reports then say
            which division is best.
    """

    draw: Callable[..., Subset]
    per_class: str = ""
    division: tuple[str, str] | None = None
    __signature__: Signature = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        arguments = [
            Argument(name, Argument.POSITIONAL_OR_KEYWORD, default=Argument.empty if p.required else p.default)
            for name, p in self.parameters.items()
        ]
        object.__setattr__(self, "__signature__", Signature(arguments, return_annotation=Design))

    def __call__(self, *given: Setting, **named: Setting) -> Design:
        bound = self.__signature__.bind(*given, **named)
        bound.apply_defaults()
        knobs = {name: _plain(value) for name, value in bound.arguments.items() if value is not None}
        return Design(self.name, knobs)


def _plain(value: Setting) -> Setting:
    return value if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)
