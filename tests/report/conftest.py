"""Finished studies with known results: real packs, plans and stores, and cells of which a rule says what was right."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transferlab import Study, compare, designs, steps
from transferlab.answers.study import StudyAnswers
from transferlab.identity import plain
from transferlab.outcomes.arrays import npz_bytes
from transferlab.outcomes.store import Store
from transferlab.plan import Place, make_plan, source_key
from transferlab.planned import Plan, Training, Transfer
from transferlab.report.gather import all_answers
from transferlab.runners.packs import obtain
from transferlab.runners.prepare import keep_labels, target_facts
from transferlab.specs import Examples, Recipe
from transferlab.transfer.targets import view

RECIPE = Recipe(backbone="small:8", image_px=16, length=Examples(320))
MADE_BY = {"transferlab": "0", "python": "3", "torch": "2", "machine": "a machine", "threads": 1}
N_TEST = 100  # test images of a target: one of them is one point
# How many of the 100 test images each condition gets right; seeds add their number modulo 3.
RIGHT = {"10": 50, "20": 60, "scratch": 40, "random-features": 30, "shuffled-labels": 20, "a/a": 60}


def right(transfer: Transfer, target: str) -> int:
    return RIGHT[transfer.condition] + transfer.seed % 3


HOSTILE = {
    "tag": "<script>alert(1)</script>", "attribute": '"onload=alert(1) x="', "cdata": "]]>", "math": "$$ and $x^2$",
    "underscore": "_x", "markup": "[red]", "escape": "\x1b[31mred\x1b[0m", "formula": "=cmd|' /C calc'!A0",
    "direction": "\u202egnp.exe", "long": "n" * 300, "lines": "one\ntwo\r\n| three |", "template": "{{ 7*7 }}{% raw %}",
    "letters": "猫🐈e\u0301", "link": "[here](http://example.org)",
}  # fmt: skip


@dataclass
class Wanted:
    """What a finished store is made of.

    Args:
        right: the number of right answers of a transfer, or None for a missing one.
        held_out: a network's accuracy on the source's validation images, or None if it has none.
    """

    targets: Sequence[str] = ("leaves",)
    right: Callable[[Transfer, str], int | None] = right
    classes: Sequence[str] = ("a", "b")
    source: str = "photos"
    study: dict[str, Any] = field(default_factory=dict[str, Any])
    command: str = "transferlab run images-per-class"
    held_out: Callable[[Training], float | None] = lambda _: 0.75


MakeStore = Callable[..., Store]


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """A store with one finished study; keyword arguments are the fields of Wanted."""

    def make(folder: str = "lab", **wanted: Any) -> Store:
        store = Store.open(tmp_path / folder, create=True)
        fill(store, tmp_path, Wanted(**wanted))
        return store

    return make


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyAnswers:
    """The answers of a study of two conditions and all controls, five seeds, one target."""
    folder = tmp_path_factory.mktemp("study")
    store = Store.open(folder / "lab", create=True)
    fill(store, folder, Wanted(study={"seeds": 5}))
    return all_answers(store)[0]


@pytest.fixture(scope="session")
def hostile_study(tmp_path_factory: pytest.TempPathFactory) -> StudyAnswers:
    """Every hostile name as condition, class, contrast and reason, three of them as target, all of them in the rest."""
    folder = tmp_path_factory.mktemp("hostile")
    store = Store.open(folder / "lab", create=True)
    names, every = list(HOSTILE.values()), "".join(HOSTILE.values())
    study = {
        "name": every, "question": every, "unit": every, "seeds": 2, "controls": ["random-features"],
        "conditions": {name: designs.images_per_class(4) for name in names},
        "contrasts": [compare(names[0], name) for name in names[1:]],
    }  # fmt: skip
    wanted = Wanted(names[:3], lambda t, _: 50 if t.seed else None, names, every, study, f"transferlab run {every}")
    plan = fill(store, folder, wanted)
    for transfer in plan.transfers:
        if not store.has(transfer.key):
            reason = HOSTILE[list(HOSTILE)[int(transfer.key, 16) % len(HOSTILE)]]
            store.write_failure(transfer.key, {"reason": reason})
    return all_answers(store)[0]


def fill(store: Store, tmp_path: Path, wanted: Wanted) -> Plan:
    """Write packs, plan and cells; what survives a power cut is tested elsewhere, so nothing waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        return _filled(store, tmp_path, wanted)


