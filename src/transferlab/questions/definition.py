"""What a question is: a ready study whose levels follow from the images, with its preset and finding of the paper."""

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
        ask: the study, from the opened source and the targets' packs; it raises ``UserError`` where these leave no room for it.
            The command line fills in source, targets, seeds, recipe and protocols.
        paper: the same at the levels of Huh et al. (2016), or at these shares of another source.
        finding: what the paper found, asked of one's own study at the paper's levels; None where it found nothing of the kind.
        at_epochs: its conditions differ in images, so that the paper is also run at equal passes over each subset.
        needs_target: it asks something of targets; if not, the source's own classes will do.
    """

    ask: Ask
    paper: Ask
    finding: Callable[[StudyAnswers], Finding] | None = None
    at_epochs: bool = False
    needs_target: bool = True
