"""The exception for mistakes that a user can fix; any other error is ours and ends in a traceback."""

from __future__ import annotations

import re

LONG = re.compile(r"(\S{200})\S{100,}")  # a name out of a damaged file may have any length


class UserError(Exception):
    """A mistake that the user can fix, reported in one paragraph; the command line exits with code 2.

    Args:
        what: the problem, one sentence without a full stop.
        where: the file, option or name that it concerns, with the value given.
        remedy: what to do, one sentence without a full stop, with the allowed range if there is one.
    """

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(what, where, remedy)
        self.what, self.where, self.remedy = what, where, remedy

    def __str__(self) -> str:
        return LONG.sub(r"\1…", f"{self.what} ({self.where}): {self.remedy}.")


class ImpossibleQuestion(UserError):
    """A built-in question that cannot be asked of these images: too few classes, a flat taxonomy, no shared classes."""
