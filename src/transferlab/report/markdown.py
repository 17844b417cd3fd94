"""The report as Markdown, its figures as SVG files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from transferlab.outcomes.files import write_atomically
from transferlab.report.figures import guessing, named
from transferlab.report.gather import ALARM

if TYPE_CHECKING:
    from transferlab.answers.published import Finding
    from transferlab.report.more import More
    from transferlab.report.page import Section
    from transferlab.report.pictures import Picture


def write_markdown(sections: Sequence[Section], findings: Sequence[Finding], out: Path) -> None:
    """Write ``out`` and its figures into the folder ``<stem>_figures``.

    Raises:
        UserError: a file cannot be written.
    """
    folder = out.with_name(f"{out.stem}_figures")
    lines = list(_findings(findings))
    for number, section in enumerate(sections, 1):
        lines += _lines(section, folder, number)
    write_atomically(out, ("\n".join(lines) + "\n").encode())


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield "# The paper's findings, and these studies\n"
        yield from _table(
            ["finding", "the paper, as far as it could be read", "here, 95 % intervals over seeds", "says"],
            [[f"{f.name}: {f.claim}", f.published, f.here, f.says] for f in findings],
        )


def _lines(section: Section, folder: Path, number: int) -> Iterator[str]:
    study = section.study
    yield f"# {_text(study.question or study.name)}\n"
    yield from (f"> **{ALARM}** {_text(c.sentence)}\n" for c in study.checks if c.alarm)
    yield from (f"**{_text(line)}**\n" for line in section.answer)
    targets = ", ".join(t.name for t in study.targets)
    yield _text(f"Source {study.source}; targets {targets}; {study.n_seeds} seeds.") + "\n"
    if study.missing:
        yield f"**{len(study.missing)} cells are missing**; named below.\n"
    for i, picture in enumerate((*section.figures, section.forest)):
        yield _figure(picture, folder, f"{number}-{i}-{study.name}-{picture.name}")
    yield "## Scores\n"
    yield "Mean over seeds in %, in brackets the gain over random features, then every seed.\n"
    for table in section.tables:
        yield f"Protocol: {_text(table.protocol)}\n"
        yield from _table(
            ["condition", *(f"{name} ({metric})" for name, metric in table.targets)],
            [[f"{row.name} ({row.note})" if row.note else row.name,
              *(" · ".join(p for p in (c.text, f"({c.gain})" if c.gain else "", c.seeds) if p) for c in row.cells)]
             for row in table.rows],
        )  # fmt: skip
    yield "## Contrasts\n"
    yield from _table(
        ["contrast", "target", "value", "95 % interval", "verdict", "p (Holm)", "speaks of", "seeds"],
        [[c.name, c.target, c.value, c.interval, c.verdict, c.p, c.scope, c.seeds] for c in section.contrast_rows],
    )
    if section.exploratory:
        yield "Exploratory, not declared before running:\n"
        yield from (f"- {_text(line)}" for line in section.exploratory)
        yield ""
    for part in section.more:
        yield from _part(part, folder, f"{number}-{study.name}")
    yield "## Controls\n"
    yield from [f"- {_text(check.sentence)}" for check in study.checks] or [
        "This study has no A/A pair and no shuffled labels."
    ]
    yield "\n## Subsets\n"
    yield from _table(
        ["condition", "images", "labels", "effective labels", "largest share", "digest"],
        [[named(c.name), f"{c.n_images:,}", str(c.n_labels), f"{c.effective_labels:.1f}",
          f"{100 * c.largest_share:.1f} %" + (f" ({c.shares[0][0]})" if c.shares else ""), c.subset_digests[0][:12]] for c in study.conditions if c.n_images],
    )  # fmt: skip
    if section.shares:
        yield _figure(section.shares, folder, f"{number}-shares-{study.name}")
    yield "## Targets\n"
    yield from _table(
        ["target", "classes", "train", "validation", "test", "metric", "guessing"],
        [[t.name, str(t.n_classes), f"{t.n_train:,}", f"{t.n_val:,}", f"{t.n_test:,}", t.metric, guessing(t.chance)]
         for t in study.targets],
    )  # fmt: skip
    yield from (f"- {_text(note)}" for note in section.notes)
    yield "\n## How it was measured\n"
    yield from (f"- {_text(label)}: {_text(text)}" for label, text in study.protocol)
    if study.missing:
        yield "\n## What is missing\n"
        yield from _table(["condition", "seed", "target", "reason"],
                          [[m.condition, str(m.seed), m.target, m.reason] for m in study.missing])  # fmt: skip
    yield "\n## Provenance\n"
    yield from (f"- {_text(label)}: {_text(text)}" for label, text in study.provenance)
    yield ""


def _part(part: More, folder: Path, name: str) -> Iterator[str]:
    yield f"## {part.title}\n"
    yield from (f"{_text(line)}\n" for line in part.lines)
    for i, picture in enumerate(part.figures):
        yield _figure(picture, folder, f"{name}-{i}-{picture.name}")
    if part.grid is not None:
        yield f"{_text(part.grid.caption)}\n"
        yield from _table(part.grid.head, part.grid.rows)
    yield f"{_text(part.note)}\n"
    for i, picture in enumerate(part.sheets):
        yield _figure(picture, folder, f"{name}-pairs-{i}-{picture.name}", "png")


def _figure(picture: Picture, folder: Path, name: str, ending: str = "svg") -> str:
    file = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] + f".{ending}"
    write_atomically(folder / file, picture.data)
    return f"![{_text(picture.alt)}]({quote(folder.name)}/{file})\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(map(_text, head)) + " |"
    yield "|" + " --- |" * len(head)
    yield from ("| " + " | ".join(map(_text, row)) + " |" for row in rows)
    yield ""


def _text(value: str) -> str:
    """Text that formats nothing and breaks no table."""
    kept = "".join(c if c.isprintable() else " " for c in value)
    kept = kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|$~])", r"\\\1", kept)
