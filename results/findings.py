"""The paper's findings and main contrasts by the present rules, from the committed table of a run, without its images or networks.

    python results/findings.py results/2026-11-27-paper

The facts that a table does not hold, sizes of conditions and test sets, are below; they are those of Tiny ImageNet and the targets in
README.md. Prints Markdown rows: finding, verdict, what was measured; then the contrasts of two questions on the mean over targets, whose
intervals are over seeds alone, since the table holds no right-or-wrong rows.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from transferlab import contrasts
from transferlab.answers.contrast import Results, estimates, saturated
from transferlab.answers.estimate import MEAN, Estimate
from transferlab.answers.noise import Alike
from transferlab.answers.points import points
from transferlab.answers.study import OWN, Score, StudyAnswers
from transferlab.origins import ORIGINS
from transferlab.planned import NamedCondition
from transferlab.questions import findings
from transferlab.specs import TargetFacts

CLASSES, IMAGES = 200, 500  # of the source
EFFECTIVE = {2: 1.3, 18: 6.0, 88: 48.2, 107: 55.4, 159: 117.2, 185: 171.3, 200: 200.0}  # of its label sets
TESTED = {"CIFAR-100": 5000, "Omniglot": 624, "clothing": 372, "digits": 360}


def main(folder: Path) -> None:
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    for found in findings([study(name, rows) for name in dict.fromkeys(row["study"] for row in rows)]):
        print(f"| {found.name} | {found.says} | {found.here} |")
    for name in ("paper-images-per-class", "paper-images-per-class-epochs", "paper-class-count"):
        for e in on_the_mean(study(name, rows)):
            low, high = (points(x, signed=True) for x in (e.low or 0.0, e.high or 0.0))
            print(
                f"| {name} | {e.contrast.name} | {points(e.value, signed=True)} ({low} to {high}) | {e.verdict.name} |"
            )


def on_the_mean(answers: StudyAnswers) -> list[Estimate]:
    """The largest level against all others, and the gain of each doubling where levels are numbers."""
    names = [c.name for c in answers.conditions if not c.is_control]
    twin = next(c.name for c in answers.conditions if c.is_control and ORIGINS[c.control].twin)
    targets = [t for t in TESTED if t not in answers.saturated]
    results = [Results(t, "top1", of(answers.scores, t).scores, {}, n_examples=TESTED[t]) for t in targets]
    found = estimates(contrasts.resolve(contrasts.levels(), names), results, (), Alike(tuple(names), names[-1], twin))
    return [e for e in found if e.target == MEAN]


def study(name: str, rows: list[dict[str, str]]) -> StudyAnswers:
    own = [row for row in rows if row["study"] == name and row["metric"] == "top1"]
    scores = tuple(
        Score(r["condition"], int(r["seed"]), r["target"], r["protocol"], "top1", float(r["value"]), r["key"],
              beside=r["target"] == OWN or r["protocol"].startswith("from scratch"))
        for r in own
    )  # fmt: skip
    conditions = tuple(condition(c) for c in dict.fromkeys(r["condition"] for r in own))
    names = list(dict.fromkeys(s.target for s in scores if s.target != OWN))
    targets = tuple(
        TargetFacts(t, t, t, "top1", n_test=TESTED.get(t, 0), apart=t not in TESTED, leads=t not in TESTED)
        for t in names
    )
    answers = StudyAnswers(name, "?", "Tiny ImageNet", 3, "", conditions, targets, scores, (), (), (), (), {}, (), ())
    asked = [c.name for c in conditions if not c.is_control]
    return replace(answers, saturated=tuple(t for t in TESTED if t in names and saturated(of(scores, t), asked)))


def of(scores: tuple[Score, ...], target: str) -> Results:
    each: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for s in scores:
        if s.target == target and not s.beside:
            each[s.condition][s.seed] = s.value
    return Results(target, "top1", each, {})


def condition(name: str) -> NamedCondition:
    """A condition with the sizes that its name tells."""
    control = ORIGINS.get(name)
    numbers = [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", name)]
    n_labels = numbers[0] if re.search("label|class|coarse|fine", name) and numbers else CLASSES
    n_images = CLASSES * numbers[0] if re.fullmatch(r"\d+", name) else CLASSES * IMAGES
    return NamedCondition(name, None, control is not None, n_images=n_images, n_labels=n_labels,
                          effective_labels=EFFECTIVE.get(n_labels, n_labels), is_floor=bool(control and control.is_floor))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
