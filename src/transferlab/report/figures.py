"""Figures: from estimates and scores to SVG; the same numbers give the same bytes, and colour alone tells nothing."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from transferlab.answers.estimate import Estimate
from transferlab.answers.points import points
from transferlab.answers.study import StudyAnswers
from transferlab.planned import NamedCondition
from transferlab.specs import TargetFacts
from transferlab.text import printable

INK, GREY, RULE = "#1b1b1b", "#5f6368", "#d9dce0"
PLAIN_DASH = (4.0, 2.0)  # of a control whose definition has none
TINTS = ("#8fb8d8", "#c3dbec")  # of neighbouring labels
LEAST_SHARE = 0.004  # of the images; smaller labels are drawn together in grey
WIDTH = 4.6  # inches; narrow, so that the text is legible on a phone
MOST_LEVEL = 40  # characters below an axis; longer names are rotated
STYLE: dict[str, Any] = {
    "svg.hashsalt": "transferlab", "svg.fonttype": "none", "text.parse_math": False, "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"], "font.size": 10, "axes.edgecolor": GREY,
    "axes.labelcolor": INK, "xtick.color": GREY, "ytick.color": GREY, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": RULE, "grid.linewidth": 0.6, "axes.axisbelow": True,
}  # fmt: skip


def scores_figure(study: StudyAnswers, target: TargetFacts, protocol: str) -> str:
    """One target: each seed's scores, their mean, the controls and the level of guessing; SVG text."""
    with mpl.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        names = [c.name for c in study.conditions if not c.is_control]
        places = _places(study)
        held = {
            (s.condition, s.seed): s.value for s in study.scores if s.target == target.name and s.protocol == protocol
        }
        table = np.array([[held.get((name, seed), np.nan) for name in names] for seed in range(study.n_seeds)])
        for row in table:
            axes.plot(places, 100 * row, color=GREY, linewidth=0.7, alpha=0.55, marker="o", markersize=3.2, zorder=3)
        if table.size and not np.isnan(table).all():
            known = ~np.isnan(table).all(0)
            means = 100 * np.nanmean(table[:, known], axis=0)
            axes.plot(np.array(places)[known], means, color=INK, linewidth=1.8, marker="D", markersize=5.5, zorder=4)
        _draw_controls(axes, study, target, protocol)
        labels = [short(name) for name in names]
        aslant: dict[str, Any] = {}
        if len("  ".join(labels)) > MOST_LEVEL:
            aslant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(places, labels, **aslant)
        if study.unit:
            axes.set_xlabel(short(study.unit, 48))
        axes.minorticks_off()
        axes.set_ylabel(f"{short(target.metric)}, %")
        axes.set_title(short(target.name, 48), loc="left", color=INK, fontsize=11, fontweight="bold")
        return svg(figure)


def forest_figure(estimates: Sequence[Estimate]) -> str:
    """Contrasts as points with their intervals, the margin as a band; SVG text."""
    with mpl.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(WIDTH, 0.9 + 0.34 * len(estimates)), layout="constrained")
        axes = figure.subplots()
        margin = 100 * max((e.contrast.margin for e in estimates), default=0.0)
        axes.axvspan(-margin, margin, color="#eef1f4", zorder=0)
        axes.axvline(0, color=GREY, linewidth=1)
        for place, e in enumerate(reversed(estimates)):
            if e.n_seeds == 0:
                continue
            if e.low is not None and e.high is not None:
                axes.plot([100 * e.low, 100 * e.high], [place, place], color=INK, linewidth=2.2 if e.differs else 1.1)
            axes.plot([100 * e.value], [place], marker="D" if e.differs else "o", markersize=6,
                      markerfacecolor=INK if e.differs else "white", markeredgecolor=INK)  # fmt: skip
        labels = [f"{short(e.contrast.name, 40)}\n{short(e.target, 40)}" for e in reversed(estimates)]
        axes.set_yticks(range(len(estimates)), labels, fontsize=8)
        axes.set_xlabel("difference in points\n(filled: better or worse; band: the margin)", fontsize=9)
        axes.set_ylim(-0.6, max(len(estimates), 1) - 0.4)
        axes.grid(axis="y", visible=False)
        return svg(figure)


