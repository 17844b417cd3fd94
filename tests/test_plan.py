"""What a plan refuses before any work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from transferlab import Epochs, Examples, UntilFlat, UserError
from transferlab.engine.recipes import RECIPES
from transferlab.plan import check_recipe
from transferlab.specs import Augmentation, Recipe


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
        ({"optimiser": "adma"}, "no optimiser 'adma' .*muon, sgd, adamw"),
        ({"precision": "fp16"}, "no precision 'fp16'"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_with_the_range(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_recipe(replace(Recipe(), **change))
