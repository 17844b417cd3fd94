"""How well do small, short networks rank conditions as a larger, longer one does?

    python results/2026-12-01-proxies/rank.py

Reads the proxies' tables in this folder and, as the truth, ../2026-11-27-paper/table.csv: `small`, 250,000 examples, three seeds, bf16.
Compared are up to 14 conditions by the mean of three targets, weighted as in reports (n / (n + 1,000) test images). Prints, for each proxy,
the share of pairs that it ranks as the truth does (with the standard error of a delete-one-condition jackknife, times two), Spearman's
rank correlation, and the share among pairs by how far the proxy has them apart; and draws agreement.svg. The truth's own networks
disagree too: one seed of them against the mean of the two others is the most that a proxy could reach.
"""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from transferlab.answers.contrast import shares
from transferlab.report.figures import INK, STYLE, WIDTH, svg

HERE = Path(__file__).parent
TRUTH = HERE.parent / "2026-11-27-paper/table.csv"
TESTED = {"CIFAR-100": 5000, "Omniglot": 624, "clothing": 372}  # test images
SAME = {"500": "200 classes", "200 classes × 125": "125", "200 classes × 250": "250", "200 classes × 62": "62"}
APART = (0.0, 0.5, 1.0, 2.0, 4.0, np.inf)  # points
Scores = dict[str, dict[int, float]]  # condition to seed to mean over targets


def main() -> None:
    proxies = {titled(path.stem): read(path) for path in sorted(HERE.glob("table-*.csv"))}
    truth = read(TRUTH)
    every = [name for name in truth if any(name in of for of in proxies.values()) and name != "random-features"]
    print(f"the truth ranges over {np.ptp(means(truth, every)):.1f} points")
    tell("the truth's one seed, the others", against_itself(truth, every))
    for name, scores in proxies.items():
        names = [each for each in every if each in scores]
        for n in sorted({1, len(scores[names[0]])}):
            tell(f"{name}, {n} seed{'s' * (n > 1)}", against(scores, n, means(truth, names), names))
    print("\nshare of pairs ranked as the truth does, by how many points the proxy has them apart (all seeds)")
    curves: dict[str, list[tuple[float, float, int]]] = {}
    for name, scores in proxies.items():
        names = [each for each in every if each in scores]
        curves[name] = by_distance(means(scores, names), means(truth, names))
        print(f"{name:<20}" + "  ".join(f"{a:g} to {b:g}: {100 * share:.0f} % of {n}"
              for (a, b), (_, share, n) in zip(itertools.pairwise(APART), curves[name], strict=True) if n))  # fmt: skip
    draw(curves)


def tell(way: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    told = np.mean([agreement(a, b) for a, b in pairs])
    error = np.mean([jackknife(a, b, agreement) for a, b in pairs])
    rank = np.mean([spearmanr(a, b).statistic for a, b in pairs])
    n = len(pairs[0][0])
    print(
        f"{way:<33} {100 * told:5.1f} % of {n * (n - 1) // 2} pairs (± {200 * error:.1f}), rank correlation {rank:.2f}"
    )


def titled(stem: str) -> str:
    """For example "small:16, 15,000" of table-small16-15000."""
    _, network, examples = stem.split("-")
    return f"small:{network.removeprefix('small')}, {int(examples):,}"


def read(path: Path) -> Scores:
    """The weighted mean over targets of every network that was measured by a probe on all of them."""
    found: defaultdict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    with path.open() as file:
        for row in csv.DictReader(file):
            if (
                row["metric"] == "top1"
                and row["target"] in TESTED
                and row["protocol"] == "probe"
                and "epochs" not in row["study"]
            ):
                name = SAME.get(row["condition"], row["condition"])
                found[name, int(row["seed"])][row["target"]] = float(row["value"])
    weights = shares(list(TESTED.values()))
    scores: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for (name, seed), of in found.items():
        if len(of) == len(TESTED):
            scores[name][seed] = float(np.dot(weights, [100 * of[target] for target in TESTED]))
    return dict(scores)


def means(
    scores: Mapping[str, Mapping[int, float]], names: list[str], seeds: tuple[int, ...] | None = None
) -> np.ndarray:
    return np.array([np.mean([v for s, v in scores[name].items() if seeds is None or s in seeds]) for name in names])


def against_itself(truth: Scores, names: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    seeds = (0, 1, 2)
    return [(means(truth, names, (s,)), means(truth, names, tuple(set(seeds) - {s}))) for s in seeds]


def against(scores: Scores, n: int, goal: np.ndarray, names: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    every = sorted(next(iter(scores.values())))
    return [(means(scores, names, seeds), goal) for seeds in itertools.combinations(every, n)]


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """The share of pairs that both order alike."""
    i, j = np.triu_indices(len(a), 1)
    return float(((a[i] - a[j]) * (b[i] - b[j]) > 0).mean())


def jackknife(a: np.ndarray, b: np.ndarray, of: Callable[[np.ndarray, np.ndarray], float]) -> float:
    """The standard error over conditions: pairs that share one are not independent."""
    n = len(a)
    without = np.array([of(np.delete(a, i), np.delete(b, i)) for i in range(n)])
    return float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def by_distance(proxy: np.ndarray, goal: np.ndarray) -> list[tuple[float, float, int]]:
    """For each range of distances its mean distance, the share ranked alike, and the number of pairs."""
    i, j = np.triu_indices(len(proxy), 1)
    apart, alike = np.abs(proxy[i] - proxy[j]), (proxy[i] - proxy[j]) * (goal[i] - goal[j]) > 0
    ranges = [(apart >= low) & (apart < high) for low, high in itertools.pairwise(APART)]
    return [(float(apart[r].mean()), float(alike[r].mean()), int(r.sum())) if r.any() else (np.nan, np.nan, 0)
            for r in ranges]  # fmt: skip


def draw(curves: dict[str, list[tuple[float, float, int]]]) -> None:
    looks = (("#56B4E9", "v"), ("#0072B2", "o"), ("#D55E00", "s"), (INK, "D"), ("#009E73", "^"))
    with mpl.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        for (name, of), (colour, marker) in zip(curves.items(), looks, strict=False):
            shown = [(x, 100 * y) for x, y, n in of if n]
            axes.plot(*zip(*shown, strict=True), color=colour, marker=marker, markersize=4.5, linewidth=1.4, label=name)
        axes.axhline(80, color="#5f6368", linestyle=(0, (2, 2)), linewidth=1)
        axes.set_xlabel("points that the proxy has two conditions apart")
        axes.set_ylabel("ranked as the truth does, %")
        axes.legend(fontsize=8.5, frameon=False, loc="lower right")
        (HERE / "agreement.svg").write_text(svg(figure))


if __name__ == "__main__":
    main()
