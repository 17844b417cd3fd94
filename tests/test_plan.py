"""What a plan refuses before any work, and that it holds no more than one subset."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from transferlab import (
    Epochs,
    Examples,
    Origin,
    Study,
    UntilFlat,
    UserError,
    compare,
    designs,
    detect,
    finetune,
    induction,
    knn,
    probe,
    refit,
)
from transferlab.engine.recipes import RECIPES
from transferlab.identity import plain as as_data
from transferlab.origins import ORIGINS
from transferlab.plan import Place, cohorts, make_plan
from transferlab.planned import Plan, SourceFacts, restored
from transferlab.specs import TEST, VAL, Augmentation, Pack, Protocol, Recipe, Subset, TargetFacts
from transferlab.validate import check_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_can_be_trained(name: str) -> None:
    check_recipe(RECIPES[name])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"batch": 0}, "batch = 0 is impossible .*choose from 1 to"),
        ({"lr": -0.1}, "lr = -0.1 is impossible .*choose from 0 up"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"length": Examples(0)}, "length's n = 0"),
        ({"length": Epochs(-1)}, "length's n = -1"),
        ({"length": UntilFlat(0, 10, 10)}, "length's patience = 0"),
        ({"warmup": 1.0}, "warmup = 1.0"),
        ({"augmentation": Augmentation(crop_px=32)}, "crop_px = 32 .*from 0 to 31"),
        ({"augmentation": Augmentation(scale=0.0)}, "scale = 0.0 .*from 0.01 to 1"),
        ({"schedule": "step"}, "no schedule 'step' .*cosine, one-cycle, steps"),
        ({"optimiser": "adma"}, "no optimiser 'adma' .*muon, sgd, adamw"),
        ({"precision": "fp16"}, "no precision 'fp16'"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_with_the_range(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_recipe(replace(Recipe(), **change))


def test_a_contrast_with_a_control_that_is_not_measured_is_refused(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack()
    study = Study(source="s", targets=["t"], conditions={n: designs.images_per_class(n) for n in (2, 4)}, seeds=1,
                  contrasts=[compare("4", "random-features")], protocols=[finetune(), probe()])  # fmt: skip
    images = (SourceFacts("s", pack.digest, "s"), pack), [TargetFacts("t", pack.digest, "t")], Place("cpu", "fp32")
    with pytest.raises(UserError, match="first protocol does not measure random-features"):
        make_plan(study, *images, lambda _: None)
    make_plan(replace(study, protocols=[probe(), finetune()]), *images, lambda _: None)


def test_a_plan_holds_one_subset_at_a_time(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack()
    study = Study(source="s", targets=["t"], conditions={n: designs.images_per_class(n) for n in (2, 4)}, seeds=4,
                  contrasts=[compare("4", "2")])  # fmt: skip
    seen: list[weakref.ref[Subset]] = []
    alive: list[int] = []

    def keep(subset: Subset) -> None:
        seen.append(weakref.ref(subset))
        alive.append(sum(ref() is not None for ref in seen))

    source, target = SourceFacts("s", pack.digest, "s"), TargetFacts("t", pack.digest, "t")
    make_plan(study, (source, pack), [target], Place("cpu", "fp32"), keep)
    assert len(alive) == 4 * (2 + 2)
    assert max(alive) <= 2  # the one that is given, and the one before it until its name is taken


def compared(plan: Plan, target: TargetFacts, condition: str) -> Protocol | None:
    """The protocol of the transfers of a condition that contrasts use."""
    found = [
        t.cell.protocol
        for t in plan.transfers
        if (t.condition, t.cell.target) == (condition, target.digest) and t.compared
    ]
    assert len(found) <= 1
    return found[0] if found else None


def planned(pack: Pack, targets: list[TargetFacts], protocols: list[Protocol]) -> Plan:
    study = Study(source="s", targets=["t"], conditions={n: designs.images_per_class(n) for n in (2, 4)}, seeds=1,
                  contrasts=[compare("4", "2")], protocols=protocols)  # fmt: skip
    return make_plan(study, (SourceFacts("s", pack.digest, "s"), pack), targets, Place("cpu", "fp32"), lambda _: None)


def test_protocols_of_the_sources_own_classes_are_made_for_the_source_alone(make_pack: Callable[..., Pack]) -> None:
    pack, other = make_pack(), make_pack(seed=1)
    targets = [TargetFacts("source", pack.digest, "own", own_classes=True), TargetFacts("t", other.digest, "t")]
    plan = planned(pack, targets, [probe(), refit(), induction(cut=1), induction(merge=1)])
    made = {(t.cell.target == pack.digest, t.label) for t in plan.transfers if t.condition == "4"}
    own = {"probe", "refit", "induction by cut 1", "induction by merge 1"}
    assert made == {(True, label) for label in own - {"probe"}} | {(False, "probe")}
    labels = {condition: {t.label for t in plan.transfers if t.condition == condition and
                          t.cell.target == pack.digest} for condition in ("random-features", "scratch")}  # fmt: skip
    assert labels == {"random-features": own - {"probe"}, "scratch": set()}
    alone = planned(pack, targets[:1], [probe(), refit()])
    assert {t.label for t in alone.transfers if t.condition == "4"} == {"probe", "refit"}
    assert len({t.key for t in plan.transfers}) == len(plan.transfers)


def test_targets_with_boxes_get_detect_and_others_the_rest(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack()
    targets = [TargetFacts("t", "0" * 32, "t"), TargetFacts("b", "1" * 32, "b", has_boxes=True)]
    plan = planned(pack, targets, [probe(), detect(examples=50)])
    made = {(t.condition, t.cell.target[0], t.cell.protocol.kind) for t in plan.transfers}
    names = ("2", "4", "random-features", "shuffled-labels", "a/a")
    assert made == {(c, *at) for c in names for at in (("0", "probe"), ("1", "detect"))} | {
        ("scratch", "0", "finetune"), ("scratch", "1", "detect")
    }  # fmt: skip
    half = planned(pack, targets, [probe(), detect(examples=50, frozen=2, norms="frozen")])
    assert compared(half, targets[1], "scratch") == compared(plan, targets[1], "scratch")
    wanted = {c: compared(plan, targets[1], c) for c in ("4", "scratch", "random-features")}
    assert wanted["4"] == detect(examples=50)
    assert all(dict(p.knobs)["examples"] == 50 for p in wanted.values() if p is not None)
    assert {c: p and (p.knobs["frozen"], p.knobs["norms"]) for c, p in wanted.items()} == {
        "4": (0, "trained"), "scratch": (0, "trained"), "random-features": ("all", "frozen")
    }  # fmt: skip
    assert compared(plan, targets[0], "4") == probe()
    assert all(t.compared for t in plan.transfers)


def test_a_target_with_boxes_changes_no_cell_of_the_others(make_pack: Callable[..., Pack]) -> None:
    pack, plain = make_pack(), TargetFacts("t", "0" * 32, "t")
    alone = {t.key for t in planned(pack, [plain], [probe()]).transfers}
    with_boxes = [plain, TargetFacts("b", "1" * 32, "b", has_boxes=True)]
    assert alone < {t.key for t in planned(pack, with_boxes, [probe(), detect()]).transfers}


@pytest.mark.parametrize("protocol", [refit(), induction(cut=1)])
def test_a_protocol_of_the_source_needs_the_source_as_target_and_another_before_it(
    protocol: Protocol, make_pack: Callable[..., Pack]
) -> None:
    pack, other = make_pack(), make_pack(seed=1)
    own, foreign = TargetFacts("source", pack.digest, "own", own_classes=True), TargetFacts("t", other.digest, "t")
    with pytest.raises(UserError, match='the source is not a target .*add "source"'):
        planned(pack, [foreign], [probe(), protocol])
    with pytest.raises(UserError, match="first protocol"):
        planned(pack, [own, foreign], [protocol, probe()])
    assert planned(pack, [own], [protocol]).transfers


SLOW = "at a tenth of the rate"


def repeated(pack: Pack, place: str = "cpu", own: bool = False, **changes: Any) -> Plan:
    """A plan of two conditions with, by default, the control that trains each at a tenth of the rate."""
    study = Study(source="s", targets=["t"], conditions={n: designs.images_per_class(n) for n in (2, 4)}, seeds=2,
                  contrasts=[compare("4", "2")], controls=["random-features", "a/a", "recipe"], protocols=[probe(), knn()])  # fmt: skip
    target = TargetFacts("t", pack.digest, "t", own_classes=own)
    place_of = Place("cuda" if place == "cuda" else "cpu", "fp32")
    return make_plan(
        replace(study, **changes), (SourceFacts("s", pack.digest, "s"), pack), [target], place_of, lambda _: None
    )


def test_the_control_recipe_trains_every_condition_once_more_at_a_tenth_of_the_rate(
    make_pack: Callable[..., Pack],
) -> None:
    pack = make_pack()
    plan, plain = repeated(pack), repeated(pack, controls=["random-features", "a/a"])
    again = [t for t in plan.trainings if SLOW in t.condition]
    assert {(t.condition, t.seed) for t in again} == {(f"{n} {SLOW}", seed) for n in (2, 4) for seed in (0, 1)}
    # As if the whole study had that rate; and nothing else of the study is another cell.
    slower = repeated(pack, controls=[], recipe=replace(Recipe(), lr=Recipe().lr / 10))
    assert {(t.condition.removesuffix(f" {SLOW}"), t.seed, t.key) for t in again} == {
        (t.condition, t.seed, t.key) for t in slower.trainings
    }
    assert [t for t in plan.trainings if t not in again] == list(plain.trainings)
    assert [t for t in plan.transfers if SLOW not in t.condition] == list(plain.transfers)
    added = [t for t in plan.transfers if SLOW in t.condition]
    assert len(added) == 4 and all(t.compared and t.cell.protocol == probe() for t in added)
    assert restored(json.loads(json.dumps(as_data(plan)))) == plan and plan.identity != plain.identity
    of = {c.name: c for c in plan.conditions}
    assert of[f"4 {SLOW}"].n_images == of["4"].n_images and of[f"4 {SLOW}"].control == "recipe"


def test_networks_of_two_recipes_are_never_trained_together(make_pack: Callable[..., Pack]) -> None:
    plan = repeated(make_pack(), "cuda", seeds=5)
    lr = {t.key: t.cell.recipe.lr for t in plan.trainings}
    groups = [[lr[key] for key in group] for group in cohorts(plan) if group[0] in lr]
    assert sorted(len(group) for group in groups) == [10, 15] and all(len(set(group)) == 1 for group in groups)


def test_rates_cannot_be_chosen_without_validation_images(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack()
    with pytest.raises(UserError, match="recipe chooses learning rates by the source's validation images, .* has none"):
        repeated(replace(pack, split=np.where(pack.split == VAL, TEST, pack.split).astype(np.uint8)))


def test_rates_are_not_chosen_by_images_that_are_tested(make_pack: Callable[..., Pack]) -> None:
    """Where a source has no test split, the target ``source`` is tested on its validation images."""
    pack = make_pack()
    untested = replace(pack, split=np.where(pack.split == TEST, VAL, pack.split).astype(np.uint8))
    repeated(untested)
    with pytest.raises(UserError, match="chooses learning rates by .* these are the test images of the target source"):
        repeated(untested, own=True)


def test_names_that_the_control_recipe_gives_are_refused_elsewhere(
    make_pack: Callable[..., Pack], bring: Callable[..., None]
) -> None:
    pack, few = make_pack(), designs.images_per_class(2)
    with pytest.raises(UserError, match=f"may not be called '2 {SLOW}', a name that the control 'recipe' gives"):
        repeated(pack, conditions={"2": few, f"2 {SLOW}": few}, contrasts=[])
    for name in ("recipe", f"4 {SLOW}"):
        with pytest.raises(UserError, match=f"names '{name}', which is neither a condition nor a control"):
            repeated(pack, contrasts=[compare("4", name)])
    bring(ORIGINS, Origin(name="half", title="at half the rate", divides_lr=2.0))
    with pytest.raises(UserError, match="'recipe' and 'half' both repeat every condition"):
        repeated(pack, controls=["recipe", "half"])
    halved = repeated(pack, controls=["half"])
    assert {t.cell.recipe.lr for t in halved.trainings} == {0.15, 0.075}
