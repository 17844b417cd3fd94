"""The section on classes, from stores with known predictions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transferlab.answers.classes import ImagesTested, Predicted, classes_of
from transferlab.answers.study import StudyAnswers
from transferlab.outcomes.arrays import npz_bytes
from transferlab.outcomes.store import Store
from transferlab.planned import restored
from transferlab.report.document import Table, Text
from transferlab.report.gather import all_answers
from transferlab.report.page import render
from transferlab.report.results import names_of
from transferlab.report.sections.classes import CLASSES
from transferlab.specs import Pack

MakeStore = Callable[..., Store]


def only(store: Store) -> StudyAnswers:
    (study,) = all_answers(store)
    return study


def shown(study: StudyAnswers) -> tuple[list[Table], list[str]]:
    blocks = CLASSES.content(study).blocks
    said = [line for block in blocks if isinstance(block, Text) for line in block.paragraphs]
    return [block for block in blocks if isinstance(block, Table)], said


def test_classes_are_of_the_reference_condition_beside_random_features(make_store: MakeStore) -> None:
    study = only(make_store())  # images 0 to 59 are right in the reference, 0 to 29 in the floor, and one or two more
    (found,) = study.classes
    assert (found.target, found.condition, found.base, found.n_seeds, found.n_paired) == (
        "leaves", "20", "random-features", 3, 3,
    )  # fmt: skip
    assert [(each.name, each.n_images) for each in found.classes] == [("a", 50), ("b", 50)]
    scores = [s.value for s in study.scores if (s.condition, s.target) == ("20", "leaves")]
    assert np.mean([each.accuracy.value for each in found.classes]) == pytest.approx(np.mean(scores))
    assert (found.n_gained, found.n_lost) == (30, 0)
    assert [(c.true, c.predicted) for c in found.confusions] == [("b", "a"), ("a", "b")]


def test_the_section_says_accuracies_confusions_and_changes(make_store: MakeStore) -> None:
    (accuracies, confusions), said = shown(only(make_store()))
    assert [cell.text for cell in accuracies.rows[0].cells][:2] == ["a", "61.3"]
    assert accuracies.columns[-1].title == "change against random features (points)"
    assert [cell.text for cell in confusions.rows[0].cells] == ["b", "a", "19.7", "39.3"]
    assert said[0] == (
        "Of 100 test images of leaves, 30 images are right in most seeds with 20 images per class and wrong in most with random features; "
        "0 the other way round (3 seeds)."
    )
    assert "not adjusted for the number of classes" in said[-1]


def test_without_random_features_nothing_is_compared(make_store: MakeStore) -> None:
    (accuracies, _), said = shown(only(make_store(study={"controls": []})))
    assert len(accuracies.columns) == 4 and len(said) == 1


def test_of_many_classes_the_best_and_the_worst_are_shown(study: StudyAnswers) -> None:
    labels = np.repeat(np.arange(13), 20)
    seeds = {seed: np.where(np.arange(260) % 20 < labels + 5, labels, 0) for seed in range(3)}
    found = classes_of(ImagesTested("leaves", labels, None), Predicted("20", seeds))
    (accuracies, _), _ = shown(replace(study, classes=(found,)))
    told = [row.cells[0].text for row in accuracies.rows]
    assert told == [f"class {i}" for i in (0, 12, 11, 10, 9, 5, 4, 3, 2, 1)]
    assert "the 5 best and the 5 worst of 13 classes" in accuracies.caption


def test_without_its_pack_classes_have_numbers_and_the_section_says_so(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    named = only(store).classes[0]
    shutil.rmtree(store.packs)
    study = only(store)
    assert [each.name for each in study.classes[0].classes] == ["class 0", "class 1"]
    assert [each.accuracy for each in study.classes[0].classes] == [each.accuracy for each in named.classes]
    assert "The pack of leaves no longer exists, so its classes are named by their numbers, from 0." in shown(study)[1]
    assert render([study], tmp_path / "report.html", "html")


def rewritten(store: Store, keep: Sequence[str]) -> None:
    """Cells that hold only these arrays, as those of earlier versions."""
    for transfer in restored(next(iter(store.studies().values()))).transfers:
        arrays, record = store.arrays(transfer.key), store.record(transfer.key)
        assert record is not None
        shutil.rmtree(store.path / "cells" / transfer.key[:2] / transfer.key)
        kept = {name: arrays[name] for name in keep}
        facts = {name: record[name] for name in ("metrics", "seconds", "made_by")}
        store.write_cell(transfer.key, [], facts, {"rows.npz": npz_bytes(kept)})


def test_cells_without_predictions_have_no_section_and_the_same_answers(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    before = only(store)
    rewritten(store, ["right"])
    study = only(store)
    assert study.classes == () and not CLASSES.applies(study) and study.estimates == before.estimates
    assert render([study], tmp_path / "report.md", "md")
    assert "## Classes" not in (tmp_path / "report.md").read_text()


def test_names_that_occur_twice_have_their_path(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack((4,) * 4)
    leaves = pack.taxonomy.leaves
    names = {**pack.taxonomy.names, leaves[0]: "c2", leaves[1]: "crane, bird", leaves[3]: "crane, machine"}
    told = names_of(replace(pack.taxonomy, names=names))
    assert told == ["c2 (g0/c0)", "crane (g1/c1)", "g0/c2", "crane (g1/c3)"]
