"""A report as Markdown, with its pictures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from transferlab.report.document import (
    Beside,
    Block,
    Callout,
    Cell,
    Definitions,
    Details,
    Document,
    Heading,
    Pictures,
    Section,
    Table,
    Text,
    anchor_of,
)  # fmt: skip
from transferlab.text import printable


def markdown(document: Document, folder: str) -> tuple[str, dict[str, bytes]]:
    """The report's text, and its pictures by the file name that they must have in a folder of this name."""
    files: dict[str, bytes] = {}
    lines = [
        *(f"- {_link(title, anchor)}" for anchor, title in document.contents),
        *([""] if document.contents else []),
    ]
    for section in document.overview:
        lines += _heading("#", section.title, section.name) if section.title else []
        lines += _section(section, folder, files, 0)
    for number, chapter in enumerate(document.chapters, 1):
        lines += _heading("#", chapter.title, anchor_of(number))
        lines += [f"{' · '.join(_link(title, anchor) for anchor, title in chapter.contents(number))}\n"]
        for section in chapter.sections:
            lines += _heading("##", section.title, anchor_of(number, section.name)) if section.title else []
            lines += _section(section, folder, files, number)
    return "\n".join(lines), files


def _heading(mark: str, title: str, anchor: str) -> list[str]:
    """A heading below its anchor: the names that readers of Markdown make from titles differ."""
    return [f'<a id="{anchor}"></a>\n', f"{mark} {_text(title)}\n"]


def _link(title: str, anchor: str) -> str:
    return f"[{_text(title)}](#{anchor})"


def _in_order(blocks: Sequence[Block]) -> list[Block]:
    """Blocks one below another, what opens on demand elsewhere at the end."""
    flat = [each for block in blocks for each in (block.blocks if isinstance(block, Beside) else (block,))]
    return sorted(flat, key=lambda block: isinstance(block, Details))


def _section(section: Section, folder: str, files: dict[str, bytes], number: int) -> Iterator[str]:
    for block in _in_order(section.blocks):
        if isinstance(block, Pictures):
            for picture in block.pictures:
                name = re.sub(r"[^a-z0-9]+", "-", f"{number}-{len(files)}-{picture.name}".lower()).strip("-")[:80]
                files[f"{name}.{picture.form}"] = picture.data
                yield f"![{_text(picture.alt)}]({quote(folder)}/{name}.{picture.form})\n"
                yield from [f"{_text(picture.caption)}\n"] if picture.caption else []
        else:
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(text):
            yield f"### {_text(text)}\n"
        case Callout(title, text):
            yield f"> **{_text(title)}** {_text(text)}\n"
        case Text(paragraphs, role) if "list" in role:
            yield from (f"- {_text(line)}" for line in paragraphs)
            yield ""
        case Text(paragraphs, role):
            mark = "**" if role in ("answer", "strong") else ""
            yield from (f"{mark}{_text(line)}{mark}\n" for line in paragraphs)
        case Definitions(pairs):
            yield from (f"- {_text(term)}: {_text(text)}" for term, text in pairs)
            yield ""
        case Table(caption, columns, rows):
            yield f"{_text(caption)}\n"
            yield from _lines(
                [[_text(_title(c.title, c.below)) for c in columns], *(_cells(*row.cells) for row in rows)]
            )
        case Details(title, lines):
            yield f"## {_text(title)}\n"
            yield from (f"- {_text(line)}" for line in lines)
            yield ""
        case Pictures() | Beside():
            raise AssertionError("a section writes its pictures itself")


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    yield from (head, "|" + " --- |" * len(rows[0]), *body, "")


def _title(text: str, below: str) -> str:
    return f"{text} ({below})" if below else text


def _cells(head: Cell, *rest: Cell) -> list[str]:
    first = _link(_title(head.text, head.below), head.anchor) if head.anchor else _text(_title(head.text, head.below))
    return [first, *(_text(" · ".join(filter(None, (c.text, c.beside, c.below)))) for c in rest)]


def _text(value: str) -> str:
    """Text with all of Markdown's special characters escaped."""
    kept = printable(value.replace("\n", " "))
    kept = kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|$~])", r"\\\1", kept)
