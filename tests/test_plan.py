"""What a plan refuses before any work, and that it holds no more than one subset."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from transferlab import Epochs, Examples, Study, UntilFlat, UserError, compare, designs
from transferlab.engine.recipes import RECIPES
from transferlab.plan import Place, check_recipe, make_plan
from transferlab.specs import Augmentation, Pack, PackRef, Recipe, Subset


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
        ({"schedule": "step"}, "no schedule 'step' .*cosine, one-cycle, steps"),
        ({"optimiser": "adma"}, "no optimiser 'adma' .*muon, sgd, adamw"),
        ({"precision": "fp16"}, "no precision 'fp16'"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_with_the_range(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_recipe(replace(Recipe(), **change))


def test_a_plan_holds_one_subset_at_a_time(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack()
    study = Study(source="s", targets=["t"], conditions={n: designs.images_per_class(n) for n in (2, 4)}, seeds=4,
                  contrasts=[compare("4", "2")])  # fmt: skip
    seen: list[weakref.ref[Subset]] = []
    alive: list[int] = []

    def keep(subset: Subset) -> None:
        seen.append(weakref.ref(subset))
        alive.append(sum(ref() is not None for ref in seen))

    references = [PackRef(name, pack.digest, name) for name in ("s", "t")]
    make_plan(study, (references[0], pack), references[1:], Place("cpu", "fp32"), keep)
    assert len(alive) == 4 * (2 + 2)
    assert max(alive) <= 2  # the one that is given, and the one before it until its name is taken
