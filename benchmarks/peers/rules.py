"""What the rules of a release decide on given scores: run with the release's ``src`` as PYTHONPATH.

    python benchmarks/peers/rules.py JOB.pickle

The job holds targets (name, number of test images, their weights, scores and right-or-wrong rows by condition and seed), the names of conditions,
reference and twin, the declared contrasts as pairs, the one to be decided first, and draws: for each condition its seeds, and what is added
to its scores on each target. Prints JSON: for each draw the verdict on the first contrast's mean over targets (1, 0, -1: better, cannot tell or the same, worse) and half the interval's width.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

from transferlab.answers import contrast as rules
from transferlab.specs import Contrast


def main(job: dict[str, Any]) -> list[dict[str, float]]:
    contrasts = [Contrast(f"{a} against {b}", {a: 1.0, b: -1.0}, job["margin"]) for a, b in job["pairs"]]
    return [decide(job, contrasts, draw) for draw in job["draws"]]


def decide(job: dict[str, Any], contrasts: list[Contrast], draw: dict[str, Any]) -> dict[str, float]:
    results = [
        rules.Results(each["name"], "top1", scores_of(each, i, draw), rows_of(each, draw), n_examples=each["n_test"])
        for i, each in enumerate(job["targets"])
    ]
    found = rules.estimates(contrasts, results, (), *pooling(job))[0]
    verdict = found.verdict if isinstance(found.verdict, str) else found.verdict.name
    return {
        "verdict": {"better": 1, "worse": -1}.get(verdict, 0),
        "half_width": ((found.high or 0) - (found.low or 0)) / 2,
    }


def scores_of(target: dict[str, Any], number: int, draw: dict[str, Any]) -> dict[str, dict[int, float]]:
    """Condition to seed, numbered anew, to score."""
    return {
        name: {k: float(target["scores"][name][seed] + draw["added"][name][number]) for k, seed in enumerate(seeds)}
        for name, seeds in draw["seeds"].items()
    }


def rows_of(target: dict[str, Any], draw: dict[str, Any]) -> dict[str, dict[int, Any]]:
    return {
        name: {k: target["rows"][name][seed] for k, seed in enumerate(seeds)} for name, seeds in draw["seeds"].items()
    }


def pooling(job: dict[str, Any]) -> tuple[Any, ...]:
    """How networks scatter alike, where the release's rules know that."""
    try:
        from transferlab.answers.noise import Alike
    except ImportError:
        return ()
    return (Alike(tuple(job["conditions"]), job["reference"], job["twin"]),)


if __name__ == "__main__":
    job = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301, written by decision.py a moment ago
    print(json.dumps(main(job)))
