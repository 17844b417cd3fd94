"""``cannot tell``: the interval contains 0 and extends beyond the margin, or the difference does not survive Holm's adjustment."""

from __future__ import annotations

from transferlab.answers.estimate import LEVEL, Estimate, Verdict, Wording
from transferlab.answers.points import points
from transferlab.text import number_of


def _sentence(e: Estimate, words: Wording) -> str:
    value = points(e.value, signed=True)
    text = f"{words.subject} against {words.base} {words.where}: cannot tell, {value} points ({words.between})"
    if e.low is not None and e.high is not None and (e.low > 0 or e.high < 0) and (e.p_holm or 0.0) > LEVEL:
        text += (
            f"; significant on its own, but not after Holm's adjustment for {e.n_family} comparisons (p {e.p_holm:.2f})"
        )
    if e.more_seeds is not None:
        return f"{text}; {number_of(e.more_seeds, 'more seed')} would decide with a probability of 80 %."
    return f"{text}; more seeds alone are unlikely to decide."


CANNOT_TELL = Verdict(name="cannot tell", holds=lambda low, high, margin: True, sentence=_sentence, settled=False)
