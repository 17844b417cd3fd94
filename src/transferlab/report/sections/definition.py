"""What a section of the report is: its title, the studies that have it, and how its blocks are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from transferlab.definitions import Definition
from transferlab.report.document import Block

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Content:
    """A section's blocks, and the same facts as plain data under the section's name in JSON, numbers as ``Number``."""

    blocks: Sequence[Block]
    data: object


@dataclass(frozen=True, kw_only=True)
class SectionDefinition(Definition, Generic[Subject]):
    """A section of a study, or of all studies of a report together.

    Args:
        content: makes the section. applies: whether it has anything to say.
    """

    content: Callable[[Subject], Content]
    applies: Callable[[Subject], bool] = lambda _: True
