"""The newest committed result of each benchmark in one table of ratios, medians with smallest and largest.

.venv/bin/python benchmarks/table.py
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from typing import Any

from measured import RESULTS, recipe_of, spread

Row = tuple[str, str, int]  # what, figure, rounds


def main() -> None:
    rows = [row for kind, rows_of in ROWS.items() if (result := newest(f"*-{kind}.json")) for row in rows_of(result)]
    width = max(len(what) for what, _, _ in rows)
    for what, figure, n in rows:
        print(f"{what:<{width}}  {figure}, n = {n}")
    on_gpus = [path for path in sorted(RESULTS.glob("*.json")) if "ratios" in json.loads(path.read_text())]
    if not on_gpus:
        print("GPU: no result is committed; benchmarks/gpu.py makes one")
        return
    print(f"GPU, {on_gpus[-1].stem}:")
    for what, figure in json.loads(on_gpus[-1].read_text())["ratios"].items():
        print(f"  {what}  {figure['median']:.2f} ({figure['least']:.2f} to {figure['most']:.2f}), n = {figure['n']}")


def newest(pattern: str) -> dict[str, Any] | None:
    found = sorted(RESULTS.glob(pattern))
    return json.loads(found[-1].read_text()) if found else None


def of_cpu(result: dict[str, Any]) -> Iterator[Row]:
    for name in (name for name, found in result.items() if isinstance(found, dict)):
        rates, flops = result[name]["images_per_second"], result[name]["flops"]
        standard = max(
            (way for way in rates if way.startswith("standard")), key=lambda way: statistics.median(rates[way])
        )
        for way in (way for way in rates if way.startswith("engine")):
            ratios = [ours / theirs for ours, theirs in zip(rates[way], rates[standard], strict=True)]
            peaks = result[name]["matmul_flops_per_second"]
            used = [100 * rate * flops / peak for rate, peak in zip(rates[way], peaks, strict=True)]
            yield (f"{name}, {way} / best standard loop, images/s",
                   f"{spread(ratios)}, {spread(used, '.0f')} % of the matmul rate", len(ratios))  # fmt: skip


def of_parity(result: dict[str, Any]) -> Iterator[Row]:
    for name, found in result["accuracy"].items():
        ours, theirs = ([100 * a for a in found[way]] for way in ("engine", "standard loop"))
        yield (
            f"{name}, accuracy of engine, of standard loop, %",
            f"{spread(ours, '.1f')}, {spread(theirs, '.1f')}",
            len(ours),
        )


def of_probe(result: dict[str, Any]) -> Iterator[Row]:
    for width, rounds in result["probe"].items():
        for way in ("grid", "path", "fit"):
            ratios = [r["scikit-learn"][way]["wall"] / r["ours"][way]["wall"] for r in rounds]
            yield f"probe, {width} features, scikit-learn's {way} / ours, time", spread(ratios, ".1f"), len(ratios)


def of_packs(result: dict[str, Any]) -> Iterator[Row]:
    for name, values in result["measured"].items():
        if "share" in name or "second" in name:
            yield f"packs, {name}", spread(values, ".2f"), len(values)


def of_scale(result: dict[str, Any]) -> Iterator[Row]:
    for name, found in result["commands"].items():
        yield f"{name}, seconds", spread(found["seconds"], ".2f"), len(found["seconds"])


def of_study(result: dict[str, Any]) -> Iterator[Row]:
    found = [r["times_as_long"] for r in result["rounds"]]
    yield "images-per-class, plain script / transferlab, time", spread(found, ".1f"), len(found)


def of_costs(result: dict[str, Any]) -> Iterator[Row]:
    first, *others = result["rounds"][0]
    for name in others:
        shares = [100 * found[name] / found[first] for found in result["rounds"]]
        yield (
            f"{name} on {result['images']:,} images / a pre-training of the default length, time, %",
            spread(shares, ".1f"),
            len(shares),
        )


def of_detection(result: dict[str, Any]) -> Iterator[Row]:
    for network, rates in ((name, found) for name, found in result.items() if isinstance(found, dict)):
        loops = {way: statistics.median(found) for way, found in rates.items() if way.startswith("reference")}
        best = rates[max(loops, key=lambda way: loops[way])]
        for way in (way for way in rates if way.startswith("protocol")):
            ratios = [ours / theirs for ours, theirs in zip(rates[way], best, strict=True)]
            yield f"detector, {network}, {way} / best reference loop, images/s", spread(ratios), len(ratios)


def of_quality(result: dict[str, Any]) -> Iterator[Row]:
    groups: dict[tuple[str, float, str], list[float]] = {}
    for point in result["points"]:
        groups.setdefault((point["backbone"], point["seconds"], recipe_of(point)), []).append(100 * point["mean"])
    for (backbone, seconds, recipe), means in sorted(groups.items()):
        yield f"mean probe of {backbone} by {recipe} after {seconds:.0f} s, %", spread(means, ".1f"), len(means)


def of_recipes(result: dict[str, Any]) -> Iterator[Row]:
    groups: dict[tuple[str, int, str], list[float]] = {}
    for point in result["points"]:
        groups.setdefault((point["backbone"], point["examples"], recipe_of(point)), []).append(100 * point["mean"])
    for (backbone, examples, recipe), means in sorted(groups.items()):
        yield (
            f"recipes, mean probe of {backbone} by {recipe} after {examples:,} examples, %",
            spread(means, ".1f"),
            len(means),
        )


def of_decision(result: dict[str, Any]) -> Iterator[Row]:
    names = {"plain": "a plain script", "earlier": "926df6e", "this": "this release"}
    for what, of in result["decided"].items():
        told = result["told"][what]
        for side, need in of.items():
            most = list(told["told"][side]["right"])[-1]
            figure = f"{need['seeds']} seeds" if need["seeds"] else f"more than {most} seeds"
            figure += f", {need['cpu_minutes']:.0f} CPU-minutes" if need["cpu_minutes"] else ""
            yield (
                f"a {what.partition(',')[0]} difference of {told['points']:.1f} points, decided by {names[side]}",
                figure,
                result["draws"],
            )


def of_anchor(result: dict[str, Any]) -> Iterator[Row]:
    for state in ("untrained", "trained"):
        means = [100 * statistics.mean(point[state].values()) for point in result["points"]]
        yield (
            f"mean probe of the plain network, {state} on {result['images']:,} images, %",
            spread(means, ".1f"),
            len(means),
        )


ROWS = {"cpu": of_cpu, "parity": of_parity, "probe": of_probe, "packs": of_packs, "scale": of_scale, "study": of_study,
        "costs": of_costs, "detection": of_detection, "quality": of_quality, "recipes": of_recipes,
        "decision": of_decision, "anchor": of_anchor}  # fmt: skip

if __name__ == "__main__":
    main()
