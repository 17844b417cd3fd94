"""``the same within the margin``: the whole interval lies inside the margin."""

from __future__ import annotations

from transferlab.answers.estimate import Estimate, Verdict, Wording
from transferlab.answers.points import points


def _sentence(e: Estimate, words: Wording) -> str:
    return (
        f"{words.subject} is the same as {words.base} {words.where}, within {points(e.contrast.margin)} points: "
        f"{points(e.value, signed=True)} ({words.between})."
    )


SAME = Verdict(
    name="the same within the margin",
    holds=lambda low, high, margin: margin > 0 and -margin < low and high < margin,
    sentence=_sentence,
)
