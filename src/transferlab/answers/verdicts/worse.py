"""``worse``: the whole interval lies below 0."""

from __future__ import annotations

from transferlab.answers.estimate import Estimate, Verdict, Wording
from transferlab.answers.points import points


def _sentence(e: Estimate, words: Wording) -> str:
    return (
        f"{words.subject} is worse than {words.base} {words.where}, by {points(abs(e.value))} points ({words.between})."
    )


WORSE = Verdict(name="worse", holds=lambda low, high, margin: high < 0, sentence=_sentence, direction=-1)
