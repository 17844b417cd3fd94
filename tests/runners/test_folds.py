"""A study in folds, from its plan to its report: all images of the target are results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transferlab import Examples, Protocol, Study, UserError, compare, designs, knn, probe
from transferlab.images.likeness import name_of_findings
from transferlab.images.pack import open_pack
from transferlab.report.gather import all_answers
from transferlab.report.page import render
from transferlab.runners.do import do_task
from transferlab.runners.estimate import describe
from transferlab.runners.networks import Bench
from transferlab.runners.prepare import Prepared, Request, prepare
from transferlab.specs import Augmentation, Recipe
from transferlab.tasks import tasks_of

RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, length=Examples(64), precision="fp32",
                augmentation=Augmentation(2, False))  # fmt: skip
N = 90
Wanted = Callable[..., Request]


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    """A study of a small source and a target of 90 images with given splits, by these protocols."""

    def made(name: str, labels: np.ndarray) -> str:
        random = np.random.default_rng(name == "source")
        images = (random.integers(0, 120, (N, 16, 16, 3)) + (labels % 3)[:, None, None, None] * 60).astype(np.uint8)
        split = np.array(["train", "val", "test"])[np.arange(N) // 3 % 3]
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels, split=split)
        return f"npz:{tmp_path}/{name}.npz"

    source, target = made("source", np.arange(N) % 3), made("target", np.arange(N) % 3)

    def request(*protocols: Protocol, **changes: Any) -> Request:
        study = Study(
            source=source, targets=changes.pop("targets", [target]), seeds=3, recipe=RECIPE, protocols=protocols,
            conditions={n: designs.images_per_class(n) for n in (2, 6)}, name="folds",
            **{"controls": ["random-features"], "contrasts": [compare("6", "2")], **changes},
        )  # fmt: skip
        return Request(study, None, (), tmp_path / "lab", device="cpu")

    return request


def done(prepared: Prepared) -> None:
    torch.set_num_threads(1)
    bench = Bench(prepared.plan, prepared.store)
    for task in sorted(tasks_of(prepared.plan), key=lambda task: task.kind != "train"):
        do_task(task, bench, lambda _: None)


def prepared_of(request: Request) -> Prepared:
    return prepare(request, lambda *_: None)


def test_all_images_are_results_and_the_report_says_so(wanted: Wanted, tmp_path: Path) -> None:
    prepared = prepared_of(wanted(probe(folds=4), probe(), controls=["random-features", "scratch"]))
    plan, store = prepared.plan, prepared.store
    (facts,) = plan.targets
    assert (facts.folds, facts.n_train, facts.n_val, facts.n_test) == (4, 68, 0, N)
    assert facts.chance == pytest.approx(1 / 3)
    assert "           all 90 images are tested, in 4 folds." in describe(prepared)
    done(prepared)
    assert store.failures() == {}
    assert len(store.labels(facts.labels)["labels"]) == N
    sizes = {t.label: len(store.arrays(t.key)["right"]) for t in plan.transfers}
    assert sizes == {"probe in 4 folds": N, "probe": 30, "finetune": 30}
    (study,) = all_answers(store)
    (estimate,) = study.estimates
    assert (estimate.n_seeds, estimate.scope) == (3, "images like these")
    render([study], tmp_path / "report.md", "md")
    page = (tmp_path / "report.md").read_text()
    for told in ("accuracy is that on all 90 images, in 4 folds", "cannot be compared with published ones", "probe in 4 folds: mean",
                 "number of folds, each tested by a fit to the others: 4", "in folds on images of other folds",
                 "(test split alone)", "Transfer, from scratch: fine-tuning"):  # fmt: skip
        assert told in page, told


def test_copies_anywhere_in_the_target_are_left_out(wanted: Wanted) -> None:
    prepared = prepared_of(wanted(probe(folds=4)))
    done(prepared)
    store, target = prepared.store, prepared.plan.targets[0]
    pack = open_pack(store.packs / target.digest)
    test, other = pack.rows(2)[:2].tolist(), pack.rows(0)[:3].tolist()

    def found(rows: list[int], n: int) -> dict[str, Any]:
        ones = [1.0] * len(rows)
        return {
            "n": n,
            "n_plain": 0,
            "rows": rows,
            "of": [0] * len(rows),
            "likeness": ones,
            "exact": [True] * len(rows),
        }

    lists = {"test": found(test, 30), "train": found(other, 60), "within": found([], 30)}
    name = name_of_findings(prepared.plan.source.digest, target.digest)
    store.write_pack_index(name, {"n_source": 30, "alike": 0.84, **lists})
    (study,) = all_answers(store)
    assert (study.leakage[0].test.n, study.leakage[0].test.rows) == (N, (*test, *other))
    rows = store.labels(target.labels)["rows"]
    kept = ~np.isin(rows, [*test, *other])
    right = {(t.condition, t.seed): store.arrays(t.key)["right"][kept] for t in prepared.plan.transfers}
    means = [right["6", seed].mean() - right["2", seed].mean() for seed in range(3)]
    assert study.without[0].value == pytest.approx(np.mean(means))


def test_the_test_split_stays_what_is_compared_if_its_protocol_is_first(wanted: Wanted) -> None:
    (facts,) = prepared_of(wanted(probe(), probe(folds=4))).plan.targets
    assert (facts.folds, facts.n_test) == (0, 30)


def test_the_command_line_takes_a_protocols_settings(wanted: Wanted) -> None:
    (planned,) = prepared_of(replace(wanted(knn()), protocol="probe:folds=5")).plan.protocols
    assert planned.protocol == probe(folds=5)
    (planned,) = prepared_of(replace(wanted(probe()), protocol="knn:k=3")).plan.protocols
    assert planned.protocol == knn(k=3)
    for text, told in (("probe:folds=3", "from 4 to 20"), ("probe:fold=5", "no setting 'fold'"), ("probe:5", "NAME:SETTING=VALUE"),
                       ("probe:folds=many", "a whole number"), ("prbe:folds=5", "did you mean probe")):  # fmt: skip
        with pytest.raises(UserError, match=told):
            prepared_of(replace(wanted(probe()), protocol=text))


def test_what_folds_cannot_measure_is_refused_before_any_work(wanted: Wanted) -> None:
    with pytest.raises(UserError, match="cannot measure the source itself"):
        prepared_of(wanted(probe(folds=4), targets=["source"]))
    with pytest.raises(UserError, match="scratch is not measured in folds"):
        prepared_of(wanted(probe(folds=4), controls=["scratch"], contrasts=[compare("6", "scratch")]))
    with pytest.raises(UserError, match="shots and folds"):
        prepared_of(wanted(replace(probe(folds=4), shots=5)))