def shares_figure(study: StudyAnswers) -> str:
    """One bar for each label set, divided into its labels' shares of the images, the largest first; SVG text."""
    with mpl.rc_context(cast(Any, STYLE)):
        drawn = with_shares(study)
        figure = Figure(figsize=(WIDTH, 0.9 + 0.5 * len(drawn)), layout="constrained")
        axes = figure.subplots()
        for place, condition in enumerate(reversed(drawn)):
            left = 0.0
            for i, (name, share) in enumerate((n, 100 * s) for n, s in condition.shares if s >= LEAST_SHARE):
                axes.barh(place, share, left=left, height=0.62, color=TINTS[i % 2], edgecolor="white", linewidth=0.5)
                if share >= 14:
                    axes.text(
                        left + share / 2, place, short(name, int(share / 2.4)), ha="center", va="center", fontsize=8
                    )
                left += share
            # The labels that are too small to be visible.
            axes.barh(place, 100 - left, left=left, height=0.62, color=RULE, linewidth=0)
        axes.set_yticks(range(len(drawn)), [f"{short(c.name, 24)}\n{c.effective_labels:.1f} effective"
                                            for c in reversed(drawn)], fontsize=8)  # fmt: skip
        axes.set_xlim(0, 100)
        axes.set_xlabel("share of the images, %", fontsize=9)
        axes.grid(axis="y", visible=False)
        return svg(figure)


def describe_shares(study: StudyAnswers) -> str:
    """The figure's numbers in words, for readers who cannot see it."""
    sets = [f"{c.name}: {c.n_labels} labels, {c.effective_labels:.1f} effective, largest {c.shares[0][0]} "
            f"{points(c.largest_share)} %" for c in with_shares(study)]  # fmt: skip
    return f"Shares of the labels. {'; '.join(sets)}."


def with_shares(study: StudyAnswers) -> list[NamedCondition]:
    """The conditions whose labels merge classes."""
    return [c for c in study.conditions if c.shares]


def describe(study: StudyAnswers, target: TargetFacts, protocol: str) -> str:
    """The numbers of a target's scores figure in words, for readers who cannot see it."""
    parts: list[str] = []
    for condition in (c for c in study.conditions if not c.repeats):
        values = _values(study, condition.name, target.name, protocol)
        if values:
            parts.append(f"{condition.title} {points(float(np.mean(values)))}")
    return f"{target.name}, {target.metric} in percent, mean over seeds: {'; '.join(parts)}; guessing {guessing(target.chance)}."


def guessing(chance: float | None) -> str:
    """The score of guessing in words."""
    return "unknown" if chance is None else f"{points(chance)} %"


def _draw_controls(axes: Any, study: StudyAnswers, target: TargetFacts, protocol: str) -> None:
    lines: list[tuple[float, str, str]] = []
    for control in (c for c in study.conditions if c.is_control and not c.repeats):  # those are no levels
        values = _values(study, control.name, target.name, protocol)
        if values:
            level, colour = 100 * float(np.mean(values)), control.colour or GREY
            axes.axhline(level, color=colour, linestyle=(0, control.dash or PLAIN_DASH), linewidth=1.3, zorder=2)
            lines.append((level, short(control.title), colour))
    if target.chance is not None:
        axes.axhline(100 * target.chance, color=GREY, linestyle=(0, (1, 3)), linewidth=1.1)
        lines.append((100 * target.chance, "guessing", GREY))
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low - 0.04 * (high - low)), high)
    low, high = axes.get_ylim()
    gap, last = 0.062 * (high - low), -np.inf
    for level, name, colour in sorted(lines):  # labels beside their lines, moved apart if they would overlap
        last = max(level, last + gap)
        axes.annotate(name, (1.0, last), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize=8.5, color=colour, annotation_clip=False)  # fmt: skip


def _places(study: StudyAnswers) -> list[float]:
    """Positions of the conditions: the logarithm of their factors if all have one, else evenly spaced."""
    shown = [c for c in study.conditions if not c.is_control]
    factors = [c.factor for c in shown]
    if all(f is not None and f > 0 for f in factors) and len(set(factors)) > 1:
        return [float(np.log2(f)) for f in factors if f is not None]
    return [float(i) for i in range(len(shown))]


def _values(study: StudyAnswers, condition: str, target: str, protocol: str) -> list[float]:
    return [s.value for s in study.scores if s.condition == condition and s.target == target
            and (s.protocol == protocol or s.beside)]  # fmt: skip


def short(text: str, most: int = 22) -> str:
    """A name, shortened to so many characters."""
    kept = printable(text)
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def svg(figure: Figure) -> str:
    """A figure as SVG text without a date."""
    held = io.StringIO()
    with warnings.catch_warnings():  # the reader's font draws those
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(held, format="svg", metadata={"Date": None})
    return held.getvalue()
