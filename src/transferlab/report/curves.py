"""Figures of fitted curves: the scaling law over images per class, and the parabola over classes / images per class."""

from __future__ import annotations

from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from transferlab.answers.division import Division
from transferlab.answers.scaling import Forecast
from transferlab.report.figures import GREY, INK, STYLE, WIDTH, short, svg

BAND = "#dfe3e8"


def forecast_figure(forecast: Forecast, unit: str) -> str:
    """Measured means, the saturating law with its band, and the prediction for the doubled size, hollow; SVG text."""
    assert forecast.curve is not None and forecast.next is not None and forecast.check is not None
    with mpl.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        x, value, low, high = np.log2(forecast.curve[:, 0]), *(100 * forecast.curve[:, i] for i in (1, 2, 3))
        axes.fill_between(x, low, high, color=BAND, linewidth=0, zorder=1)
        axes.plot(x, value, color=GREY, linewidth=1.2, zorder=2)
        sizes = [*forecast.sizes.tolist(), forecast.next.size]
        axes.plot(np.log2(forecast.sizes), 100 * forecast.means, "D", color=INK, markersize=5.5, zorder=4)
        new, doubled = np.log2(forecast.next.size), forecast.next
        axes.plot([new, new], [100 * doubled.low, 100 * doubled.high], color=INK, linewidth=1.2, zorder=3)
        axes.plot(
            [new], [100 * doubled.value], "D", markerfacecolor="white", markeredgecolor=INK, markersize=6.5, zorder=4
        )
        axes.set_xticks(np.log2(sizes), [f"{size:,.0f}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel(short(unit, 48))
        axes.set_ylabel("score, %")
        axes.set_title(short(forecast.target, 48), loc="left", color=INK, fontsize=11, fontweight="bold")
        return svg(figure)


def division_figure(division: Division) -> str:
    """The mean score of each way to spend the budget, the parabola, and the best ratio with its interval; SVG text."""
    with mpl.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        places: NDArray[np.float64] = np.log2([way.ratio for way in division.ways])
        if division.has_best:
            low, high = np.clip(np.log2([division.low, division.high]), places[0], places[-1])
            axes.axvspan(low, high, color=BAND, linewidth=0, zorder=0)
            axes.axvline(np.log2(division.ratio), color=INK, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        x = np.linspace(float(places[0]), float(places[-1]), 60)
        constant, slope, curvature = division.parabola
        from_middle = x - places.mean()
        axes.plot(
            x, 100 * (constant + slope * from_middle + curvature * from_middle**2), color=GREY, linewidth=1.2, zorder=2
        )
        axes.plot(places, 100 * division.means, "D", color=INK, markersize=5.5, zorder=4)
        axes.set_xticks(places, [f"{way.classes} × {way.images}" for way in division.ways])
        axes.set_xlabel("classes × images of each")
        axes.set_ylabel("score, %")
        title = short(f"{division.target}, {division.budget:,.0f} images", 48)
        axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
        return svg(figure)
