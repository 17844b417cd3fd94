"""The report of one or more studies: its sections are made one by one, then written as HTML, Markdown or JSON."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from transferlab.answers.study import NotRun, StudyAnswers
from transferlab.console import say
from transferlab.errors import UserError
from transferlab.outcomes.files import write_atomically
from transferlab.report.document import Callout, Chapter, Document, Section, Text
from transferlab.report.html import html
from transferlab.report.json import json_text
from transferlab.report.markdown import markdown
from transferlab.report.sections import OVERVIEW, SECTIONS
from transferlab.report.sections.definition import SectionDefinition
from transferlab.report.variants import titles

Format = Literal["html", "md", "json"]
Subject = TypeVar("Subject")
# From a document and a folder's name to the report's text, and the files of that folder by name.
WRITERS: Mapping[Format, Callable[[Document, str], tuple[str, dict[str, bytes]]]] = {
    "html": lambda document, _: (html(document), {}), "md": markdown, "json": lambda document, _: (json_text(document), {}),
}  # fmt: skip


def check_out(out: Path) -> None:
    """Refuse a place where no report can be written, before any work is done.

    Raises:
        UserError: the folder does not exist, or the path is a folder.
    """
    if not out.parent.is_dir():
        raise UserError("there is no such folder", str(out.parent), "create it, or choose another place with --out")
    if out.is_dir():
        raise UserError("this is a folder", str(out), "name a file in it, for example report.html")


def render(
    studies: Sequence[StudyAnswers], out: Path, form: Format,
    sections: Iterable[SectionDefinition[StudyAnswers]] = tuple(SECTIONS.values()), not_run: Sequence[NotRun] = (),
) -> bool:  # fmt: skip
    """Write the report of these studies; returns whether every section could be made.

    Args:
        not_run: studies without a score, which it names.

    Raises:
        UserError: the file cannot be written.
    """
    check_out(out)
    report = document(studies, tuple(sections), not_run)
    folder = out.with_name(f"{out.stem}_figures")
    text, files = WRITERS[form](report, folder.name)
    for name, data in files.items():
        write_atomically(folder / name, data)
    write_atomically(out, text.encode())
    return not report.failed


def document(
    studies: Sequence[StudyAnswers], sections: Sequence[SectionDefinition[StudyAnswers]], not_run: Sequence[NotRun] = ()
) -> Document:
    """The report of these studies; a section that fails is replaced by the reason."""
    chapters = tuple(
        Chapter(s.name, title, _made(sections, s), s.identity)
        for s, title in zip(studies, titles(studies), strict=True)
    )
    overview = (*_remark(not_run), *_made(OVERVIEW, studies))
    return Document(f"transferlab: {', '.join(s.name for s in studies)}", overview, chapters)


def _remark(not_run: Sequence[NotRun]) -> tuple[Section, ...]:
    """Names the studies that the report leaves out, if there are any."""
    if not not_run:
        return ()
    told = f"Planned, and without a score, so not in this report: {', '.join(each.sentence for each in not_run)}."
    data = [{"name": each.name, "identity": each.identity, "reason": each.reason} for each in not_run]
    return (Section("not_run", "", (Text((told,), "quiet"),), data),)


def _made(definitions: Sequence[SectionDefinition[Subject]], subject: Subject) -> tuple[Section, ...]:
    """The sections that apply; if one fails, its traceback goes to standard error."""
    sections: list[Section] = []
    for each in definitions:
        try:
            if each.applies(subject):
                content = each.content(subject)
                sections.append(Section(each.name, each.title, tuple(content.blocks), content.data))
        except Exception as error:  # noqa: BLE001  the other sections are still correct
            for line in traceback.format_exc().splitlines():
                say(line)
            reason = f"{type(error).__name__}: {error}"
            frame = Callout(f"The section “{each.title or each.name}” could not be made.", reason)
            sections.append(Section(each.name, each.title, (frame,), {"failed": reason}, failed=True))
    return tuple(sections)
