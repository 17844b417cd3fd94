"""The definition of a question: a ready study, its version at the paper's levels, and the paper's finding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transferlab.answers.published import Finding
from transferlab.answers.study import StudyAnswers
from transferlab.definitions import Definition
from transferlab.specs import Pack, Study

Ask = Callable[[Pack, Sequence[Pack]], Study]


@dataclass(frozen=True, kw_only=True)
class Question(Definition):
    """A question that can be asked of any images.

    Args:
        ask: makes the study from the source's and the targets' packs; raises ``UserError`` if they do not allow it. The command
            line fills in source, targets, seeds, recipe and protocols.
        paper: makes the study at the levels of Huh et al. (2016), or at the same shares of another source.
        finding: the paper's finding on such a study; None if the paper has none.
        at_epochs: whether its conditions differ in images, so that the paper is also run at equal passes over each subset.
        needs_target: whether it needs a target other than the source's own classes.
    """

    ask: Ask
    paper: Ask
    finding: Callable[[StudyAnswers], Finding] | None = None
    at_epochs: bool = False
    needs_target: bool = True