OWN = "the source's own classes"  # as a target's name


def _filled(store: Store, tmp_path: Path, wanted: Wanted) -> Plan:
    conditions = {n: designs.images_per_class(n) for n in (10, 20)}
    knobs = {"name": "images-per-class", "question": "How many images?", "unit": "images per class", "seeds": 3,
             "conditions": conditions, "contrasts": steps(margin=0.01), "recipe": RECIPE, **wanted.study}  # fmt: skip
    study = Study(source="", targets=list(wanted.targets), **knobs)
    files = [arrays(tmp_path / f"{i}.npz", wanted.classes, seed=i) for i in range(len(wanted.targets) + 1)]
    packs = [obtain(store, f"npz:{file}", 16, skip_bad=False, progress=lambda *_: None) for file in files]
    source = replace(packs[0][0], name=wanted.source)
    own = [name == OWN for name in wanted.targets]
    packs[1:] = [packs[0] if is_own else each for each, is_own in zip(packs[1:], own, strict=True)]
    views = [view(replace(pack, name=name), own_classes=name == OWN)
             for (_, pack), name in zip(packs[1:], wanted.targets, strict=True)]  # fmt: skip
    specs = [
        "source" if name == OWN else known.spec for (known, _), name in zip(packs[1:], wanted.targets, strict=True)
    ]
    targets = target_facts(study, specs, views, packs[0][1])
    targets = [replace(target, name=OWN) if is_own else target for target, is_own in zip(targets, own, strict=True)]
    keep_labels(store, targets, views)
    plan = make_plan(study, (source, packs[0][1]), targets, Place("cpu", "fp32"), store.write_subset)
    store.write_study(plan.identity, plain(plan))
    store.write_note(plan.identity, {"command": wanted.command})
    write_cells(store, plan, wanted)
    return plan


def arrays(path: Path, classes: Sequence[str], seed: int) -> Path:
    """20 training and 10 validation images of each class, and 100 test images in all, as npz."""
    counts = {"train": 20 * len(classes), "val": 10 * len(classes), "test": N_TEST}
    split = np.repeat(list(counts), list(counts.values()))
    labels = np.array(classes)[np.concatenate([np.arange(n) % len(classes) for n in counts.values()])]
    images = np.random.default_rng(seed).integers(0, 256, (len(split), 16, 16, 3)).astype(np.uint8)
    np.savez(path, images=images, labels=labels, split=split)
    return path


def write_cells(store: Store, plan: Plan, wanted: Wanted) -> None:
    record = {"seconds": 1.0, "made_by": MADE_BY}
    for training in plan.trainings:
        store.write_cell(training.key, [], {**record, "metrics": {}}, {})
        accuracy = wanted.held_out(training)
        metrics = {} if accuracy is None else {"top1": accuracy}
        store.write_cell(source_key(training.key), [], {**record, "metrics": metrics}, {})
    names = {t.digest: t.name for t in plan.targets}
    labels = {t.digest: store.labels(t.labels)["labels"] for t in plan.targets}
    for transfer in plan.transfers:
        n_right = wanted.right(transfer, names[transfer.cell.target])
        if n_right is not None:
            rows = np.arange(N_TEST) < n_right
            measured = {"top1", "mean class accuracy", transfer.cell.metric} - {""}
            metrics = dict.fromkeys(sorted(measured), float(rows.mean()))
            store.write_cell(
                transfer.key,
                [],
                {**record, "metrics": metrics},
                {"rows.npz": npz_bytes(of_each(rows, labels[transfer.cell.target]))},
            )


def of_each(right: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What a cell holds where the wrong images are taken for the class after theirs."""
    predicted = np.where(right, labels, (labels + 1) % (labels.max() + 1)).astype(np.uint8)
    return {"right": right, "predicted": predicted, "true_score": np.where(right, 0.9, 0.1).astype(np.float16)}


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> str:
    """A name that would do harm where it is not taken as mere text."""
    return HOSTILE[request.param]


@pytest.fixture
def hostile_names() -> list[str]:
    """All of them."""
    return list(HOSTILE.values())
