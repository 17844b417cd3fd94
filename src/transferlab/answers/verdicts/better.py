"""``better``: the whole interval lies above 0."""

from __future__ import annotations

from transferlab.answers.estimate import Estimate, Verdict, Wording
from transferlab.answers.points import points


def _sentence(e: Estimate, words: Wording) -> str:
    return f"{words.subject} is better than {words.base} {words.where}, by {points(abs(e.value))} points ({words.between})."


BETTER = Verdict(name="better", holds=lambda low, high, margin: low > 0, sentence=_sentence, direction=1)
