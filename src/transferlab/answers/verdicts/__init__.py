"""The verdicts, one file each; the first that holds is the verdict on an interval."""

from __future__ import annotations

from transferlab.answers.estimate import Verdict
from transferlab.answers.intervals import Interval
from transferlab.answers.verdicts.better import BETTER
from transferlab.answers.verdicts.cannot_tell import CANNOT_TELL
from transferlab.answers.verdicts.same import SAME
from transferlab.answers.verdicts.worse import WORSE
from transferlab.definitions import Table

VERDICTS = Table("verdict", Verdict, [SAME, BETTER, WORSE, CANNOT_TELL])


def verdict_on(interval: Interval, margin: float) -> Verdict:
    """The verdict on the interval of a difference; ``cannot tell`` if there is none.

    Args:
        margin: in 0…1; differences within it count as none.
    """
    low, high = interval.low, interval.high
    if low is None or high is None:
        return CANNOT_TELL
    return next(verdict for verdict in VERDICTS.values() if verdict.holds(low, high, margin))
