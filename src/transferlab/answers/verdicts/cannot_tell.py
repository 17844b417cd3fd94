"""``cannot tell``: the interval holds 0 and reaches beyond the margin."""

from __future__ import annotations

from transferlab.answers.estimate import Estimate, Verdict, Wording
from transferlab.answers.points import points


def _sentence(e: Estimate, words: Wording) -> str:
    value = points(e.value, signed=True)
    text = f"{words.subject} against {words.base} {words.where}: cannot tell, {value} points ({words.between})"
    if e.more_seeds is not None:
        return f"{text}; about {e.more_seeds} more seed{'s' if e.more_seeds > 1 else ''} would decide."
    if e.low is not None and e.high is not None and (e.low > 0 or e.high < 0) and (e.p_holm or 0.0) > 0.05:
        return f"{text}; alone it would count, but not among so many comparisons (p {e.p_holm:.2f} after Holm)."
    return f"{text}; more seeds alone would hardly decide."


CANNOT_TELL = Verdict(name="cannot tell", holds=lambda low, high, margin: True, sentence=_sentence, settled=False)
