"""The definition of a report's section: its title, the studies that it applies to, and its content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from transferlab.definitions import Definition
from transferlab.report.document import Block

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Content:
    """A section's blocks, and the same facts as data for JSON, with numbers as ``Number``."""

    blocks: Sequence[Block]
    data: object


@dataclass(frozen=True, kw_only=True)
class SectionDefinition(Definition, Generic[Subject]):
    """A section of a study, or of all studies of a report together.

    Args:
        content: makes the section. applies: whether a study has such a section.
    """

    content: Callable[[Subject], Content]
    applies: Callable[[Subject], bool] = lambda _: True
