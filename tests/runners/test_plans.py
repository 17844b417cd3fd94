"""Plans are read back as they were; one that cannot be used is named and stops no other study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.identity import plain
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify
from transferlab.planned import restored
from transferlab.report.asked import asked
from transferlab.report.gather import all_answers, table_rows
from transferlab.runners.estimate import status_text
from transferlab.runners.plans import plan_of, plans, problems
from transferlab.runners.prepare import Request, prepare

STUDY = """
from transferlab import Study, compare, designs, knn
study = Study(source={0!r}, targets=[{0!r}], conditions={{n: designs.images_per_class(n) for n in (2, 4)}},
              contrasts=[compare("4", "2")], controls=["random-features"], seeds=2, protocols=[knn()], name={1!r}{2})
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two plans of which nothing is done."""
    labels = np.arange(60) % 3
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3)).astype(np.uint8)
    split = np.array(["train", "val", "test"])[np.arange(60) // 3 % 3]
    np.savez(tmp_path / "images.npz", images=images, labels=labels, split=split)
    for name, more in (("one", ""), ("two", ", metric='top5'")):
        (tmp_path / "study.py").write_text(STUDY.format(f"npz:{tmp_path}/images.npz", name, more))
        prepare(Request(str(tmp_path / "study.py"), None, (), tmp_path / "lab", size=16), lambda *_: None)
    return Store.open(tmp_path / "lab", create=False)


def stored(store: Store) -> tuple[str, Any]:
    """The identity and the data of the plan "one"."""
    return next((identity, study) for identity, study in store.studies().items() if study["name"] == "one")


def test_plans_come_back_and_follow_from_what_they_say(store: Store) -> None:
    assert [plan.name for plan in plans(store)] == ["one", "two"]
    assert all(plan_of(store, plan.identity) == plan for plan in plans(store))
    assert list(problems(store)) == []


def change_seeds(plan: Any) -> None:
    plan["seeds"] = 10**9


def change_classes(plan: Any) -> None:
    plan["targets"][0]["n_classes"] = 10**12


def change_test_images(plan: Any) -> None:
    plan["targets"][0]["n_test"] = 10**10


def change_type(plan: Any) -> None:
    plan["transfers"][0]["seed"] = "0"


def change_digest(plan: Any) -> None:
    plan["trainings"][0]["cell"]["subset"] = "../../../etc/passwd"


def change_condition(plan: Any) -> None:
    plan["transfers"][0]["condition"] = "another"


def change_target(plan: Any) -> None:
    plan["transfers"][0]["cell"]["target"] = "0" * 32


def change_identity(plan: Any) -> None:
    plan["identity"] = "0" * 32


IMPOSSIBLE = [change_seeds, change_classes, change_test_images, change_type, change_digest, change_condition, change_target,
              change_identity]  # fmt: skip


@pytest.mark.parametrize("change", IMPOSSIBLE)
def test_a_plan_that_says_what_none_can_say_is_told_and_found_though_its_hash_fits(
    change: Callable[[Any], None], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    identity, plan = stored(store)
    change(plan)
    store.write_study(identity, plan)
    with pytest.raises(UserError, match="verify"):
        plan_of(store, identity)
    assert [p.name for p in plans(store)] == ["two"]
    assert "left out: " in (told := capsys.readouterr().err) and identity in told
    assert [p.path.stem for p in problems(store)] == [identity]
    assert "two: 2 seeds" in status_text(store) and table_rows(store) == []
    with pytest.raises(UserError, match=r"planned are two \(study"):
        all_answers(store)


def change_recipe(plan: Any) -> None:
    plan["recipe"]["lr"] = 0.5


def change_cell(plan: Any) -> None:
    plan["transfers"][1]["cell"]["seed"] += 1


def change_key(plan: Any) -> None:
    plan["trainings"][0]["key"] = "0" * 32


def change_untrained(plan: Any) -> None:
    next(t for t in plan["transfers"] if t["untrained"])["untrained"]["seed"] += 5


@pytest.mark.parametrize("change", [change_recipe, change_cell, change_key, change_untrained])
def test_an_edit_that_a_digest_shows_is_found_though_the_hash_fits(change: Callable[[Any], None], store: Store) -> None:
    identity, plan = stored(store)
    change(plan)
    store.write_study(identity, plan)
    assert verify(store) == []
    assert [p.path.stem for p in problems(store)] == [identity]


def test_a_plan_of_a_newer_version_is_named_left_alone_and_stops_no_other(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    identity, plan = stored(store)
    plan["colour_of_the_sky"] = "blue"
    store.write_study(identity, plan)
    assert [p.name for p in plans(store)] == ["two"]
    assert "another version of transferlab wrote this study" in (told := capsys.readouterr().err) and identity in told
    assert list(problems(store)) == [] and verify(store) == []
    assert identity in capsys.readouterr().err


def test_where_no_plan_can_be_read_the_first_fault_is_told(store: Store) -> None:
    for identity, plan in store.studies().items():
        store.write_study(identity, {**plan, "type": "Thing"})
    with pytest.raises(UserError, match="another version"):
        plans(store)


def test_a_damaged_plan_does_not_stop_the_run_that_writes_another(store: Store, tmp_path: Path) -> None:
    for path in store.path.glob("studies/*.json"):
        path.write_bytes(b"{")
    again = prepare(Request(str(tmp_path / "study.py"), None, (), store.path, size=16), lambda *_: None)
    assert plan_of(store, again.plan.identity) == restored(plain(again.plan))


def test_studies_of_one_name_are_told_apart_by_their_identity(store: Store, tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(STUDY.format(f"npz:{tmp_path}/images.npz", "one", ", metric='top5'"))
    prepare(Request(str(tmp_path / "study.py"), None, (), tmp_path / "lab", size=16), lambda *_: None)
    first, second = (p.identity for p in plans(store, "one"))
    assert first != second and f"  study  {first}" in status_text(store) and second in status_text(store)
    assert [p.identity for p in plans(store, second)] == [second]
    assert [p.identity for p in asked(store, second[:8])] == [second]
