"""Draw docs/quality-against-time.svg from the newest results of quality.py and anchor.py.

.venv/bin/python benchmarks/curve.py
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure
from measured import recipe_of
from table import newest

from transferlab.report.figures import GREY, INK, STYLE, WIDTH, svg

OUT = Path(__file__).parents[1] / "docs" / "quality-against-time.svg"
# Okabe and Ito's colours, a marker each.
LOOKS = {"small:24": ("#56B4E9", "v"), "small": (INK, "D"), "small:48": ("#D55E00", "o"), "small:64": ("#009E73", "s")}


def main() -> None:
    curve, anchor = newest("*-quality.json"), newest("*-anchor.json")
    if not curve or not anchor:
        raise SystemExit("no result of quality.py or anchor.py is there")
    recipes = [recipe_of(point) for point in curve["points"]]
    shown = [p for p in curve["points"] if recipe_of(p) == ("small" if "small" in recipes else recipes[0])]
    with mpl.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.subplots()
        for backbone, (colour, marker) in LOOKS.items():
            _draw(axes, shown, backbone, colour, marker)
        _draw_standard(axes, anchor)
        axes.set_xscale("log")
        seconds = sorted({p["seconds"] for p in shown if p["seconds"]})
        axes.set_xticks(seconds, [f"{s:g} s" if s < 60 else f"{s / 60:g} min" for s in seconds])
        axes.minorticks_off()
        axes.set_xlabel(f"pre-training on {curve['cores']} cores")
        axes.set_ylabel("mean probe accuracy, %")
        axes.legend(fontsize=8.5, frameon=False, loc="upper left")
        OUT.write_text(svg(figure))
    print(OUT)


def _draw(axes: Any, points: list[dict[str, Any]], backbone: str, colour: str, marker: str) -> None:
    by_time: dict[float, list[float]] = {}
    for point in points:
        if point["backbone"] == backbone:
            by_time.setdefault(point["seconds"], []).append(100 * point["mean"])
    untrained = by_time.pop(0.0)
    times = sorted(by_time)
    medians = [statistics.median(by_time[t]) for t in times]
    name = f"small:{backbone.partition(':')[2] or '32, the default'}"
    axes.plot(times, medians, color=colour, marker=marker, markersize=4.5, linewidth=1.4, label=name, zorder=3)
    for time in times:
        axes.plot([time] * len(by_time[time]), by_time[time], color=colour, marker="_", linewidth=0.8, zorder=2)
    if backbone == "small":
        floor = statistics.median(untrained)
        axes.axhline(floor, color=GREY, linestyle=(0, (2, 2)), linewidth=1.1)
        axes.text(times[-1], floor + 0.3, "the same network untrained", ha="right", fontsize=8.5, color=GREY)


def _draw_standard(axes: Any, anchor: dict[str, Any]) -> None:
    scores = [100 * statistics.mean(point["trained"].values()) for point in anchor["points"]]
    at = anchor["seconds"]
    axes.plot([at] * len(scores), scores, color="#CC79A7", marker="_", linewidth=0.8)
    axes.plot([at], [statistics.median(scores)], color="#CC79A7", marker="*", markersize=9, linestyle="none",
              label="standard loop")  # fmt: skip


if __name__ == "__main__":
    main()
